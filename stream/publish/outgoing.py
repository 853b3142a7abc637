"""What goes from a run to Tiled, a request at a time: `live` as soon as there is a newer one, the rest after it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import structlog

from stream.core.config import Config
from stream.core.lifecycle import Status
from stream.core.revision import Revision, read_revision
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.core.vitals import Histogram
from stream.ingest.ledger_reader import LedgerReader
from stream.publish import tree
from stream.publish.client import TiledScan
from stream.publish.in_place import register_files
from stream.publish.metadata import read_failure, run_metadata
from stream.publish.projections import Projections
from stream.publish.volume import open_volume

MAPS_A_STEP = 4  # maps that a live revision refreshes, in turn; `live` holds all of them
FRAMES_EVERY = 1.0  # seconds between two refreshes of the counts
BUDGET = 8  # blocks of patterns that go with a live revision
STORED = frozenset({Status.COMPLETE, Status.INCOMPLETE})  # DIR/results.nxs is there

log = structlog.get_logger()


@dataclass(slots=True)
class Outgoing:
    """The newest state of a run on its way to the container of its scan.

    sent: the revision that the container's metadata vouch for, all of its arrays there; shown: that of `live`.
    delays: from the newest frame of a live revision to its `live`.
    """

    directory: RunDirectory
    config: Config
    scan: TiledScan
    run: str
    embedded: bool
    ledger: LedgerReader
    spectra: LedgerReader | None
    delays: Histogram
    sent: Revision | None = None
    shown: Revision | None = None
    _grid: ScanGrid = field(init=False)
    _projections: Projections = field(init=False)
    _stamp: tuple[int, int] | None = None
    _turn: int = 0
    _told_at: float = 0.0

    def __post_init__(self) -> None:
        """Tiled holds nothing that is known of."""
        self._grid = ScanGrid.from_config(self.config.scan)
        shape = (*self._grid.shape, self.config.integration.bins)
        self._projections = Projections(self.directory.patterns, shape, filled=self.embedded)

    def bring(self) -> None:
        """Everything that is due; a newer `live` goes before what is left of the rest."""
        self._show()
        for _ in self._due():
            self._show()

    def _show(self) -> None:
        """Write `live` where there is a newer revision; its own metadata vouch for it.

        `coming` is the revision that is being written: a reader who finds it equal to `revision` before and after
        reading has read this revision alone.
        """
        stamp = self._newest()
        revision = None if stamp in {None, self._stamp} else read_revision(self.directory.revision)
        if revision is None:
            return
        scan, node = self.scan, tree.live_node(self._grid)
        if scan.status.final:
            status = Status(revision.metadata["status"])
            scan.set_metadata("", {"status": (Status.FINISHING if status.final else status).value})
        scan.ensure(node)
        names = tree.live_planes(scan.metadata("live")["maps"], revision)
        scan.set_metadata("live", {"coming": revision.number})
        scan.write(node, tree.live_array(names, node, revision))
        used = revision.metadata.get("frames_used", 0)
        scan.set_metadata("live", {"maps": names, "revision": revision.number, "frames_used": used})
        self._measure(revision)
        self.shown, self._stamp = revision, stamp
        log.info("publish.live", revision=revision.number)

    def _measure(self, revision: Revision) -> None:
        """How long its newest frame took to come here; the first, the final, one without a new frame tell nothing."""
        newest = revision.metadata.get("newest")
        if self.shown is None or newest in {None, self.shown.metadata.get("newest")} or revision.metadata["final"]:
            return
        self.delays.observe(time.time() - newest)

    def _newest(self) -> tuple[int, int] | None:
        try:
            stat = self.directory.revision.stat()
        except FileNotFoundError:
            return None
        return stat.st_mtime_ns, stat.st_ino

    def _due(self) -> Iterator[None]:
        if self.shown is not None and self.shown is not self.sent:
            yield from self._rest(self.shown)
        elif self.sent is not None:
            yield from self._write_patterns(self.sent, BUDGET)
        if time.monotonic() - self._told_at >= FRAMES_EVERY:
            self._write_metadata()

    def _rest(self, revision: Revision) -> Iterator[None]:
        """Arrays first, then the metadata that vouch for them."""
        final = bool(revision.metadata["final"])
        nodes = tree.revision_nodes(revision, self.config.integration.unit)
        for path, node in nodes.items():
            if not path.startswith("maps/"):
                self.scan.write(node, revision.arrays[path])
                yield
        yield from self._write_patterns(revision, limit=None if final else BUDGET)
        yield from self._write_maps(revision, nodes, everything=final or self.sent is None)
        if Status(revision.metadata["status"]) in STORED:
            self._write_volume()
            if self.embedded:
                register_files(self.scan, self.directory)
        self.sent = revision
        self._write_metadata()
        log.debug("publish.revision", revision=revision.number, final=final)

    def _write_patterns(self, revision: Revision, limit: int | None) -> Iterator[None]:
        node = tree.patterns_node(self.config, self._grid)
        self.scan.ensure(node)
        frames = np.asarray(revision.arrays["projection_frames"], dtype=np.int64)
        due = self._projections.differing(frames) if limit is None else self._projections.grown(frames)
        for stretch in due[: None if self._projections.blank else limit]:
            block = self._projections.read(stretch, frames)
            self.scan.patch(node, (stretch[0], stretch[1].start), block)
            self._projections.wrote(stretch, block, frames)
            yield

    def _write_maps(self, revision: Revision, nodes: dict[str, tree.Node], *, everything: bool) -> Iterator[None]:
        maps = [path for path in nodes if path.startswith("maps/")]
        new = set(maps).difference(self.scan.paths("maps"))
        turn = {maps[(self._turn + n) % len(maps)] for n in range(min(MAPS_A_STEP, len(maps)))}
        self._turn += MAPS_A_STEP
        for path in maps if everything else turn | new:
            self.scan.write(nodes[path], revision.arrays[path])
            yield
        for path in (*self.scan.paths("maps"), *self.scan.paths("sinograms")):
            if path not in nodes:  # its region is gone: no number may stay that nobody updates
                self.scan.blank(path)
                yield

    def _write_volume(self) -> None:
        node = tree.volume_node(self.config, self._grid)
        with open_volume(self.directory.results, node.shape) as volume:
            if self.embedded:
                self.scan.register(node, self.directory.results, volume.name)
                return
            rows = node.chunks[1][0]
            for i in range(node.shape[0]):
                for block, first in enumerate(range(0, node.shape[1], rows)):
                    self.scan.write_block(node, (i, block, 0, 0), volume[i : i + 1, first : first + rows])

    def _write_metadata(self) -> None:
        """All of it after a revision; between two the counts, where they changed."""
        spectra = None if self.spectra is None else self.spectra.snapshot()
        failure = read_failure(self.directory)
        metadata = run_metadata(self.config, self.sent, self.ledger.snapshot(), failure, spectra)
        known = self.scan.metadata("")
        if any(known.get(key) != value for key, value in metadata.items() if key != "updated"):
            self.scan.set_metadata("", {**metadata, "run": self.run})
        self._told_at = time.monotonic()
