"""Ingest as a process: open what the run directory holds, warm the kernels, connect, run."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import structlog

from stream.core.config import Config
from stream.core.errors import RunDirectoryError
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.core.wire import decoder_for
from stream.ingest.acquisition import Acquisition
from stream.ingest.ingest import Ingest
from stream.ingest.integrate import CpuIntegrator, load_background, load_geometry, load_mask
from stream.ingest.journal import Journal
from stream.ingest.ledger import Ledger
from stream.ingest.preview import Preview
from stream.ingest.recording import Recording
from stream.ingest.reduction import Reduction
from stream.ingest.resume import resume
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
    ingest = open_ingest(directory, config, sent_again=replay is not None)
    source: Source
    try:
        if replay is not None:
            source = RecordingSource(replay.path, replay.speed, skip=ingest.messages)
        else:
            rows, columns = ingest.reduction.expected.shape
            source = SocketSource.open(config.detector, rows * columns * 2)
        log.info("ingest.ready", endpoint=None if replay else config.detector.endpoint, frames=len(ingest.taken))
        try:
            ingest.run(source, stop)
        finally:
            source.close()
    finally:
        ingest.close()


def open_ingest(directory: RunDirectory, config: Config, *, sent_again: bool) -> Ingest:
    """Everything ingest needs, kernels warm, with what an earlier process left taken up.

    sent_again: the source is a recording, which goes on with the first message whose fate is open.

    Raises
    ------
    ConfigError
        where a file that the config names cannot be used.
    RunDirectoryError
        where one is no longer what it was when the run began.
    StoreError
        where the disk is full, or what is there belongs to another scan.
    """
    ledger = Ledger.open(directory.ledger)
    before = ledger.state()
    files = fingerprints(config, before.get("files", {}))
    geometry = load_geometry(config.detector.geometry)
    mask = load_mask(config.detector.mask, geometry)
    integrate = CpuIntegrator.create(geometry, config.integration, mask)
    integrate.warm_up()
    background = config.integration.background
    reduction = Reduction(
        detector=config.detector,
        grid=ScanGrid.from_config(config.scan),
        base=integrate,
        expected=Expected(shape=geometry.shape, wavelength=geometry.wavelength, pixel_size=geometry.pixel_size),
        preview=Preview(directory.frame, mask),
    )
    ingest = Ingest(
        directory=directory,
        decode=decoder_for(config.detector.format),
        reduction=reduction,
        acquisition=Acquisition(config.detector.idle_timeout),
        journal=Journal.create(directory.journal, reduction.grid.size, integrate.axis.bins),
        ledger=ledger,
        recording=Recording(directory.recording, geometry.shape) if config.recording.frames else None,
        window_bytes=config.detector.queue_bytes // 2,
    )
    ledger.commit(
        started=before.get("started", time.time()),
        files=files,
        axis=integrate.axis.as_dict(),
        background=None if background is None else load_background(background, integrate).tolist(),
    )
    resume(ingest, monitored=config.detector.monitor is not None, sent_again=sent_again)
    return ingest


def fingerprints(config: Config, before: Mapping[str, str]) -> dict[str, str]:
    """SHA-256 of the files that the patterns depend on, by config key; refused where it is not the one of `before`."""
    background = config.integration.background
    files = {
        "detector.geometry": config.detector.geometry,
        "detector.mask": config.detector.mask,
        "integration.background": None if background is None else background.file,
    }
    found = {key: sha256(path.read_bytes()).hexdigest() for key, path in files.items() if path is not None}
    for key, fingerprint in found.items():
        if before.get(key, fingerprint) != fingerprint:
            raise RunDirectoryError(f"{key} is {str(files[key])!r}: its content has changed since the run began")
    return found
