"""`braggstream runs`."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stream.cli.run import RUNS
from stream.core.errors import RunDirectoryError, UsageError
from stream.service.runs import Run, list_runs, removable, remove

GB = 1e9


def runs(
    folder: Annotated[Path, typer.Argument(help="The folder whose run directories are listed.")] = RUNS,
    older_than: Annotated[float | None, typer.Option(min=0, help="Only finished runs that are older, in days.")] = None,
    down_to: Annotated[
        float | None, typer.Option(min=0, help="Only the oldest finished ones above so many GB.")
    ] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Remove what --older-than and --down-to choose.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """List run directories; remove finished ones by age and size. One that is unfinished or in use is never removed."""
    if prune and older_than is None and down_to is None:
        raise UsageError("--prune needs --older-than DAYS or --down-to GB, which say what is to go")
    found = list_runs(folder)
    if older_than is not None or down_to is not None:
        found = removable(found, time.time(), older_than, None if down_to is None else down_to * GB)
    size = sum(run.size for run in found) / GB
    Console().print(_table(found, f"{len(found)} in {folder}, {size:.3g} GB"))
    for run in found:
        if run.problem:
            typer.echo(f"{run.path.name}: {run.problem}")
    if not prune or not found:
        return
    if not yes:
        typer.confirm(f"remove these {len(found)} runs with their recordings and results?", abort=True)
    for run in found:
        try:
            remove(run)
        except RunDirectoryError as error:  # somebody has opened it meanwhile, or still serves it
            typer.echo(f"kept: {error}")
        else:
            typer.echo(f"removed {run.path}")


def _table(found: list[Run], title: str) -> Table:
    table = Table("run", "sample", "status", "frames", "started", "MB", title=title, title_justify="left", box=SIMPLE)
    for run in found:
        status = "not readable" if run.status is None else str(run.status)
        started = "–" if run.started is None else f"{datetime.fromtimestamp(run.started):%Y-%m-%d %H:%M}"
        sample = Text(run.sample, no_wrap=True, overflow="ellipsis")
        frames, size = f"{run.integrated} of {run.expected}", f"{run.size / 1e6:.1f}"
        table.add_row(Text(run.path.name), sample, status, frames, started, size)
    for column in table.columns:
        column.no_wrap = column.header != "sample"  # which alone gives way where the terminal is narrow
    return table
