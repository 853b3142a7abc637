"""What a person at the terminal sees of a run: a progress bar there, plain lines elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from stream.cli.look import ranges_text
from stream.core.config import Config
from stream.core.lifecycle import Status
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.ingest.ledger_reader import LedgerReader, LedgerSnapshot
from stream.publish.metadata import run_status
from stream.service.addresses import Addresses
from stream.service.guard import read_status

EVERY = 0.5  # seconds between two looks
EVERY_PLAIN = 10.0  # between two lines that say the same, where there is no terminal


@dataclass(slots=True)
class Reporter:
    """Says where a run stands; call it often, it keeps its own pace."""

    directory: RunDirectory
    config: Config
    console: Console = field(default_factory=Console)
    _reader: LedgerReader = field(init=False)
    _bar: Progress | None = None
    _announced: bool = False
    _due: float = 0.0
    _said: Status | None = None
    _said_at: float = 0.0
    _events: int = field(init=False)

    def __post_init__(self) -> None:
        """Follow the run's ledger; what an earlier start of the run noted is not said again."""
        self._reader = LedgerReader(self.directory.ledger, ScanGrid.from_config(self.config.scan))
        self._events = len(self._reader.events())
        self._reader.close()

    def announce(self, addresses: Addresses) -> None:
        """Both addresses, on lines of their own."""
        self._announced = True
        self._print(f"run        {self.directory.path}")
        self._print(f"dashboard  {addresses.dashboard}")
        self._print(f"tiled      {addresses.tiled}")
        if self.console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                console=self.console, transient=True,
            )  # fmt: skip
            self._bar.add_task("waiting", total=None)
            self._bar.start()

    def __call__(self) -> None:
        """Say where the run stands, if it is time to."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + EVERY
        self._tell_events()
        status, snapshot = self._look()
        frames = snapshot.frames
        line, rate = str(status), snapshot.state.get("rate")
        if status is Status.ACQUIRING and rate:
            line += f" {rate:.3g} frames/s"
        if self._bar is not None:
            task = self._bar.task_ids[0]
            self._bar.update(task, description=line, completed=frames["integrated"], total=frames["expected"])
        elif status is not self._said or now - self._said_at >= EVERY_PLAIN:
            self._said, self._said_at = status, now
            self._print(f"{line}: {frames['integrated']} of {frames['expected']} frames")

    def close(self) -> None:
        """Take the bar away and leave one line of what was reached; nothing, where nothing was begun."""
        if not self._announced:
            return
        if self._bar is not None:
            self._bar.stop()
        self._tell_events()
        status, snapshot = self._look()
        frames = snapshot.frames
        rejected, dropped = sum(frames["rejected"].values()), sum(frames["dropped"].values())
        if frames["missing"]:
            self._print(f"missing frames: {ranges_text(frames['missing_ranges'])}")
        self._print(
            f"{status}: {frames['integrated']} of {frames['expected']} frames integrated, {frames['missing']} missing, "
            f"{frames['duplicate']} duplicate, {rejected} rejected, {dropped} dropped"
        )

    def _look(self) -> tuple[Status, LedgerSnapshot]:
        snapshot = self._reader.snapshot()
        self._reader.close()  # so that the last process can put the ledger at rest
        return run_status(read_status(self.directory), snapshot.state["phase"]), snapshot

    def _tell_events(self) -> None:
        events = self._reader.events()
        for _, text in events[self._events :]:
            self._print(f"note: {text}")
        self._events = len(events)

    def _print(self, line: str) -> None:
        self.console.print(line, soft_wrap=True, highlight=False, markup=False)
