"""`braggstream export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from stream.core.rundir import RunDirectory

Format = Literal["nexus", "csv", "png", "tiff", "npy"]


def export(
    run: Annotated[Path, typer.Argument(help="A run directory.")],
    form: Annotated[
        Format, typer.Option("--format", help="nexus: the final result in one file; else its maps.")
    ] = "nexus",
    maps: Annotated[list[str] | None, typer.Option("--map", help="Only this map; may be repeated.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write into.")] = Path(),
) -> None:
    """Write the result of a run, or its maps, as files for other programs."""
    from stream.core.errors import UsageError
    from stream.dashboard.view import RunView
    from stream.report.export import export_maps, export_results

    directory = RunDirectory(run)
    view = RunView(directory, directory.read_config())
    if form != "nexus":
        for path in export_maps(view, maps or [], form, output):
            typer.echo(path)
    elif maps:
        raise UsageError(f"--map is {maps[0]!r}: it goes with --format csv, png, tiff or npy; nexus holds all of them")
    else:
        typer.echo(export_results(view, output))
