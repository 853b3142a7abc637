"""Where the cluster comes from: one that runs, processes on this machine, or SLURM jobs.

Each gives the environment by which a run's processes find the cluster.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from stream.core.errors import UnavailableError, UsageError
from stream.scale.cluster import ADDRESS, connected

Environment = dict[str, str]
PAGE = "127.0.0.1:0"
"""Of a scheduler of ours, where Dask shows its own page: loopback, some free port."""


def workers(
    address: str | None, local: int | None = None, jobs: int | None = None
) -> AbstractContextManager[Environment]:
    """The one of the three that is asked for; nothing where none is.

    Raises
    ------
    UsageError
        where more than one is.
    """
    if sum(each is not None for each in (address, local, jobs)) > 1:
        raise UsageError("--cluster, --local and --slurm exclude each other")
    if address is not None:
        return at(address)
    if local is not None:
        return here(local)
    return nullcontext({}) if jobs is None else slurm(jobs)


@contextmanager
def at(address: str) -> Iterator[Environment]:
    """A cluster that runs, looked at before anything else begins; errors as `connected`."""
    with connected(address):
        pass
    yield {ADDRESS: address}


@contextmanager
def here(processes: int) -> Iterator[Environment]:
    """Worker processes on this machine, which share its cores; who lacks the certificate does not get in."""
    try:
        from distributed import LocalCluster, Security
    except ImportError:
        raise UnavailableError("--local needs Dask: pip install braggstream[dask]") from None
    threads = max(1, len(os.sched_getaffinity(0)) // processes)
    security = Security.temporary()
    options = {"host": "127.0.0.1", "dashboard_address": PAGE, "security": security, "silence_logs": logging.ERROR}
    with LocalCluster(n_workers=processes, threads_per_worker=threads, **options) as cluster:
        yield {ADDRESS: cluster.scheduler_address, **_certificates(security.get_tls_config_for_role("client"))}


@contextmanager
def slurm(jobs: int) -> Iterator[Environment]:
    """So many SLURM jobs as Dask's own configuration (jobqueue.slurm) describes them, with a certificate as `here`."""
    try:
        import dask
        from dask_jobqueue import SLURMCluster
        from distributed import Security
    except ImportError:
        raise UnavailableError("--slurm needs dask-jobqueue: pip install braggstream[dask]") from None
    security, asked = Security.temporary(), dask.config.get("jobqueue.slurm", {})
    with SLURMCluster(
        security=security,
        shared_temp_directory=asked.get("shared-temp-directory") or str(Path.cwd()),  # the jobs read it there
        scheduler_options={"dashboard_address": PAGE, **asked.get("scheduler-options", {})},
    ) as cluster:
        cluster.scale(jobs=jobs)
        yield {ADDRESS: cluster.scheduler_address, **_certificates(security.get_tls_config_for_role("client"))}


def _certificates(tls: Mapping[str, str]) -> Environment:
    """Dask's configuration of them, as it is read from the environment."""
    prefix = "DASK_DISTRIBUTED__COMM__"
    names = {"ca_file": "TLS__CA_FILE", "cert": "TLS__CLIENT__CERT", "key": "TLS__CLIENT__KEY"}
    return {prefix + "REQUIRE_ENCRYPTION": "true", **{prefix + name: tls[key] for key, name in names.items()}}
