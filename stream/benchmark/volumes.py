"""Whole volumes as a run makes them: processor time of the final ones and of live updates, and the memory they take.

Minutes to half an hour each, so only measured when asked for (`--only final`, `--only live`).
"""

from __future__ import annotations

import importlib.util
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from stream.analyse.store import PatternStore, mapped
from stream.analyse.tomograph import Tomograph
from stream.benchmark.astra import Astra
from stream.benchmark.discs import DISCS, disc_sinogram
from stream.benchmark.rounds import Figure, Row, ratio
from stream.benchmark.sirt import ALONE, Scan, Size
from stream.core.axis import RadialAxis
from stream.core.config import ReconstructionConfig
from stream.core.config.scan import ScanConfig
from stream.core.scan import ScanGrid

COUNTS = 50.0  # to a unit of intensity
UPDATE, HOLD = 0.5, 0.1  # s of iterations in a live update, and of holding voxels at x ≥ 0
UNIT = "s of processor time"
RATE = 500.0  # frames/s of a scan, whose time the note tells
TURNS = 4  # iterations of ASTRA's, from which those of all channels are told


@dataclass(frozen=True, slots=True)
class Volume:
    """Positions (and voxels a side), angles and bins of one slice."""

    count: int
    angles: int
    bins: int

    def __str__(self) -> str:
        """As in the names of the figures."""
        return f"{self.count}x{self.angles}x{self.bins}"

    @property
    def gigabytes(self) -> float:
        """Of patterns and volume."""
        return 4e-9 * self.bins * self.count * (self.angles + self.count)

    @property
    def scan(self) -> float:
        """Seconds of one at RATE."""
        return self.count * self.angles / RATE


def final_row(name: str, volume: Volume, channels: str, iterations: int) -> Row:
    """The final volume, of every channel or of `basis:R`, with all that a run makes from its patterns for it."""
    (seconds, elapsed), peak = apart(_final, volume, channels, iterations)
    note = (
        f"{iterations} iterations; {elapsed:.1f} s on the clock, the scan takes {volume.scan:.0f} s at {RATE:g} "
        f"frames/s; {peak:.2f} GB at most, patterns and volume are {volume.gigabytes:.2f} GB"
    )
    ours, theirs = Figure((seconds,)), _astra(volume, iterations)
    if theirs is None:
        return Row(name=name, unit=UNIT, ours=ours, note=f"{note}; {ALONE}")
    peer = f"ASTRA linear, from {TURNS} iterations"
    return Row(name=name, unit=UNIT, ours=ours, peer=peer, theirs=theirs, ratio=ratio(ours, theirs), note=note)


def live_row(name: str, volume: Volume) -> Row:
    """Updates in the last tenth of a scan; the note tells those of the first."""
    seconds, peak = apart(_live, volume)
    tenth = -(-volume.angles // 10)
    first = np.median(seconds[1 : tenth + 1])  # the very first finds a basis from nothing
    note = f"an update a projection, in the last tenth; in the first {first:.3f} s; {peak:.2f} GB at most"
    return Row(name=name, unit=UNIT, ours=Figure(tuple(seconds[-tenth:])), note=note)


def apart(measure: Callable[..., list[float]], *arguments: object) -> tuple[list[float], float]:
    """What it measures in a process of its own, and the gigabytes which that held at most."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_with_peak, measure, *arguments).result()


def _with_peak(measure: Callable[..., list[float]], *arguments: object) -> tuple[list[float], float]:
    return measure(*arguments), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024e-9


def _final(volume: Volume, channels: str, iterations: int) -> list[float]:
    config = ReconstructionConfig.model_validate({"iterations": iterations, "center": 0.0, "channels": channels})
    with tempfile.TemporaryDirectory() as folder:
        tomograph = _tomograph(Path(folder), volume, config)
        for angle in range(volume.angles):
            _measure(tomograph, angle)
        begun = time.process_time(), time.perf_counter()
        tomograph.settle()
        next(tomograph.finals())
        return [time.process_time() - begun[0], time.perf_counter() - begun[1]]


def _astra(volume: Volume, iterations: int) -> Figure | None:
    """What every channel would take ASTRA's CPU SIRT, by a few iterations of one; None without it."""
    if importlib.util.find_spec("astra") is None:
        return None
    scan = Scan.of(Size(volume.count, volume.angles), 1)
    peer = Astra("linear", scan.projector, scan.sinogram)
    peer.run(1)
    begun = time.process_time()
    peer.run(TURNS)
    return Figure(((time.process_time() - begun) / TURNS * iterations * volume.bins,))


def _live(volume: Volume) -> list[float]:
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        tomograph = _tomograph(Path(folder), volume, ReconstructionConfig(center=0.0))
        for angle in range(volume.angles):
            _measure(tomograph, angle)
            begun = time.process_time()
            tomograph.update(UPDATE)
            tomograph.refine(HOLD)
            seconds.append(time.process_time() - begun)
    return seconds


def _tomograph(folder: Path, volume: Volume, config: ReconstructionConfig) -> Tomograph:
    half = (volume.count - 1) / 2
    scan = {
        "name": "volume",
        "angles": {"start": 0.0, "step": 180 / volume.angles, "count": volume.angles},
        "positions": {"start": -half, "step": 1.0, "count": volume.count},
    }
    grid = ScanGrid.from_config(ScanConfig.model_validate(scan))
    axis = RadialAxis("2th_deg", 1.0, 20.0, volume.bins, 0.6738)
    store = PatternStore.create(folder / "patterns.f4", grid, axis, None)
    store.norms[:] = COUNTS
    shown = mapped(folder / "volume.f4", (*grid.map_shape, volume.bins))
    shown[:] = np.nan
    return Tomograph(store, config, shown, np.zeros(grid.shape, np.float32))


def _measure(tomograph: Tomograph, angle: int) -> None:
    """A projection of discs, each with lines of its own, in Poisson counts."""
    store = tomograph.store
    grid, x = store.grid, store.axis.centers
    lines = np.random.default_rng(1).uniform(x[0], x[-1], (len(DISCS), 12, 1))
    spectra = 0.2 / x + np.exp(-0.5 * ((x - lines) / 0.06) ** 2).sum(axis=1)
    spectra[[value < 0 for *_, value in DISCS]] = spectra[0]  # what a disc takes away is of the one around it
    omega = grid.angles[angle : angle + 1]
    wide = len(grid.positions)
    discs = [(wide * x0, wide * y0, wide * radius, value) for x0, y0, radius, value in DISCS]
    rays = [disc_sinogram([disc], omega, grid.positions)[0] for disc in discs]
    expected = np.transpose(rays) @ spectra
    store.patterns[0, angle] = np.random.default_rng([2, angle]).poisson(expected * COUNTS) / COUNTS
    store.measured[0, angle] = True
    tomograph.sums[0, angle] = store.patterns[0, angle].sum(axis=-1)
