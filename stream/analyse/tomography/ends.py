"""What lies beside the sample: the level of empty rays, and which projections end in them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]

RIM = 2  # rays at either end of a projection that tell whether it ends in empty ones
_EMPTY = 0.02  # of a projection's usual peak


def background(rays: Reals) -> float:
    """Level of the emptiest positions: those beside the sample at most angles; rays are (angle, position)."""
    profile = np.sort(np.median(rays, axis=0))
    return float(profile[: max(2, profile.size // 20)].mean())


def empty_ends(net: Reals) -> NDArray[np.bool_]:
    """(angle, 2) whether a projection, less the background, is empty at its first and last position."""
    ends = np.stack([net[:, :RIM].mean(axis=1), net[:, -RIM:].mean(axis=1)], axis=1)
    return np.asarray(ends < max(3 * _noise(net) / np.sqrt(RIM), _EMPTY * np.median(net.max(axis=1))))


def _noise(rays: Reals) -> float:
    """Standard deviation of a ray, from the curvature of projections: of three neighbours it is noise, mostly."""
    curvature = rays[:, 2:] - 2 * rays[:, 1:-1] + rays[:, :-2]
    return float(1.4826 * np.median(np.abs(curvature)) / np.sqrt(6))
