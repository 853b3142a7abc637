"""`braggstream simulate`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

EVERY = 10.0  # seconds between two lines
FAULTS = (
    "What goes wrong, with commas between. Shares (0 to 1) of the frames: drop:S, duplicate:S, corrupt:S (bits "
    "flipped), truncate:S (cut short), delay:S (1 to 64 messages late), dump:S (no beam). shuffle:N: within windows of "
    "N. abort:S, restart:S: one series ends without end after that share and is taken again; strays follow an abort. "
    "dtype:uint8|uint32: of the second half. no-end. steal: a second puller."
)


def simulate(
    preset: Annotated[str, typer.Option(help="The sample.")] = "ncm622-cycled",
    config: Annotated[Path | None, typer.Option(help="A run's config: its grid, geometry and endpoint.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="Where to send; tcp://…")] = None,
    format: Annotated[str | None, typer.Option(help="dectris-1, dectris-2 or stins.")] = None,
    rate: Annotated[float, typer.Option(help="Frames a second; 0: as fast as they are taken.")] = 0.0,
    faults: Annotated[str, typer.Option(help=FAULTS)] = "",
    seed: Annotated[int, typer.Option(help="The same seed sends the same bytes.")] = 0,
    absorption: Annotated[bool, typer.Option(help="The sample absorbs.")] = False,
    parallax: Annotated[bool, typer.Option(help="The sample's depth along the beam shifts its lines.")] = False,
    truth: Annotated[Path | None, typer.Option(help="Where the ground truth goes (HDF5).")] = None,
    calibrant: Annotated[str | None, typer.Option(help="LaB6, CeO2 or Si: write a line standard's frame.")] = None,
    image: Annotated[Path | None, typer.Option(help="The file for the line standard's frame.")] = None,
    fluorescence: Annotated[str | None, typer.Option(help="Where XRF spectra go.")] = None,
    curve_key: Annotated[str | None, typer.Option(help="CURVE: where our key is, env:NAME or file:PATH.")] = None,
) -> None:
    """Be a virtual beamline: send a scan, write its truth, or a line standard's frame."""
    from stream.simulate.command import simulate as perform

    with shown() as progress:
        sent = perform(
            preset=preset, config=config, endpoint=endpoint, format=format, rate=rate, faults=faults, seed=seed,
            absorption=absorption, parallax=parallax, truth=truth, calibrant=calibrant, image=image,
            fluorescence=fluorescence, curve_key=curve_key, progress=progress,
        )  # fmt: skip
    typer.echo(f"wrote {image}" if calibrant else f"sent {sent} frames")


@contextmanager
def shown() -> Iterator[Callable[[int, int], None]]:
    """Gives what is to be called with (frames sent, frames of the scan): a bar on a terminal, else a line at times."""
    console, due = Console(), time.monotonic() + EVERY
    columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)

        def show(sent: int, frames: int) -> None:
            nonlocal due
            bar.update(task, completed=sent, total=frames)
            if not console.is_terminal and time.monotonic() >= due:
                due = time.monotonic() + EVERY
                typer.echo(f"sent {sent} of {frames} frames")

        yield show
