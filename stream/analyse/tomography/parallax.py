"""Parallax: a voxel z µm downstream of the axis sees the detector at L − z.

A pixel that integration puts at 2θ receives from it what leaves at 2θ': tan 2θ' = tan 2θ · L/(L − z), with
z = y cos ω − x sin ω. A line then seems to lie at another angle, by Δd/d = cos²θ cos 2θ · z/L: over the measured
angles the mean of z changes the voxel's cell, and its spread broadens the lines as microstrain does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
BREADTH = np.sqrt(2 * np.pi) / 2  # ε of lines spread by a standard deviation of 1 in Δd/d: 4 ε tanθ = √(2π)·2 tanθ


@dataclass(frozen=True, slots=True)
class Bounds:
    """Relative change of the cell, and microstrain, that parallax can feign; (y, x), NaN while nothing is measured."""

    cell: Array
    strain: Array


def parallax_bounds(y: ArrayLike, x: ArrayLike, angles_deg: ArrayLike, share: ArrayLike, distance_um: float) -> Bounds:
    """What parallax does to each voxel at small angles, where it does most.

    Parameters
    ----------
    y, x : (count,) coordinates of the voxels in µm
    angles_deg, share : (angle,) of the projections, and which share of each was measured
    distance_um : from the axis to the detector, along the beam
    """
    omega, weight = np.deg2rad(np.asarray(angles_deg, float)), np.asarray(share, float)
    rows, columns = np.asarray(y, float)[:, None], np.asarray(x, float)
    cosine, sine = np.cos(omega), np.sin(omega)
    total = weight.sum() if weight.any() else np.nan
    mean = (rows * (weight @ cosine) - columns * (weight @ sine)) / total
    square = (
        rows**2 * (weight @ cosine**2)
        - 2 * rows * columns * (weight @ (cosine * sine))
        + columns**2 * (weight @ sine**2)
    ) / total
    spread = np.sqrt(np.maximum(square - mean**2, 0))
    return Bounds(np.abs(mean) / distance_um, BREADTH * spread / distance_um)
