"""Keeps Tiled at the newest revision, in a thread of its own."""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx
import structlog

from stream.core.config import Config
from stream.core.files import read_json, write_json
from stream.core.lifecycle import Status
from stream.core.revision import Revision
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.core.vitals import Vitals
from stream.ingest.ledger_reader import LedgerReader

if TYPE_CHECKING:
    from stream.publish.outgoing import Outgoing

POLL = 0.02  # seconds between two looks at the run directory
BACKOFF = (0.5, 1.0, 2.0)  # seconds between two attempts while Tiled is away

log = structlog.get_logger()


@dataclass(slots=True)
class TiledPublisher:
    """The writer of one run in Tiled, embedded or the facility's.

    The newest revision wins; those in between are never sent. Tiled may be away: the thread keeps trying, and
    nothing else waits for it. DIR/published.json says what Tiled holds. failure is the error that ended the
    thread, None while it lives.
    """

    directory: RunDirectory
    config: Config
    url: str
    key: str
    failure: BaseException | None = None
    _ledger: LedgerReader = field(init=False)
    _spectra: LedgerReader | None = field(init=False)
    _run: str = field(init=False)
    _thread: threading.Thread | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _vitals: Vitals = field(init=False)
    _outgoing: Outgoing | None = None
    _revision: Revision | None = None
    _error: str | None = None

    def __post_init__(self) -> None:
        """Nothing is published yet; the run keeps the id that an earlier process gave it."""
        grid = ScanGrid.from_config(self.config.scan)
        self._ledger = LedgerReader(self.directory.ledger, grid)
        spectra = LedgerReader(self.directory.fluorescence.ledger, grid)
        self._spectra = None if self.config.fluorescence is None else spectra
        self._vitals = Vitals(self.directory.vitals / "publish.json")
        self._run = (read_json(self.directory.published) or {}).get("run") or uuid.uuid4().hex
        self._report()

    @property
    def embedded(self) -> bool:
        """True when the server is the run's own."""
        return self.config.publish.tiled == "embedded"

    def start(self) -> None:
        """Begin to publish."""
        self._thread = threading.Thread(target=self._live, name="tiled-publisher", daemon=True)
        self._thread.start()

    def close(self, timeout: float = 2.0) -> None:
        """Publish the newest state once more if Tiled is there, and end; waits no longer than `timeout` seconds."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def step(self) -> None:
        """Bring Tiled to the newest state.

        Raises
        ------
        httpx.HTTPError
            when the server is away or refuses; what was sent so far is complete arrays.
        """
        outgoing = self._attached()
        outgoing.bring()
        if outgoing.sent is not None and outgoing.sent is not self._revision:
            self._revision = outgoing.sent
            self._found()
            self._report()

    def _live(self) -> None:
        failed, last = 0, False
        try:
            while not last:
                last = self._stop.wait(BACKOFF[min(failed, len(BACKOFF)) - 1] if failed else POLL)
                if last and self._outgoing is None:
                    break
                try:
                    self.step()
                except httpx.HTTPError as error:
                    failed += 1
                    self._lost(error)
                else:
                    failed = 0
                    self._found()
                self._vitals.beat()
        except Exception as error:
            self.failure = error
            log.exception("publish.failed")
            raise
        finally:
            self._detach()

    def _detach(self) -> None:
        if self._outgoing is not None:
            self._outgoing.scan.close()
            self._outgoing = None

    def _attached(self) -> Outgoing:
        if self._outgoing is None:
            # takes seconds to import, and the page need not wait for it
            from stream.publish.client import attach
            from stream.publish.outgoing import Outgoing

            scan = attach(self.url, self.key, self.config.scan.name, self._run, embedded=self.embedded)
            self._outgoing = Outgoing(
                self.directory, self.config, scan, self._run, self.embedded, self._ledger, self._spectra,
                self._vitals.histogram("tiled"),
            )  # fmt: skip
        return self._outgoing

    def _lost(self, error: httpx.HTTPError) -> None:
        if self._error is None:
            log.warning("publish.tiled_away", url=self.url, error=str(error))
        self._error = str(error) or type(error).__name__
        self._report()
        self._detach()

    def _found(self) -> None:
        if self._error is not None:
            log.info("publish.tiled_back", url=self.url)
            self._error = None
            self._report()

    def _report(self) -> None:
        revision = self._revision
        report = {
            "run": self._run,
            "name": self._outgoing.scan.name if self._outgoing else None,
            "url": self.url,
            "revision": revision.number if revision else 0,
            "status": revision.metadata["status"] if revision else Status.WAITING,
            "final": bool(revision and revision.metadata["final"]),
            "error": self._error,
            "updated": time.time(),
        }
        write_json(self.directory.published, report)
