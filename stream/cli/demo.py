"""`braggstream demo`: a virtual cathode electrode on a virtual detector, streamed into a real run."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer

from stream.cli.progress import Reporter
from stream.cli.run import RUNS, Once
from stream.core.config import load_config
from stream.core.rundir import RunDirectory
from stream.service import run as service
from stream.service.addresses import Addresses, is_free
from stream.service.guard import first_free
from stream.service.keys import write_opener

PORT = 8080
RATE = 40.0  # frames a second: the maps grow while one looks
SEED = 622
OPENER = "open.html"


def demo(
    fast: Annotated[bool, typer.Option("--fast", help="A smaller scan.")] = False,
    preset: Annotated[str, typer.Option(help="The sample.")] = "ncm622-cycled",
    port: Annotated[int | None, typer.Option(help="The dashboard's port; Tiled takes the next.")] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Open no page.")] = False,
    once: Once = False,
) -> None:
    """Stream a virtual scan over real ZeroMQ into a real run, with dashboard and Tiled."""
    from stream.service.calibration import write_instrument
    from stream.simulate.defaults import STANDARD, write_beamline

    output = first_free(RUNS, preset).resolve()
    beamline = output / "beamline"
    typer.echo("preparing the virtual beamline and its line standard")
    try:
        config = write_beamline(beamline, preset, fast, f"tcp://127.0.0.1:{free_port()}", SEED)
        write_instrument(load_config(config), beamline / STANDARD, "LaB6", beamline / "instrument.yaml")
    except BaseException:
        shutil.rmtree(output, ignore_errors=True)
        raise
    overrides = {
        "BRAGGSTREAM__INSTRUMENT": "instrument.yaml",
        "BRAGGSTREAM__DASHBOARD__PORT": str(port or free_pair(PORT)),
    }
    loaded = load_config(config, {**os.environ, **overrides})
    job = service.Job(config=loaded, output=output, once=once)
    reporter = Reporter(RunDirectory(output), loaded)
    detector = start_detector(config, preset, beamline / "truth.h5")

    def announce(addresses: Addresses) -> None:
        reporter.announce(addresses)
        if not no_browser:
            write_opener(addresses.dashboard, output / OPENER)
            webbrowser.open((output / OPENER).as_uri())

    try:
        service.run(job, announce, tick=reporter)
    finally:
        detector.terminate()
        detector.wait()
        reporter.close()


def start_detector(config: Path, preset: str, truth: Path) -> subprocess.Popen[Any]:
    """The virtual beamline as a process of its own; it waits until somebody takes its frames."""
    command = [sys.executable, "-m", "stream.cli", "simulate", "--config", str(config), "--preset", preset]
    command += ["--rate", str(RATE), "--seed", str(SEED), "--truth", str(truth)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def free_pair(first: int) -> int:
    """The first port from `first` on that is free with the next one."""
    port = first
    while not (is_free("127.0.0.1", port) and is_free("127.0.0.1", port + 1)):
        port += 2
    return port
