"""What a model must not name: patterns of things that are in no sample.

Spots of voxels that hold at least half of something foreign, with random lines or a random hump (a window, ice,
another material), and voxels with a fault of the detector, are shown to the model as a class of their own (outlier
exposure: Hendrycks, Mazeika and Dietterich 2019, ICLR).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from stream.analyse.classify.manifest import CLASSES
from stream.analyse.classify.preprocess import Q_GRID

Values = npt.NDArray[np.float32]
Draw = Callable[[np.random.Generator, npt.NDArray[np.float64]], npt.NDArray[np.float64]]
FAMILIAR = ((0.374, 0.25), (1.55, 0.4))  # Å⁻¹: the humps of carbon and glass, and how near another may not come
FAMILIAR_LINES = (1.32, 2.6, 3.05)  # Å⁻¹: where layered oxides, spinel and rock salt have their strongest
UNFAMILIAR = len(CLASSES)  # the label of foreign patterns
SHARE = 0.12  # of a slice's voxels
KINDS = 30  # at most, in a slice
LARGEST = 3.0  # voxels, of a spot's radius


def with_foreign(
    rng: np.random.Generator, values: Values, labels: npt.NDArray[np.int8], level: float, draw: Draw | None = None
) -> tuple[Values, npt.NDArray[np.int8]]:
    """A slice (y, x, bins) and its labels with foreign spots, about as bright as `level`."""
    kinds = int(rng.integers(1, KINDS + 1))
    things = np.array([(draw or draw_thing)(rng, Q_GRID.centers) for _ in range(kinds)])
    brightness = level * np.exp(rng.normal(0.0, 0.6, kinds))
    inside = labels >= 0
    kind = draw_spots(rng, inside, kinds)
    there = kind >= 0
    kind, values, labels = kind[there], values.copy(), labels.copy()
    amount = rng.uniform(0.5, 1.0, kind.size)
    grain = np.clip(rng.normal(1.0, rng.uniform(0.02, 0.2), (kind.size, Q_GRID.bins)), 0, None)
    added = (amount * brightness[kind])[:, None] * things[kind] * grain
    values[there] = (1 - amount)[:, None] * values[there] + added
    labels[there] = UNFAMILIAR
    return values, labels


def draw_spots(rng: np.random.Generator, inside: npt.NDArray[np.bool_], kinds: int) -> npt.NDArray[np.int64]:
    """Which thing is in each voxel (y, x); -1 in most of them and outside."""
    found = np.full(inside.shape, -1)
    y, x = np.nonzero(inside)
    while (found[inside] >= 0).mean() < SHARE:
        at = rng.integers(y.size)
        radius = rng.uniform(0, LARGEST) * (rng.random() < 0.7)
        near = np.hypot(y - y[at], x - x[at]) <= radius
        found[y[near], x[near]] = rng.integers(kinds)
    return found


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

    Not always on one: a model would know what is foreign by the background alone. Crystals of simple metals have but
    one or two lines within reach, which may lie on a familiar one: that happens too seldom by chance, so every other
    time there are so few, and half of those are near familiar ones.
    """
    few = rng.random() < 0.5
    positions = rng.uniform(0.6, q[-1], rng.integers(1, 3 if few else 9))
    if few:
        near = rng.choice(FAMILIAR_LINES, positions.size) + rng.normal(0, 0.05, positions.size)
        positions = np.where(rng.random(positions.size) < 0.5, near, positions)
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
