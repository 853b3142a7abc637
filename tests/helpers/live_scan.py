"""A scan of five materials, fed to the live reconstruction line by line, and its error against the truth.

Rays are made by the simulator's walk through a fine phantom, which shares nothing with our projector.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.analyse.store import PatternStore
from stream.analyse.tomograph import Tomograph
from stream.core.axis import RadialAxis
from stream.core.config import ReconstructionConfig
from stream.core.config.scan import ScanConfig
from stream.core.scan import ScanGrid
from stream.simulate.forward import path_lengths

COUNT, ANGLES, BINS = 64, 90, 300
FINE = 4
ITERATIONS = 100
ORDERS: dict[str, dict[str, Any]] = {
    "linear": {},
    "snake": {"snake": True},
    "interlaced:6": {"sequence": "interlaced:6"},
    "golden": {"sequence": "golden"},
    "by position": {"order": ["slice", "position", "angle"]},
}
AXIS = RadialAxis("2th_deg", 1.0, 20.0, BINS, 0.6738)


def grid(order: str) -> ScanGrid:
    """Half a turn in that order."""
    choice = dict(ORDERS[order])
    angles = {"start": 0.0, "step": 180 / ANGLES, "count": ANGLES, "sequence": choice.pop("sequence", "linear")}
    positions = {"start": -(COUNT - 1) / 2, "step": 1.0, "count": COUNT}
    return ScanGrid.from_config(
        ScanConfig.model_validate({"name": "a", "angles": angles, "positions": positions, **choice})
    )


def labels() -> NDArray[np.uint8]:
    """Air, glass, carbon and three kinds of particles, FINE x FINE points a voxel."""
    rng, count = np.random.default_rng(0), COUNT * FINE
    y, x = (np.indices((count, count)) - (count - 1) / 2) / (count / 2)
    found = np.zeros((count, count), np.uint8)
    found[(np.hypot(x, y) < 0.93) & (np.hypot(x, y) > 0.83)] = 1
    found[((x - 0.3) / 0.5) ** 2 + (y / 0.3) ** 2 < 1] = 2
    for k in range(40):
        (cx, cy), radius = rng.uniform(-0.55, 0.55, 2), rng.uniform(0.05, 0.16)
        found[np.hypot(x - cx, y - cy) < radius] = 3 if k % 4 else 4
    found[np.hypot(x + 0.3, y - 0.3) < 0.09] = 5
    return found


def spectra() -> NDArray[np.float64]:
    """(material, bin) intensity per µm."""
    x = AXIS.centers
    rng = np.random.default_rng(1)
    drawn = [(rng.uniform(4, 19.5, n), rng.exponential(1, n)) for n in (25, 20, 12)]
    lines = [sum(h * np.exp(-0.5 * ((x - c) / 0.06) ** 2) for c, h in zip(*one, strict=True)) for one in drawn]
    humps = [0.15 * np.exp(-0.5 * ((x - 5.9) / 1.5) ** 2), 0.2 * np.exp(-0.5 * ((x - 2.3) / 0.5) ** 2)]
    return np.array([0 * x, *(hump + 0.02 / x for hump in humps), *lines])


@cache
def clean() -> NDArray[np.float64]:
    """(angle, position, bin) without noise."""
    source = grid("linear")
    paths = [path_lengths(labels(), 6, 1 / FINE, angle, source.positions, 1.0) for angle in source.angles]
    return np.asarray(paths @ spectra())


@cache
def truth() -> NDArray[np.float64]:
    """(y, x, bin)."""
    shares = [(labels() == k).reshape(COUNT, FINE, COUNT, FINE).mean(axis=(1, 3)) for k in range(6)]
    return np.asarray(np.moveaxis(shares, 0, -1) @ spectra())


def scan(counts: float) -> NDArray[np.float32]:
    """(angle, position, bin) of so many counts to a unit of intensity."""
    return (np.random.default_rng(2).poisson(clean() * counts) / counts).astype(np.float32)


def error(volume: NDArray[np.float32]) -> float:
    """Root mean square difference from the truth in the field of view, relative to the truth's."""
    inside = np.isfinite(volume).all(axis=-1)
    return float(np.linalg.norm((volume - truth())[inside]) / np.linalg.norm(truth()[inside]))


def live_errors(folder: Path, order: str, patterns: NDArray[np.float32], counts: float) -> list[float]:
    """Error after each tenth of the scan, an update a line."""
    source = grid(order)
    store = PatternStore.create(folder / "patterns.f4", source, AXIS, None)
    store.norms[:] = counts
    volume = np.full((*source.map_shape, BINS), np.nan, np.float32)
    config = ReconstructionConfig(iterations=ITERATIONS, center=0.0)
    tomograph = Tomograph(store, config, volume, np.zeros(source.shape, np.float32))
    line = ANGLES if order == "by position" else COUNT
    errors, tenths = [], np.arange(1, 11) * source.size // 10
    for begin in range(0, source.size, line):
        slots = source.visit[begin : begin + line]
        store.patterns.reshape(-1, BINS)[slots] = patterns.reshape(-1, BINS)[slots]
        store.measured.ravel()[slots] = True
        tomograph.update(100.0)  # what the time allows depends on the machine, what the rays ask for does not
        tomograph.refine(100.0)
        passed = np.count_nonzero(tenths <= begin + len(slots))
        errors += [error(shown(tomograph))] * (passed - len(errors))
    return errors


def shown(tomograph: Tomograph) -> NDArray[np.float32]:
    """The live volume (y, x, bin)."""
    voxels = tomograph.voxels(0)
    volume = np.full((*voxels.inside.shape, BINS), np.nan, np.float32)
    volume[voxels.inside] = voxels.patterns(np.arange(voxels.count))
    return volume
