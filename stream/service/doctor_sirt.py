"""SIRT on a CUDA device beside the CPU's for the same rays, and the time that an iteration took on each."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.analyse.tomography import sirt
from stream.analyse.tomography.cuda import CudaProjector, solve
from stream.analyse.tomography.projector import Floats, Projector
from stream.ingest.integrate.cuda import Card
from stream.service.doctor import Finding

CLOSE = 1e-4  # of the volume's maximum
ROUNDS = 3

Reconstruct = Callable[[int], tuple[Floats, npt.NDArray[np.float64]]]


@dataclass(frozen=True, slots=True)
class Size:
    """Voxels a side (and positions), angles, channels and iterations."""

    count: int
    angles: int
    channels: int
    iterations: int


SIZE = Size(200, 180, 256, 20)


def check_sirt(xp: Any, card: Card, size: Size = SIZE) -> Finding:
    """Volumes within CLOSE of their maximum of the CPU's, one ray in ten missing; time a channel and iteration.

    card launches the kernels of projector.cu; xp is the array namespace of its memory.
    """
    projector, sinogram = _scan(size)
    measured = np.isfinite(sinogram[..., 0])
    device = CudaProjector(projector, card)

    def on_cpu(iterations: int) -> tuple[Floats, npt.NDArray[np.float64]]:
        return sirt.solve(projector, sinogram, measured, iterations)

    def on_card(iterations: int) -> tuple[Floats, npt.NDArray[np.float64]]:
        return solve(xp, device, sinogram, measured, iterations)

    difference = _difference(on_card(size.iterations)[0], on_cpu(size.iterations)[0])
    text = f"differs by {difference:.1g} of the maximum"
    if difference > CLOSE:
        return Finding("cuda sirt", False, text)
    there_us, here_us = (1e6 * _seconds(run, size) for run in (on_card, on_cpu))
    return Finding(
        "cuda sirt", True, f"{text}; a channel and iteration takes {there_us:.3g} µs, the CPU {here_us:.3g} µs"
    )


def _scan(size: Size) -> tuple[Projector, Floats]:
    """Grains at random in a cylinder, and their rays; NaN where one is missing."""
    random = np.random.default_rng(662)
    positions = np.arange(size.count, dtype=np.float64)
    projector = Projector(np.arange(size.angles) * 180.0 / size.angles, positions, (size.count - 1) / 2 + 0.3)
    volume = random.exponential(1.0, (size.count, size.count, size.channels)).astype(np.float32)
    volume[random.random(volume.shape[:2]) < 0.8] = 0
    sinogram = projector.forward(volume)
    sinogram[random.random(projector.rays) < 0.1] = np.nan
    return projector, sinogram


def _difference(found: Floats, expected: Floats) -> float:
    """The largest difference, as a share of the maximum; infinite where others are unknown."""
    if not np.array_equal(np.isnan(found), np.isnan(expected)):
        return float("inf")
    return float(np.nanmax(np.abs(found - expected)) / np.nanmax(expected))


def _seconds(run: Reconstruct, size: Size) -> float:
    """Seconds a channel and iteration, without what comes before the first: medians of some rounds."""
    longer, shorter = ([_timed(run, n) for _ in range(ROUNDS)] for n in (size.iterations, 1))
    return (median(longer) - median(shorter)) / (size.iterations - 1) / size.channels


def _timed(run: Reconstruct, iterations: int) -> float:
    begun = time.perf_counter()
    run(iterations)
    return time.perf_counter() - begun
