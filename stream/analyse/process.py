"""Analyse as a process: follow the journal, publish revisions, store the final result."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import structlog
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from stream.analyse.classify.labels import Labels
from stream.analyse.delays import Delays
from stream.analyse.pace import Pace
from stream.analyse.pipeline import Maps, Pipeline
from stream.analyse.spectra_feed import SpectraFeed
from stream.core.axis import RadialAxis
from stream.core.commands import Command, read_commands
from stream.core.config import Config, Region
from stream.core.files import read_json, write_json
from stream.core.lifecycle import Happening, Status, advance
from stream.core.revision import Revision, read_revision, write_revision
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.ingest.journal import Journal
from stream.ingest.ledger_reader import LedgerReader

POLL = 0.02  # seconds between two turns, which take 0.1 ms while nothing is new
RESTING = 10  # updates without a new frame before the live volume rests

log = structlog.get_logger()


def run_analyse(directory: RunDirectory, stop: threading.Event, cluster: str | None = None) -> None:
    """Follow the run in `directory` until `stop` is set; final results come from the cluster, where there is one."""
    config = directory.read_config()
    grid = ScanGrid.from_config(config.scan)
    ledger = LedgerReader(directory.ledger, grid)
    while not {"axis", "distance_um"} <= (state := ledger.snapshot().state).keys():
        if stop.wait(POLL):
            return
    threadpool_limits(1, "blas")  # its threads spin while they wait, and the work is shared out to threads as it is
    axis = RadialAxis(**state["axis"])
    pipeline = Pipeline.create(directory, config, grid, axis, state["background"], state["distance_um"], cluster)
    feed = None if config.fluorescence is None else SpectraFeed.of(directory, grid)
    Follower(directory, config, ledger, Journal.read_only(directory.journal), pipeline, feed).run(stop)


@dataclass(slots=True)
class Follower:
    """Turns what ingest journals into revisions; the only writer of the run's status."""

    directory: RunDirectory
    config: Config
    ledger: LedgerReader
    journal: Journal
    pipeline: Pipeline
    feed: SpectraFeed | None = None
    status: Status = Status.WAITING
    revision: int = 0
    started: float = field(default_factory=time.time)
    _last_row: int = 0
    _last_command: int = 0
    _idle: int = 0
    pace: Pace = field(init=False)
    delays: Delays = field(init=False)

    def __post_init__(self) -> None:
        """Know the lines of the scan."""
        scan, every = self.config.scan, self.config.reconstruction.update_every
        self.pace = Pace.of(self.pipeline.store.grid, scan, every)
        self.delays = Delays.of(self.directory)

    def run(self, stop: threading.Event) -> None:
        """One turn after another."""
        self.resume()
        while not stop.wait(POLL):
            self.delays.vitals.beat()
            self.turn()

    def turn(self) -> None:
        """Take what is new; update the maps when they are due; finish when the acquisition has ended."""
        self._obey(read_commands(self.directory.commands, self._last_command))
        if self.status is Status.ABORTED:
            return
        # the phase is read before the rows: when it says ended and none is new, all are here
        phase = self.ledger.snapshot().state["phase"]
        arriving = self.feed is not None and self.feed.arriving
        grown = self._take() | self._take_spectra()
        if self.status.final:
            return
        if phase == "ended" and not arriving and not grown:
            self._finish()
        elif self.pace.due() and (self.pipeline.frames or self.pipeline.spectra) and self._idle <= RESTING:
            self._update()

    def _take(self) -> bool:
        """Take what was journalled since the last turn; False where nothing was."""
        rows = self.ledger.rows(self._last_row)
        if not rows:
            return False
        self.pipeline.take(self.journal, rows)
        self.delays.take(rows)
        self._last_row = rows[-1].id
        self.pace.take(row.slot for row in rows)
        self._idle = 0
        self._advance(Happening.FRAME)
        return True

    def _take_spectra(self) -> bool:
        """The same of the fluorescence stream, whose frames begin no run, and reopen one whose maps are stored."""
        rows = [] if self.feed is None else self.feed.rows()
        if self.feed is None or self.feed.journal is None or not rows:
            return False
        self.pipeline.take_spectra(self.feed.journal, rows)
        self._idle = 0
        if self.status in {Status.COMPLETE, Status.INCOMPLETE}:
            self.status = Status.ACQUIRING
        return True

    def _update(self) -> None:
        self._idle = 0 if self.pipeline.learning else self._idle + 1
        begun = time.monotonic()
        self.pace.begin()
        self.pipeline.update()
        self._publish(self.pipeline.maps(), final=False)
        published = time.monotonic()
        self.delays.updated(published - begun)
        self.pipeline.refine()  # what it finds goes with the next maps, so that these need not wait
        log.info(
            "analyse.updated",
            revision=self.revision,
            frames=self.pipeline.frames,
            seconds=round(published - begun, 3),
            refining=round(time.monotonic() - published, 3),
        )

    def _finish(self) -> None:
        record = self.ledger.record()
        if any(row.id > self._last_row for row in record.rows):
            return  # one came meanwhile: the next turn takes it first
        self._advance(Happening.ENDED)
        self._store_state()
        begun = time.monotonic()
        arrays, told = self.pipeline.finish(record)
        full = self.pipeline.frames == self.pipeline.store.grid.size
        self._advance(Happening.STORED_FULL if full else Happening.STORED_PARTIAL)
        self._publish((arrays, told), final=True)
        log.info("analyse.finished", status=self.status, seconds=round(time.monotonic() - begun, 3))

    def _publish(self, maps: Maps, *, final: bool) -> None:
        arrays, told = maps
        self.revision += 1
        metadata = {
            **told,
            "status": self.status,
            "final": final,
            "frames_used": self.pipeline.frames,
            "newest": self.delays.newest,
            "started": self.started,
            "updated": time.time(),
        }
        write_revision(self.directory.revision, Revision(number=self.revision, metadata=metadata, arrays=arrays))
        self._store_state()

    def _store_state(self) -> None:
        state = {
            "status": self.status,
            "revision": self.revision,
            "frames_used": self.pipeline.frames,
            "spectra_used": self.pipeline.spectra,
            "started": self.started,
        }
        write_json(self.directory.state, state)

    def _advance(self, happening: Happening) -> None:
        self.status = advance(self.status, happening)

    def resume(self) -> None:
        """Go on from what an earlier process stored; maps that are final stay, until a late frame reopens the run."""
        state = read_json(self.directory.state)
        if not state:
            return
        self.revision, self.started = state["revision"], state["started"]
        status, rows = Status(state["status"]), self.ledger.rows(0)
        stored = status.final and status is not Status.FAILED
        used = len(rows), 0 if self.feed is None else len(self.feed.ledger.rows(0))
        known = state["frames_used"], state.get("spectra_used", 0)
        if not stored or used != known or read_revision(self.directory.revision) is None:
            self.status = Status.ACQUIRING if rows else Status.WAITING
            return
        self._take_spectra()
        self.status = status
        self.pipeline.take(self.journal, rows)
        self._last_row = rows[-1].id if rows else 0
        for command in read_commands(self.directory.commands):  # they count again should the run be reopened
            self._apply(command)
            self._last_command = command.number

    def _obey(self, commands: list[Command]) -> None:
        for command in commands:
            self._last_command = command.number
            log.info("command", number=command.number, kind=command.kind)
            self._apply(command)
            if command.kind == "abort" and not self.status.final:
                self._advance(Happening.ABORT)
                self.pipeline.update()
                self.pipeline.refine()
                self._publish(self.pipeline.maps(), final=True)
                continue
            if command.kind in {"regions", "labels", "recompute"}:
                self._idle = 0
                self.pace.hurry()
                if self.status.final and self.status is not Status.ABORTED:
                    self.status = Status.ACQUIRING

    def _apply(self, command: Command) -> None:
        """What a command says of how the data are looked at."""
        if command.kind == "regions":
            self.pipeline.add_regions([Region.model_validate(r) for r in command.arguments["regions"]])
        elif command.kind == "labels":
            self.pipeline.add_labels(Labels.from_dict(command.arguments))
