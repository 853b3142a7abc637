"""Figures beside their peers', in one run on the same data: `make bench`.

Medians of interleaved repetitions, so that a busy machine slows both sides alike.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import astra
import numpy as np
from pyFAI.detectors import Detector
from pyFAI.integrator.azimuthal import AzimuthalIntegrator
from rich.console import Console
from rich.table import Table

from stream.analyse.tomography.projector import Projector
from stream.analyse.tomography.sirt import reconstruct
from stream.core.config import IntegrationConfig
from stream.ingest.integrate import CpuIntegrator, Geometry

REPEAT = 5
THREADS = 2
ROWS, COLUMNS = 2167, 2070  # EIGER2 4M
COUNT, ANGLES, CHANNELS, ITERATIONS = 200, 180, 64, 4


def main() -> None:
    """Print one table."""
    table = Table("job", "ours", "peer", "ratio", title="medians, interleaved", title_justify="left")
    for name, ours, peer, unit, calls in (integration(), sirt()):
        mine, theirs = interleaved(ours, peer)
        mine, theirs = mine / calls[0], theirs / calls[1]
        table.add_row(name, f"{mine:.3g} {unit}", f"{theirs:.3g} {unit}", f"{theirs / mine:.1f}")
    Console().print(table)


def interleaved(ours: Callable[[], object], peer: Callable[[], object]) -> tuple[float, float]:
    """Median milliseconds of each, called in turn; the first call of each warms it."""
    times: tuple[list[float], list[float]] = ([], [])
    for repetition in range(REPEAT + 1):
        for job, taken in zip((ours, peer), times, strict=True):
            begun = time.perf_counter()
            job()
            if repetition:
                taken.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(times[0]), statistics.median(times[1])


def integration() -> tuple[str, Callable[[], object], Callable[[], object], str, tuple[int, int]]:
    """Frames of an EIGER2 4M into 1000 bins, two threads, against pyFAI's csr (itself threaded)."""
    integrator = AzimuthalIntegrator(
        dist=0.2, poni1=0.08, poni2=0.075, wavelength=0.7e-10,
        detector=Detector(75e-6, 75e-6, max_shape=(ROWS, COLUMNS), orientation=3),
    )  # fmt: skip
    geometry = Geometry(integrator, (ROWS, COLUMNS), 0.7, (75e-6, 75e-6))
    integrate = CpuIntegrator.create(geometry, IntegrationConfig(), np.zeros((ROWS, COLUMNS), dtype=bool))
    frames = [np.random.default_rng(n).poisson(0.5, (ROWS, COLUMNS)).astype(np.uint32) for n in range(4)]
    pool = ThreadPoolExecutor(THREADS)

    def peer() -> None:
        for frame in frames[:1]:
            integrator.integrate1d_ng(
                frame, 1000, unit="2th_deg", method=("no", "csr", "cython"), polarization_factor=0.99
            )

    name = f"integrate 4M uint32, 1000 bins, {THREADS} threads; pyFAI no/csr/cython"
    return name, lambda: list(pool.map(integrate, frames)), peer, "ms a frame", (len(frames), 1)


def sirt() -> tuple[str, Callable[[], object], Callable[[], object], str, tuple[int, int]]:
    """SIRT on many channels against ASTRA's CPU SIRT with `linear` weights, one channel."""
    angles = np.arange(ANGLES) * 180.0 / ANGLES
    projector = Projector(angles, np.arange(COUNT) - (COUNT - 1) / 2, 0.0, THREADS)
    truth = np.random.default_rng(0).random((COUNT, COUNT, CHANNELS)).astype(np.float32)
    truth[~projector.support] = 0
    sinogram = projector.forward(truth)
    measured = np.ones((ANGLES, COUNT), dtype=bool)
    volume = astra.create_vol_geom(COUNT, COUNT)
    beams = astra.create_proj_geom("parallel", 1.0, COUNT, np.deg2rad(angles))
    handle = astra.create_projector("linear", beams, volume)
    data = astra.data2d.create("-sino", beams, np.ascontiguousarray(sinogram[..., 0]))
    image = astra.data2d.create("-vol", volume)
    settings = astra.astra_dict("SIRT")
    settings |= {"ProjectionDataId": data, "ReconstructionDataId": image, "ProjectorId": handle}
    algorithm = astra.algorithm.create(settings)
    name = f"SIRT {COUNT} x {COUNT}, {ANGLES} angles, {CHANNELS} channels, {THREADS} threads; ASTRA linear"
    return (
        name,
        lambda: reconstruct(projector, sinogram, measured, ITERATIONS),
        lambda: astra.algorithm.run(algorithm, 1),
        "ms a channel and iteration",
        (CHANNELS * ITERATIONS, 1),
    )


if __name__ == "__main__":
    main()
