"""Ingest as a process: open what the run directory holds, warm the kernels, connect, run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from stream.core.config import Config
from stream.core.messages import Parts
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.core.wire import decoder_for
from stream.ingest.ingest import Ingest
from stream.ingest.integrate import CpuIntegrator, load_background, load_geometry, load_mask
from stream.ingest.journal import Journal
from stream.ingest.ledger import Ledger
from stream.ingest.preview import Preview
from stream.ingest.recorded import read_recording
from stream.ingest.recording import Recording
from stream.ingest.series import Expected
from stream.ingest.sources import RecordingSource, SocketSource, Source

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Replay:
    """A recording that takes the place of the socket; speed None is as fast as it goes."""

    path: Path
    speed: float | None = None


def run_ingest(directory: RunDirectory, stop: threading.Event, replay: Replay | None = None) -> None:
    """Ingest one stream until `stop` is set."""
    config = directory.read_config()
    ingest = open_ingest(directory, config)
    source: Source
    if replay is not None:
        source = RecordingSource(replay.path, replay.speed, skip=ingest.messages)
    else:
        rows, columns = ingest.expected.shape
        source = SocketSource.open(config.detector, rows * columns * 2)
    log.info("ingest.ready", endpoint=None if replay else config.detector.endpoint, frames=len(ingest.taken))
    try:
        ingest.run(source, stop)
    finally:
        source.close()
        ingest.pool.shutdown()
        if ingest.recording is not None:
            ingest.recording.close()
        ingest.ledger.close()
        ingest.journal.close()


def open_ingest(directory: RunDirectory, config: Config) -> Ingest:
    """Everything ingest needs, with what an earlier process left taken up."""
    geometry = load_geometry(config.detector.geometry)
    mask = load_mask(config.detector.mask, geometry)
    integrate = CpuIntegrator.create(geometry, config.integration, mask)
    grid = ScanGrid.from_config(config.scan)
    ledger = Ledger.open(directory.ledger)
    tail = list(uncommitted(directory.recording, ledger.state()))
    ingest = Ingest(
        directory=directory,
        config=config,
        grid=grid,
        decode=decoder_for(config.detector.format),
        base=integrate,
        expected=Expected(shape=geometry.shape, wavelength=geometry.wavelength, pixel_size=geometry.pixel_size),
        journal=Journal.create(directory.journal, grid.size, integrate.axis.bins),
        ledger=ledger,
        recording=Recording(directory.recording, geometry.shape) if config.recording.frames else None,
        preview=Preview(directory.frame, mask),
    )
    integrate.warm_up()
    background = config.integration.background
    ledger.commit(
        axis=integrate.axis.as_dict(),
        background=None if background is None else load_background(background, integrate).tolist(),
    )
    ingest.recover(tail)
    return ingest


def uncommitted(folder: Path, state: dict[str, Any]) -> Iterator[tuple[float, Parts]]:
    """Messages that were recorded, but whose fate the ledger does not know."""
    recorded = state.get("recorded") or {"file": "", "count": 0}
    for path in sorted(folder.glob("raw-*.h5")):
        if path.name < recorded["file"]:
            continue
        skip = recorded["count"] if path.name == recorded["file"] else 0
        for message in read_recording(path, skip):
            yield message.received or 0.0, message.parts
