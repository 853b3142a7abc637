"""Ingest as a process: open what the run directory holds, warm the kernels, connect, run."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import structlog

from stream.core.config import Config, FluorescenceConfig, FrameStream, MonitorStream
from stream.core.documents import KeptDocuments
from stream.core.errors import RunDirectoryError
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.core.vitals import Vitals
from stream.core.wire import decoder_for
from stream.ingest.acquisition import Acquisition
from stream.ingest.beside import Beside
from stream.ingest.books import Books
from stream.ingest.checks import Expected
from stream.ingest.documents import Documents
from stream.ingest.ingest import Ingest
from stream.ingest.integrate import CpuIntegrator, load_background, load_geometry, load_mask
from stream.ingest.integrate.backend import Integrator, open_backend
from stream.ingest.integrate.on_cluster import FRAMES_A_TASK, ClusterIntegrator
from stream.ingest.join import Join
from stream.ingest.journal import Journal
from stream.ingest.ledger import Ledger
from stream.ingest.preview import Preview, warm_up
from stream.ingest.recorder import Recorder
from stream.ingest.reduction import THREADS, TOGETHER, Reduction
from stream.ingest.resume import resume
from stream.ingest.room import room_for_results
from stream.ingest.series import Series
from stream.ingest.sources import RecordingSource, SocketSource, Source
from stream.ingest.spectra import SpectraReduction
from stream.ingest.watch import Watch
from stream.ingest.window import WORKED_ON, Window
from stream.scale.cluster import Cluster, connected

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Replay:
    """A recording that takes the place of the sockets; speed None is as fast as it goes, path None holds nothing."""

    path: Path | None
    speed: float | None = None


def run_ingest(
    directory: RunDirectory,
    stop: threading.Event,
    replay: Replay | None = None,
    cluster: str | None = None,
    gate: str | None = None,
) -> None:
    """Ingest the diffraction stream until `stop` is set; frames are integrated by the cluster, where there is one.

    gate: where the detector's messages come from, in the place of its own endpoint.
    """
    config = directory.read_config()
    stream: FrameStream = config.detector
    if gate is not None:
        stream = stream.model_copy(update={"endpoint": gate, "socket": "pull", "bind": False, "curve": None})
    with nullcontext() if cluster is None else connected(cluster) as workers:
        ingest = open_ingest(directory, config, live=replay is None, cluster=workers)
        serve(ingest, stream, config.monitors, stop, replay)


def run_fluorescence(directory: RunDirectory, stop: threading.Event, replay: Replay | None = None) -> None:
    """Ingest the fluorescence stream of the run in `directory` until `stop` is set."""
    config = directory.read_config()
    assert config.fluorescence is not None  # who starts this process has looked
    if replay is not None:
        replay = Replay(spectra_of(replay.path), replay.speed)
    ingest = open_fluorescence(directory.fluorescence, config, config.fluorescence, live=replay is None)
    serve(ingest, config.fluorescence, [], stop, replay)


def serve(
    ingest: Ingest, stream: FrameStream, monitors: list[MonitorStream], stop: threading.Event, replay: Replay | None
) -> None:
    """Open the source and take its messages; everything is closed at the end."""
    try:
        source = open_source(ingest, stream, monitors, replay)
        log.info("ingest.ready", endpoint=None if replay else stream.endpoint, frames=len(ingest.books.taken))
        try:
            ingest.run(source, stop)
        finally:
            source.close()
    finally:
        ingest.close()


def open_source(ingest: Ingest, stream: FrameStream, monitors: list[MonitorStream], replay: Replay | None) -> Source:
    """The sockets, or the recording behind what was taken of it already."""
    if replay is None:
        rows, columns = ingest.reduction.expected.shape
        return SocketSource.open(stream, rows * columns * 2, monitors)
    if replay.path is None:
        return RecordingSource(iter(()))
    return RecordingSource.open(replay.path, replay.speed, ingest.messages, stream.first_frame or 0)


def spectra_of(recording: Path | None) -> Path | None:
    """The spectra's part of a recorded run; None where there is none."""
    if recording is None or not recording.is_dir():
        return None
    spectra = RunDirectory(recording).fluorescence
    return spectra.path if spectra.recording.is_dir() else None


def open_fluorescence(directory: RunDirectory, config: Config, stream: FluorescenceConfig, *, live: bool) -> Ingest:
    """Everything the ingest of spectra needs, as `open_ingest`; directory is the fluorescence stream's."""
    directory.create()
    ledger = Ledger.open(directory.ledger)
    before = ledger.state()
    scan = config.scan
    grid = ScanGrid.from_config(scan)
    reduction = SpectraReduction(detector=stream, grid=grid, note=ledger.event)
    shape = reduction.expected.shape
    reserve = room_for_results(grid, config.integration.bins)
    recorder = Recorder(directory.recording, shape, ledger.event, reserve=reserve) if config.recording.frames else None
    ingest = Ingest(
        directory=directory,
        decode=decoder_for(stream.format if live else "auto"),
        reduction=reduction,
        acquisition=Acquisition(stream.idle_timeout, series_of(config, grid)),
        books=Books(Journal.create(directory.journal, grid.size, shape[1]), ledger, recorder),
        beside=Beside(Join.create(grid, scan.series_frames, [], None), ledger),
        watch=Watch(stream, live),
        window=Window(stream.queue_bytes // 2),
        vitals=Vitals(directory.vitals / "fluorescence.json"),
        first_frame=stream.first_frame,
    )
    ledger.commit(started=before.get("started", time.time()), live=live)
    resume(ingest, sent_again=not live)
    return ingest


def series_of(config: Config, grid: ScanGrid) -> Series:
    """The series that make up the scan."""
    scan = config.scan
    return Series(frames=scan.series_frames, count=grid.size // scan.series_frames, kind=scan.series)


def open_ingest(directory: RunDirectory, config: Config, *, live: bool, cluster: Cluster | None = None) -> Ingest:
    """Everything ingest needs, kernels warm, with what an earlier process left taken up.

    live: messages come from a detector now; a recording goes on with the first message whose fate is open.
    cluster: integrates the frames; None: integration.backend does.

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
    cpu = CpuIntegrator.create(geometry, config.integration, mask)
    integrate: Integrator | ClusterIntegrator
    if cluster is None:
        integrate, together, working = open_backend(config.integration.backend, cpu), TOGETHER, WORKED_ON
    else:
        integrate, together = ClusterIntegrator.create(cpu, cluster), FRAMES_A_TASK
        working = 2 * THREADS * together
    integrate.warm_up()
    warm_up()
    scan, detector = config.scan, config.detector
    grid = ScanGrid.from_config(scan)
    reduction = Reduction(
        detector=detector,
        index=scan.index,
        grid=grid,
        base=integrate,
        expected=Expected(shape=geometry.shape, wavelength=geometry.wavelength, pixel_size=geometry.pixel_size),
        preview=Preview(directory.frame, mask),
        together=together,
    )
    encoder = config.encoders[0] if scan.index == "pcap" else None
    join = Join.create(grid, scan.series_frames, config.monitors, encoder)
    join.documents = Documents(KeptDocuments(directory.documents), grid, scan.order)
    join.located = scan.index == "bluesky"
    shape, reserve = geometry.shape, room_for_results(grid, config.integration.bins)
    recorder = Recorder(directory.recording, shape, ledger.event, reserve=reserve) if config.recording.frames else None
    ingest = Ingest(
        directory=directory,
        decode=decoder_for(detector.format if live else "auto"),
        reduction=reduction,
        acquisition=Acquisition(detector.idle_timeout, series_of(config, grid)),
        books=Books(Journal.create(directory.journal, grid.size, integrate.axis.bins), ledger, recorder),
        beside=Beside(join, ledger),
        watch=Watch(detector, live),
        window=Window(detector.queue_bytes // 2, working),
        vitals=Vitals(directory.vitals / "ingest.json"),
        first_frame=detector.first_frame,
    )
    background = config.integration.background
    ledger.commit(
        started=before.get("started", time.time()),
        files=files,
        axis=integrate.axis.as_dict(),
        distance_um=geometry.distance * 1e6,
        background=None if background is None else load_background(background, cpu).tolist(),
    )
    resume(ingest, sent_again=not live)
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
