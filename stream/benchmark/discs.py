"""Discs, whose ray sums are known by theory; lengths in steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Disc = tuple[float, float, float, float]
Reals = npt.NDArray[np.float64]

DISCS: list[Disc] = [
    (0.0, 0.0, 0.45, 0.3), (0.0, 0.0, 0.40, -0.2), (0.15, 0.1, 0.12, 1.0), (-0.18, 0.15, 0.08, 0.7),
    (0.05, -0.22, 0.07, 1.3), (-0.15, -0.15, 0.05, 0.9),
]  # fmt: skip
"""x, y, radius as shares of the scan's width, and value."""
FINE = 16


def disc_sinogram(discs: Sequence[Disc], degrees: Reals, positions: Reals) -> Reals:
    """(angle, position) mean of the chords in each strip."""
    omega = np.deg2rad(degrees)[:, None, None]
    inside = positions[:, None] + (np.arange(FINE) + 0.5) / FINE - 0.5
    total = np.zeros((len(degrees), len(positions)))
    for x, y, radius, value in discs:
        away = inside - x * np.cos(omega) - y * np.sin(omega)
        total += value * 2 * np.sqrt(np.maximum(radius**2 - away**2, 0)).mean(axis=-1)
    return total


def disc_image(discs: Sequence[Disc], count: int) -> Reals:
    """(y, x) mean of each voxel, FINE/2 points a side."""
    points = FINE // 2
    axis = (np.arange(count * points) + 0.5) / points - count / 2
    fine = sum(value * (np.hypot(axis - x, axis[:, None] - y) <= radius) for x, y, radius, value in discs)
    return np.asarray(np.reshape(fine, (count, points, count, points)).mean(axis=(1, 3)))
