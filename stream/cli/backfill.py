"""`braggstream backfill`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stream.cli.progress import Reporter
from stream.core.rundir import RunDirectory


def backfill(
    run: Annotated[Path, typer.Argument(help="The run directory.")],
    files: Annotated[list[Path], typer.Argument(help="The detector's HDF5 files, one for each series, in order.")],
) -> None:
    """Fill the frames that a run misses from the detector's own files, and make its final maps again."""
    from stream.service.backfill import backfill as perform

    directory = RunDirectory(run.resolve())
    reporter = Reporter(directory, directory.read_config())
    try:
        perform(run, files, typer.echo, tick=reporter)
    finally:
        reporter.close()
