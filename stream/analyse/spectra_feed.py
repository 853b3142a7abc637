"""Following the fluorescence stream beside the diffraction: what is new in its journal, and whether more is to come."""

from __future__ import annotations

from dataclasses import dataclass

from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.ingest.journal import Journal
from stream.ingest.ledger import FrameRow
from stream.ingest.ledger_reader import LedgerReader


@dataclass(slots=True)
class SpectraFeed:
    """Rows of the fluorescence ledger; ledger and journal may not exist yet, or never."""

    directory: RunDirectory
    ledger: LedgerReader
    journal: Journal | None = None
    _last_row: int = 0

    @classmethod
    def of(cls, directory: RunDirectory, grid: ScanGrid) -> SpectraFeed:
        """The feed of a run's fluorescence stream."""
        return cls(directory.fluorescence, LedgerReader(directory.fluorescence.ledger, grid))

    @property
    def arriving(self) -> bool:
        """True while spectra come, so that the final maps wait for them; its own silence ends the stream.

        A stream that has not begun is waited for where it comes from a recording, which always ends.
        """
        state = self.ledger.snapshot().state
        if "live" not in state:  # its ingest is still starting
            return True
        return bool(state["phase"] == "acquiring" or (not state["live"] and state["phase"] != "ended"))

    def rows(self) -> list[FrameRow]:
        """Rows since the last call; their patterns are in the journal."""
        rows = self.ledger.rows(self._last_row)
        if rows:
            self._last_row = rows[-1].id
            self.journal = self.journal or Journal.read_only(self.directory.journal)
        return rows
