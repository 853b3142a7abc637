"""`braggstream validate` and `inspect`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stream.core.config import load_config
from stream.core.errors import RunDirectoryError, UsageError
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.publish.metadata import WARNINGS, read_failure, run_metadata, run_status

RANGES = 8  # of missing frames that are listed


def validate(config: Annotated[Path, typer.Argument(help="The config (YAML).")]) -> None:
    """Check a config and every file it names."""
    from stream.service.check import check
    from stream.service.watch import STAND_IN, awaits_plan

    planned = awaits_plan(config)
    for line in check(load_config(config, scan=STAND_IN if planned else None), planned=planned):
        typer.echo(line)


def inspect(path: Annotated[Path, typer.Argument(help="A run directory or a recording.")]) -> None:
    """Say what a run directory or a recording holds."""
    from stream.ingest.recorded import recording_summary
    from stream.service.guard import holds_run

    if not path.exists():
        raise UsageError(f"there is no {path}")
    directory = RunDirectory(path)
    console = Console()
    is_run = holds_run(directory)
    if is_run:
        console.print(_run_table(directory))
    try:
        console.print(_recording_table(recording_summary(path)))
    except RunDirectoryError:
        if not is_run:
            raise
        console.print("no recording: the frames of this run cannot be replayed")


def _run_table(directory: RunDirectory) -> Table:
    from stream.core.revision import read_revision
    from stream.ingest.ledger_reader import LedgerReader
    from stream.service.guard import read_status

    config = directory.read_config()
    grid = ScanGrid.from_config(config.scan)
    reader = LedgerReader(directory.ledger, grid)
    snapshot, revision = reader.snapshot(), read_revision(directory.revision)
    reader.close()
    spectra = None
    if config.fluorescence is not None:
        reader = LedgerReader(directory.fluorescence.ledger, grid)
        spectra = reader.snapshot()
        reader.close()
    told = run_metadata(config, revision, snapshot, read_failure(directory), spectra)
    table = table_of(f"run {config.scan.name}")
    table.add_row("status", run_status(read_status(directory), snapshot.state["phase"]))
    add_warnings(table, told)
    table.add_row("grid", "{} slices × {} angles × {} positions".format(*grid.shape))
    add_frames(table, snapshot.frames)
    if spectra is not None:
        table.add_row("spectra", "{integrated} of {expected}, {missing} missing".format(**spectra.frames))
    if revision is not None:
        add_maps(table, told)
        table.add_row("maps", ", ".join(revision.maps))
    for path in (directory.results, directory.journal):
        table.add_row(path.name, f"{path.stat().st_size / 1e6:.1f} MB" if path.exists() else "not there")
    add_notes(table, told)
    return table


def _recording_table(files: list[Any]) -> Table:
    table = Table("file", "messages", "images", "pixels", "size", "closed", title="recording", title_justify="left")
    for file in files:
        pixels = f"{file.shape} {file.dtype}" if file.shape else "–"
        closed = "yes" if file.closed else "no"
        table.add_row(file.file, str(file.messages), str(file.images), pixels, f"{file.size / 1e6:.1f} MB", closed)
    return table


def add_frames(table: Table, frames: dict[str, Any]) -> None:
    """Counts, and which frames are missing."""
    for key in ("expected", "received", "integrated", "duplicate", "in_flight", "missing"):
        table.add_row(key.replace("_", " "), str(frames[key]))
    for kind in ("rejected", "dropped"):
        for reason, n in frames[kind].items():
            _add(table, f"{kind} {reason}", str(n))
    if frames["missing"]:
        table.add_row("missing frames", ranges_text(frames["missing_ranges"]))


def ranges_text(ranges: list[list[int]]) -> str:
    """Frame numbers in the order of the visit, both ends of a range among them: 12–15, 40 and 3 more."""
    listed = ", ".join(f"{first}–{last}" if first < last else str(first) for first, last in ranges[:RANGES])
    return listed + (f" and {len(ranges) - RANGES} more" if len(ranges) > RANGES else "")


def add_warnings(table: Table, told: Mapping[str, Any]) -> None:
    """What a person must see at once."""
    for key in WARNINGS:
        if told.get(key):
            table.add_row(Text(key.replace("_", " "), style="bold red"), Text(told[key], style="bold red"))
    if told.get("disconnected"):
        table.add_row("socket", "closed: the grid is full")


def add_notes(table: Table, told: Mapping[str, Any]) -> None:
    """The newest events, oldest first."""
    for time, text in reversed(told.get("notes", [])):
        _add(table, f"{datetime.fromtimestamp(time):%Y-%m-%d %H:%M:%S}", text)


def _add(table: Table, name: str, text: str) -> None:
    """A row of what others wrote: brackets in it are no markup."""
    table.add_row(Text(name), Text(text))


def add_maps(table: Table, told: Mapping[str, Any]) -> None:
    """The newest maps."""
    table.add_row("revision", str(told["revision"]))
    if told.get("center_um") is not None:
        table.add_row("rotation axis", f"{told['center_um']:.2f} µm (from {told['center_from']})")
    if told.get("residual") is not None:
        table.add_row("residual", f"{told['residual']:.3g}")


def table_of(title: str) -> Table:
    """A table of names and values."""
    return Table("", "", show_header=False, title=title, title_justify="left", title_style="bold")
