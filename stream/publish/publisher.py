"""Keeps Tiled at the newest revision, in a thread of its own."""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx
import numpy as np
import structlog

from stream.core.config import Config
from stream.core.files import read_json, write_json
from stream.core.lifecycle import Status
from stream.core.revision import Revision, read_revision
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.ingest.ledger_reader import LedgerReader
from stream.publish import tree
from stream.publish.metadata import public_url, read_failure, run_metadata
from stream.publish.projections import Projections
from stream.publish.volume import open_volume

if TYPE_CHECKING:
    from stream.publish.client import TiledScan

POLL = 0.05  # seconds between two looks at the run directory
MAPS_A_STEP = 4  # maps that a live step refreshes, in turn; `live` holds all of them at every step
FRAMES_EVERY = 1.0  # seconds between two refreshes of the counts
BUDGET = 8  # blocks of patterns in one live step, so that the next map is not kept waiting
BACKOFF = (0.5, 1.0, 2.0)  # seconds between two attempts while Tiled is away
STORED = frozenset({Status.COMPLETE, Status.INCOMPLETE})  # DIR/results.nxs is there

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
    _grid: ScanGrid = field(init=False)
    _ledger: LedgerReader = field(init=False)
    _spectra: LedgerReader | None = field(init=False)
    _run: str = field(init=False)
    _thread: threading.Thread | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _scan: TiledScan | None = None
    _projections: Projections = field(init=False)
    _stamp: tuple[int, int] | None = None
    _revision: Revision | None = None
    _error: str | None = None
    _turn: int = 0
    _frames_at: float = 0.0

    def __post_init__(self) -> None:
        """Nothing is published yet; the run keeps the id that an earlier process gave it."""
        self._grid = ScanGrid.from_config(self.config.scan)
        self._ledger = LedgerReader(self.directory.ledger, self._grid)
        spectra = LedgerReader(self.directory.fluorescence.ledger, self._grid)
        self._spectra = None if self.config.fluorescence is None else spectra
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
        scan = self._attached()
        stamp = self._newest()
        if stamp is not None and stamp != self._stamp:
            revision = read_revision(self.directory.revision)
            if revision is not None:
                self._publish(scan, revision)
                self._stamp = stamp
        elif self._revision is not None:
            self._write_patterns(scan, self._revision, limit=BUDGET)
        if time.monotonic() - self._frames_at >= FRAMES_EVERY:
            self._write_metadata(scan)

    def _live(self) -> None:
        failed, last = 0, False
        try:
            while not last:
                last = self._stop.wait(BACKOFF[min(failed, len(BACKOFF)) - 1] if failed else POLL)
                if last and self._scan is None:
                    break
                try:
                    self.step()
                except httpx.HTTPError as error:
                    failed += 1
                    self._lost(error)
                else:
                    failed = 0
                    self._found()
        except Exception as error:
            self.failure = error
            log.exception("publish.failed")
            raise
        finally:
            self._detach()

    def _detach(self) -> None:
        if self._scan is not None:
            self._scan.close()
            self._scan = None

    def _attached(self) -> TiledScan:
        if self._scan is None:
            from stream.publish.client import attach  # takes seconds to import, and the page need not wait for it

            self._scan = attach(self.url, self.key, self.config.scan.name, self._run, embedded=self.embedded)
            shape = (*self._grid.shape, self.config.integration.bins)
            self._projections = Projections(self.directory.patterns, shape, filled=self.embedded)
            self._stamp, self._revision = None, None
        return self._scan

    def _newest(self) -> tuple[int, int] | None:
        try:
            stat = self.directory.revision.stat()
        except FileNotFoundError:
            return None
        return stat.st_mtime_ns, stat.st_ino

    def _publish(self, scan: TiledScan, revision: Revision) -> None:
        """Arrays first, then the metadata that vouch for them."""
        final = bool(revision.metadata["final"])
        if scan.status.final:
            status = Status(revision.metadata["status"])
            scan.set_metadata("", {"status": (Status.FINISHING if status.final else status).value})
        nodes = tree.revision_nodes(revision, self.config.integration.unit)
        self._write_live(scan, revision)
        for path, node in nodes.items():
            if not path.startswith("maps/"):
                scan.write(node, revision.arrays[path])
        self._write_patterns(scan, revision, limit=None if final else BUDGET)
        self._write_maps(scan, revision, nodes, everything=final or self._revision is None)
        if Status(revision.metadata["status"]) in STORED:
            self._write_volume(scan)
        self._revision = revision
        self._write_metadata(scan)
        self._found()
        self._report()
        log.debug("publish.revision", revision=revision.number, final=final)

    def _write_live(self, scan: TiledScan, revision: Revision) -> None:
        node = tree.live_node(self._grid)
        scan.ensure(node)
        names = tree.live_planes(scan.metadata("live")["maps"], revision)
        scan.write(node, tree.live_array(names, node, revision))
        scan.set_metadata("live", {"maps": names, "revision": revision.number})

    def _write_patterns(self, scan: TiledScan, revision: Revision, limit: int | None) -> None:
        node = tree.patterns_node(self.config, self._grid)
        scan.ensure(node)
        frames = np.asarray(revision.arrays["projection_frames"], dtype=np.int64)
        due = self._projections.differing(frames) if limit is None else self._projections.grown(frames)
        for stretch in due[: None if self._projections.blank else limit]:
            block = self._projections.read(stretch, frames)
            scan.patch(node, (stretch[0], stretch[1].start), block)
            self._projections.wrote(stretch, block, frames)

    def _write_maps(
        self, scan: TiledScan, revision: Revision, nodes: dict[str, tree.Node], *, everything: bool
    ) -> None:
        maps = [path for path in nodes if path.startswith("maps/")]
        new = set(maps).difference(scan.paths("maps"))
        turn = {maps[(self._turn + n) % len(maps)] for n in range(min(MAPS_A_STEP, len(maps)))}
        self._turn += MAPS_A_STEP
        for path in maps if everything else turn | new:
            scan.write(nodes[path], revision.arrays[path])
        for path in (*scan.paths("maps"), *scan.paths("sinograms")):
            if path not in nodes:  # its region is gone: no number may stay that nobody updates
                scan.blank(path)

    def _write_volume(self, scan: TiledScan) -> None:
        node = tree.volume_node(self.config, self._grid)
        with open_volume(self.directory.results, node.shape) as volume:
            if self.embedded:
                scan.register(node, self.directory.results, volume.name)
                return
            rows = node.chunks[1][0]
            for i in range(node.shape[0]):
                for block, first in enumerate(range(0, node.shape[1], rows)):
                    scan.write_block(node, (i, block, 0, 0), volume[i : i + 1, first : first + rows])

    def _write_metadata(self, scan: TiledScan) -> None:
        """All of it after a revision; between two the counts, where they changed."""
        spectra = None if self._spectra is None else self._spectra.snapshot()
        failure = read_failure(self.directory)
        metadata = run_metadata(self.config, self._revision, self._ledger.snapshot(), failure, spectra)
        sent = scan.metadata("")
        if any(sent.get(key) != value for key, value in metadata.items() if key != "updated"):
            scan.set_metadata("", {**metadata, "run": self._run})
        self._frames_at = time.monotonic()

    def _lost(self, error: httpx.HTTPError) -> None:
        if self._error is None:
            log.warning("publish.tiled_away", url=public_url(self.url), error=str(error))
        self._error = str(error) or type(error).__name__
        self._report()
        self._detach()

    def _found(self) -> None:
        if self._error is not None:
            log.info("publish.tiled_back", url=public_url(self.url))
            self._error = None
            self._report()

    def _report(self) -> None:
        revision = self._revision
        report = {
            "run": self._run,
            "name": self._scan.name if self._scan else None,
            "url": public_url(self.url),
            "revision": revision.number if revision else 0,
            "status": revision.metadata["status"] if revision else Status.WAITING,
            "final": bool(revision and revision.metadata["final"]),
            "error": self._error,
            "updated": time.time(),
        }
        write_json(self.directory.published, report)
