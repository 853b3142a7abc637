"""`braggstream calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stream.core.config import load_config


def calibrate(
    config: Annotated[Path, typer.Argument(help="The run's config: how the frame is integrated.")],
    image: Annotated[Path, typer.Option(help="The line standard's frame (any format fabio reads), or a run of it.")],
    output: Annotated[Path, typer.Option(help="Where the instrument profile goes.")],
    calibrant: Annotated[str, typer.Option(help="LaB6, CeO2 or Si")] = "LaB6",
) -> None:
    """Find the instrument's line widths from a line standard's frame."""
    from stream.service.calibration import write_instrument

    typer.echo(write_instrument(load_config(config, calibrated=False), image, calibrant, output))
