"""`braggstream simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stream.core.errors import UsageError


def simulate(
    preset: Annotated[str, typer.Option(help="The sample.")] = "ncm622-cycled",
    config: Annotated[Path | None, typer.Option(help="A run's config: its grid, geometry and endpoint.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="Where to send; tcp://…")] = None,
    format: Annotated[str | None, typer.Option(help="dectris-1 or dectris-2")] = None,
    rate: Annotated[float, typer.Option(help="Frames a second; 0: as fast as they are taken.")] = 0.0,
    faults: Annotated[str, typer.Option(help="Such as drop:0.01,duplicate:0.01,reorder:3,corrupt:0.005,no-end")] = "",
    seed: Annotated[int, typer.Option(help="The same seed sends the same bytes.")] = 0,
    truth: Annotated[Path | None, typer.Option(help="Where the ground truth goes (HDF5).")] = None,
    calibrant: Annotated[str | None, typer.Option(help="LaB6, CeO2 or Si: write a line standard's frame.")] = None,
    image: Annotated[Path | None, typer.Option(help="The file for the line standard's frame.")] = None,
    fluorescence: Annotated[str | None, typer.Option(help="Where XRF spectra go.")] = None,
) -> None:
    """Be a virtual beamline: send a scan, write its truth, or a line standard's frame."""
    from stream.simulate.command import simulate as perform

    if fluorescence is not None:
        raise UsageError(f"--fluorescence is {fluorescence!r}: fluorescence is not available in this version")
    sent = perform(
        preset=preset, config=config, endpoint=endpoint, format=format, rate=rate, faults=faults, seed=seed,
        truth=truth, calibrant=calibrant, image=image,
    )  # fmt: skip
    typer.echo(f"wrote {image}" if calibrant else f"sent {sent} frames")
