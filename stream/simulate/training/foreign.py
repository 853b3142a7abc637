"""What a model must not name: patterns of things that are in no sample.

Voxels that hold at least half of something foreign, with random lines or a random hump (a window, ice, another
material), and voxels with a fault of the detector, are shown to the model as a class of their own (outlier
exposure: Hendrycks, Mazeika and Dietterich 2019, ICLR).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

Values = npt.NDArray[np.float32]
FAMILIAR = ((0.374, 0.25), (1.55, 0.4))  # Å⁻¹: the humps of carbon and glass, and how near another may not come


def add_foreign(
    rng: np.random.Generator, values: Values, level: float, q: npt.NDArray[np.float64], kinds: int
) -> Values:
    """Patterns (n, bins) with one of `kinds` foreign things in each, about as bright as `level`."""
    things = np.array([draw_thing(rng, q) for _ in range(kinds)])
    amount = rng.uniform(0.5, 1.0, len(values))
    brightness = level * np.exp(rng.normal(0.0, 0.6, kinds))
    kind = rng.integers(kinds, size=len(values))
    grain = rng.normal(1.0, rng.uniform(0.02, 0.2), values.shape)
    added = (amount * brightness[kind])[:, None] * things[kind] * np.clip(grain, 0, None)
    return np.asarray((1 - amount)[:, None] * values + added, dtype=np.float32)


def draw_thing(rng: np.random.Generator, q: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A pattern of mean 1 on the grid q."""
    lot = rng.random()
    if lot < 0.7:
        pattern = lines(rng, q)
    elif lot < 0.85:
        pattern = hump(rng, q)
    else:
        pattern = fault(rng, q)
    return np.asarray(pattern / max(float(pattern.mean()), 1e-6))


def lines(rng: np.random.Generator, q: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Few or many sharp lines of any intensity, above q = 0.6 Å⁻¹; every other time on a weak background.

    Not always on one: a model would know what is foreign by the background alone.
    """
    positions = rng.uniform(0.6, q[-1], rng.integers(1, 9))
    width = rng.uniform(0.008, 0.04)
    heights = np.exp(rng.normal(0, 0.8, positions.size))
    step = q[1] - q[0]
    edges = np.append(q - step / 2, q[-1] + step / 2)
    shares = np.diff(ndtr((edges - positions[:, None]) / width), axis=1)
    background = rng.uniform(0, 0.02) * heights.sum() if rng.random() < 0.5 else 0.0
    return np.asarray(heights @ shares + background)


def hump(rng: np.random.Generator, q: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A hump that is neither carbon's nor glass's."""
    while True:
        middle, width = rng.uniform(0.6, 3.0), rng.uniform(0.08, 0.35)
        if all(abs(middle - known) > margin for known, margin in FAMILIAR):
            return np.asarray(np.exp(-((q - middle) ** 2) / (2 * width**2)))


def fault(rng: np.random.Generator, q: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The same everywhere, rising with q, or noise about nothing."""
    kind = rng.integers(3)
    if kind == 0:
        return np.ones(q.size)
    if kind == 1:
        return np.asarray(q ** rng.uniform(1, 4))
    return np.asarray(rng.exponential(1.0, q.size) ** 2)
