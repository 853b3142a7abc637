"""`braggstream validate`, `inspect` and `status`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from stream.core.config import load_config
from stream.core.errors import RunDirectoryError, UnavailableError, UsageError
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid

TIMEOUT = 5.0


def validate(config: Annotated[Path, typer.Argument(help="The config (YAML).")]) -> None:
    """Check a config and every file it names."""
    from stream.service.check import check

    for line in check(load_config(config)):
        typer.echo(line)


def inspect(path: Annotated[Path, typer.Argument(help="A run directory or a recording.")]) -> None:
    """Say what a run directory or a recording holds."""
    from stream.ingest.recorded import recording_summary

    if not path.exists():
        raise UsageError(f"there is no {path}")
    directory = RunDirectory(path)
    console = Console()
    is_run = directory.config.is_file()
    if is_run:
        console.print(_run_table(directory))
    try:
        console.print(_recording_table(recording_summary(path)))
    except RunDirectoryError:
        if not is_run:
            raise
        console.print("recording: none")


def status(url: Annotated[str, typer.Argument(help="The dashboard's address.")] = "http://127.0.0.1:8080") -> None:
    """Ask a running processor how it stands."""
    import httpx

    address = url.partition("#")[0].rstrip("/")
    try:
        answer = httpx.get(f"{address}/api/v1/status", timeout=TIMEOUT)
        answer.raise_for_status()
        told = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise UnavailableError(f"no braggstream answers at {address}: {error}") from None
    table = _table(f"{told.get('scan', address)}")
    for key in ("status", "revision", "rate", "latency", "eta", "center_um", "center_from", "residual"):
        if told.get(key) is not None:
            table.add_row(key, _short(told[key]))
    _add_frames(table, told["frames"])
    Console().print(table)


def _run_table(directory: RunDirectory) -> Table:
    from stream.ingest.ledger_reader import LedgerReader
    from stream.service.guard import read_status

    config = directory.read_config()
    grid = ScanGrid.from_config(config.scan)
    reader = LedgerReader(directory.ledger, grid)
    table = _table(f"run {config.scan.name}")
    table.add_row("status", read_status(directory))
    table.add_row("grid", "{} slices × {} angles × {} positions".format(*grid.shape))
    _add_frames(table, reader.snapshot().frames)
    for path in (directory.results, directory.journal):
        table.add_row(path.name, f"{path.stat().st_size / 1e6:.1f} MB" if path.exists() else "not there")
    for _, text in reader.events()[-10:]:
        table.add_row("event", text)
    return table


def _recording_table(files: list[Any]) -> Table:
    table = Table("file", "messages", "images", "pixels", "size", "closed", title="recording", title_justify="left")
    for file in files:
        pixels = f"{file.shape} {file.dtype}" if file.shape else "–"
        closed = "yes" if file.closed else "no"
        table.add_row(file.file, str(file.messages), str(file.images), pixels, f"{file.size / 1e6:.1f} MB", closed)
    return table


def _add_frames(table: Table, frames: dict[str, Any]) -> None:
    for key in ("expected", "received", "integrated", "duplicate", "in_flight", "missing"):
        table.add_row(key, str(frames[key]))
    for kind in ("rejected", "dropped"):
        for reason, n in frames[kind].items():
            table.add_row(f"{kind} {reason}", str(n))
    ranges = frames["missing_ranges"]
    if ranges and frames["integrated"]:
        more = " …" if len(ranges) > 8 else ""
        table.add_row("missing frames", ", ".join(f"{a}–{b}" if a < b else str(a) for a, b in ranges[:8]) + more)


def _table(title: str) -> Table:
    return Table("", "", show_header=False, title=title, title_justify="left", title_style="bold")


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
