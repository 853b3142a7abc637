"""Discs whose sinogram is known analytically: the mean of exact chords over the strip of each ray."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Disc = tuple[float, float, float, float]  # x, y, radius (µm), value per µm

PARTICLES: list[Disc] = [
    (0.0, 0.0, 20.0, 0.3),  # a capillary: a disc less a smaller one
    (0.0, 0.0, 18.0, -0.3),
    (6.0, 3.0, 5.0, 1.0),
    (-7.0, 6.0, 4.0, 0.7),
    (2.0, -9.0, 3.0, 1.3),
    (-6.0, -6.0, 2.5, 0.9),
]


def sinogram(
    discs: list[Disc], angles_deg: NDArray[np.float64], p: NDArray[np.float64], step: float
) -> NDArray[np.float64]:
    """(angle, position) at distances p from the axis, by 32-point midpoint rule over the strip."""
    omega = np.deg2rad(angles_deg)[:, None, None]
    inside = p[None, :, None] + ((np.arange(32) + 0.5) / 32 - 0.5) * step
    total = np.zeros((len(angles_deg), len(p)))
    for x, y, radius, value in discs:
        distance = inside - x * np.cos(omega) - y * np.sin(omega)
        total += value * 2 * np.sqrt(np.maximum(radius**2 - distance**2, 0)).mean(axis=-1)
    return total


def image(discs: list[Disc], count: int, step: float) -> NDArray[np.float64]:
    """(y, x) mean value per voxel, 8 x 8 points each."""
    axis = ((np.arange(count * 8) + 0.5) / 8 - 0.5 - (count - 1) / 2) * step
    x, y = np.meshgrid(axis, axis)
    fine = sum(value * (np.hypot(x - x0, y - y0) <= radius) for x0, y0, radius, value in discs)
    means: NDArray[np.float64] = np.asarray(fine).reshape(count, 8, count, 8).mean(axis=(1, 3))
    return means
