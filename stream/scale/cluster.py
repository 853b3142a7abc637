"""A Dask cluster: functions go to its workers with all they need, results come back in order.

A task is pure and carries its input, so that the scheduler can give it to another worker when its own is lost. Workers
need our package and nothing else: no file system is shared.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import structlog
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from stream.core.errors import UnavailableError
from stream.scale.software import check, software
from stream.scale.spread import HERE, Spread

if TYPE_CHECKING:
    from distributed import Client, Future

ADDRESS = "BRAGGSTREAM_CLUSTER"
"""Environment variable by which a process of ours is told the scheduler's address."""
PATIENCE = 10.0  # seconds to reach the scheduler
RETRIES = 2  # of a task that failed on its worker: for want of memory, say
AHEAD = 2  # tasks under way for each thread of the cluster
FEWEST = 8  # tasks under way, while workers are still to come

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that is connected."""

    address: str
    client: Client

    def map(self, function: Callable[..., Any], *columns: Any) -> Iterator[Any]:
        """As the builtin, on the workers; arguments are taken, and tasks begun, a few ahead of the results."""
        under_way: deque[Future[Any]] = deque()
        for arguments in zip(*columns, strict=True):
            while len(under_way) >= self.ahead:
                yield self.result(under_way.popleft())
            under_way.append(self.begin(function, *arguments))
        while under_way:
            yield self.result(under_way.popleft())

    def begin(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """A call on some worker; what another one will give may be among the arguments."""
        return self.client.submit(_work, software(), function, *arguments, pure=False, retries=RETRIES)

    def result(self, future: Future[Any]) -> Any:
        """What a call gave.

        Raises
        ------
        UnavailableError
            where the scheduler, or one worker after another, was lost; else what the call itself raised.
        """
        from distributed.comm import CommClosedError
        from distributed.scheduler import KilledWorker

        try:
            return future.result()
        except KilledWorker:
            text = "one worker after another died of the same task: see their logs, and their memory"
        except (CancelledError, CommClosedError):
            text = "the connection to the scheduler was lost"
        raise UnavailableError(f"the cluster at {self.address}: {text}")

    @property
    def ahead(self) -> int:
        """Tasks that are begun before the first result is asked for."""
        return max(AHEAD * self.threads, FEWEST)

    @property
    def threads(self) -> int:
        """Tasks that the cluster works on at a time."""
        return sum(self.client.nthreads().values())


@contextmanager
def connected(address: str) -> Iterator[Cluster]:
    """The cluster whose scheduler is at `address`; certificates are those of Dask's own configuration.

    Raises
    ------
    UnavailableError
        where Dask is not installed, nobody answers, or a worker has other software.
    """
    try:
        import dask
        from distributed import Client
    except ImportError:
        raise UnavailableError("a cluster needs Dask: pip install braggstream[dask]") from None
    try:
        asyncio.run(_reach(address))
    except (OSError, ValueError, TypeError) as error:
        raise UnavailableError(f"no Dask scheduler answers at {address}: {error}") from None
    with (
        dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}),  # tasks carry their input
        Client(address, timeout=PATIENCE, set_as_default=False, direct_to_workers=True) as client,
    ):
        _check_workers(client, address)
        cluster = Cluster(address, client)
        log.info("cluster.connected", address=address, workers=len(client.nthreads()), threads=cluster.threads)
        yield cluster


def spread_over(address: str | None) -> AbstractContextManager[Spread]:
    """The cluster at `address` as long work sees it, one thread a task; None: this process."""
    return nullcontext(HERE) if address is None else _spread(address)


@contextmanager
def _spread(address: str) -> Iterator[Spread]:
    with connected(address) as cluster:
        yield Spread(cluster.map, 1)


async def _reach(address: str) -> None:
    """Shake hands and go: a client that never came through would try for long to close."""
    from distributed import Security
    from distributed.comm import connect

    comm = await connect(address, timeout=PATIENCE, **Security().get_connection_args("client"))
    await comm.close()


def _check_workers(client: Client, address: str) -> None:
    try:
        client.run(check, software())
    except UnavailableError:
        raise
    except (ImportError, AttributeError) as error:
        raise UnavailableError(f"a worker of the cluster at {address} cannot load braggstream: {error}") from None


def _work(expected: Mapping[str, str], function: Callable[..., Any], *arguments: Any) -> Any:
    check(expected)  # a worker may have come since
    _quieten()
    return function(*arguments)


@cache
def _quieten() -> None:
    """As in analyse: the work is shared out to threads as it is, and sums are those of one."""
    threadpool_limits(1, "blas")
