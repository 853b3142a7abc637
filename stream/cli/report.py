"""What a person at the terminal sees of a run: a progress bar there, plain lines elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from stream.core.config import Config
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.ingest.ledger_reader import LedgerReader
from stream.service.guard import read_status
from stream.service.run import Addresses

EVERY_TERMINAL = 0.5
EVERY_PLAIN = 10.0


@dataclass(slots=True)
class Reporter:
    """Says where a run stands; call it often, it keeps its own pace."""

    directory: RunDirectory
    config: Config
    console: Console = field(default_factory=Console)
    _reader: LedgerReader = field(init=False)
    _bar: Progress | None = None
    _due: float = 0.0
    _said: str = ""

    def __post_init__(self) -> None:
        """Follow the run's ledger."""
        self._reader = LedgerReader(self.directory.ledger, ScanGrid.from_config(self.config.scan))

    def announce(self, addresses: Addresses) -> None:
        """Both addresses, on lines of their own."""
        self.console.print(f"run        {self.directory.path}", soft_wrap=True, highlight=False)
        self.console.print(f"dashboard  {addresses.dashboard}", soft_wrap=True, highlight=False)
        self.console.print(f"tiled      {addresses.tiled}", soft_wrap=True, highlight=False)
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
        self._due = now + EVERY_TERMINAL
        status = read_status(self.directory)
        snapshot = self._reader.snapshot()
        frames = snapshot.frames
        rate = snapshot.state.get("rate") or 0.0
        if self._bar is not None:
            self._bar.update(
                self._bar.task_ids[0],
                description=f"{status} {rate:.0f} frames/s",
                completed=frames["integrated"],
                total=frames["expected"],
            )
            return
        if status == self._said:
            self._due = now + EVERY_PLAIN
        self._said = status
        self.console.print(
            f"{status}: {frames['integrated']} of {frames['expected']} frames, {rate:.0f} frames/s", highlight=False
        )

    def close(self) -> None:
        """Take the bar away and leave one line of what was reached."""
        if self._bar is not None:
            self._bar.stop()
        frames = self._reader.snapshot().frames
        rejected, dropped = sum(frames["rejected"].values()), sum(frames["dropped"].values())
        self.console.print(
            f"{read_status(self.directory)}: {frames['integrated']} integrated, {frames['missing']} missing, "
            f"{frames['duplicate']} duplicate, {rejected} rejected, {dropped} dropped",
            highlight=False,
        )
