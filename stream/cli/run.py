"""`braggstream run` and `braggstream replay`."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from stream.cli.progress import Reporter
from stream.core.config import Config, load_config
from stream.core.errors import ConfigError, UsageError
from stream.core.rundir import UNTOLD, RunDirectory
from stream.scale.start import workers
from stream.service import run as service
from stream.service import watch as watching
from stream.service.documents import Receiver
from stream.service.guard import first_free

RUNS = Path("runs")
Once = Annotated[bool, typer.Option("--once", help="End when the final maps are stored.")]
ClusterAddress = Annotated[
    str | None, typer.Option("--cluster", metavar="ADDRESS", help="Scheduler of a Dask cluster that computes the rest.")
]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="The run directory.")]


def run(
    config: Annotated[Path, typer.Argument(help="The config (YAML).")],
    output: Output = None,
    once: Once = False,
    cluster: ClusterAddress = None,
) -> None:
    """Process a live scan; the same command goes on with an unfinished one."""
    stop = service.stop_on_signals()
    with workers(cluster) as found, watching.receiver_of(config) as receiver:
        job = watching.planned_job(config, RUNS, output, receiver, stop, once=once)
        if job is not None:
            perform(replace(job, workers=found), stop, receiver)


def watch(config: Annotated[Path, typer.Argument(help="The config (YAML).")]) -> None:
    """Process one scan after another: a new run for each start document, or each detector series."""
    watching.watch(config, RUNS, perform, say=lambda text: print(f"braggstream: {text}", file=sys.stderr))  # noqa: T201


def replay(
    recording: Annotated[Path, typer.Argument(help="A run directory, its raw file, or detector files (HDF5).")],
    config: Annotated[Path | None, typer.Option("--config", help="Instead of the recorded run's own.")] = None,
    output: Output = None,
    speed: Annotated[str, typer.Option(help="A factor of the recorded pace, or max.")] = "max",
    once: Once = False,
    cluster: ClusterAddress = None,
    local: Annotated[int | None, typer.Option(min=1, help="So many Dask workers on this machine.")] = None,
    slurm: Annotated[int | None, typer.Option(min=1, help="So many SLURM jobs, as Dask's own config has them.")] = None,
) -> None:
    """Process a recording as if it arrived now."""
    from stream.ingest.recorded import recording_files

    if not recording.exists():
        raise UsageError(f"there is no recording {recording}")
    for folder in (recording, recording.parent, recording.parent.parent):  # the run directory that it lies in, if any
        RunDirectory(folder).check_format(oldest=UNTOLD)
    recording_files(recording)
    if output is not None and output.resolve() in (recording.resolve(), *recording.resolve().parents):
        raise UsageError(f"--output {output} holds the recording itself; give another directory")
    loaded = load_config(config) if config is not None else recorded_config(recording)
    job = service.Job(
        config=loaded,
        output=output or first_free(RUNS, loaded.scan.name),
        once=once,
        recording=recording,
        speed=read_speed(speed),
    )
    with workers(cluster, local, slurm) as found:
        perform(replace(job, workers=found))


def perform(job: service.Job, stop: threading.Event | None = None, receiver: Receiver | None = None) -> None:
    """Run a job with its report on the terminal."""
    reporter = Reporter(RunDirectory(job.output.resolve()), job.config)
    try:
        service.run(job, reporter.announce, tick=reporter, stop=stop, receiver=receiver)
    finally:
        reporter.close()


def recorded_config(recording: Path) -> Config:
    """The config that lies with a recording."""
    for folder in (recording, recording.parent, recording.parent.parent):
        if RunDirectory(folder).config.is_file():
            return load_config(RunDirectory(folder).config)
    raise ConfigError(f"{recording} lies in no run directory: give its --config")


def read_speed(speed: str) -> float | None:
    """None for max."""
    if speed == "max":
        return None
    try:
        factor = float(speed)
    except ValueError:
        factor = 0.0
    if not factor > 0:
        raise UsageError(f"--speed is {speed!r}: a positive number or max is needed")
    return factor
