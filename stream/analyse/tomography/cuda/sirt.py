"""SIRT with its arrays on a card: the array code runs on CuPy as on NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stream.analyse.tomography import sirt
from stream.analyse.tomography.cuda.projector import CudaProjector
from stream.analyse.tomography.projector import Floats
from stream.analyse.tomography.steps import RaySet
from stream.ingest.integrate.cuda.card import Card

TOGETHER = 256  # channels: 2 GB on the card at 560 positions and 180 angles


def solve(
    xp: Any, projector: CudaProjector, sinogram: Floats, measured: ArrayLike, iterations: int
) -> tuple[Floats, NDArray[np.float64]]:
    """As `stream.analyse.tomography.sirt.solve`, arguments, results and errors, to single precision.

    xp is the array namespace of the card's memory: CuPy, or NumPy where the kernels run on the host.
    """
    iterate = partial(_iterate, xp, projector.card)
    return sirt.solve(projector.host, sinogram, measured, iterations, iterate)


def _iterate(
    xp: Any,
    card: Card,
    steps: Sequence[RaySet],
    sinogram: Floats,
    volume: Floats,
    iterations: int,
    *,
    nonnegative: bool,
) -> NDArray[np.float64]:
    """As `stream.analyse.tomography.steps.iterate`, TOGETHER channels after each other."""
    lowest = np.float32(0 if nonnegative else -np.inf)
    squares = np.zeros((2, iterations))
    with card.stream():
        for start in range(0, volume.shape[2] if steps else 0, TOGETHER):
            block = slice(start, start + TOGETHER)
            begin = np.ascontiguousarray(volume[..., block])
            x = card.put(begin)
            moves = [_Step(xp, card, rays, sinogram, block) for rays in steps]
            sums = []
            for _ in range(iterations):
                for move in moves:
                    x, *both = move.take(x, lowest)
                    sums.append(xp.stack(both))
            squares += card.get(xp.stack(sums)).reshape(iterations, len(moves), 2).sum(axis=1).T
            volume[..., block] = card.get(x)
    return squares


class _Step:
    """max(lowest, x + C Aᵀ R W (b - A x)) for some channels and a set of rays."""

    def __init__(self, xp: Any, card: Card, rays: RaySet, sinogram: Floats, block: slice) -> None:
        host = sinogram[rays.angles, :, block], rays.weight, rays.scale, rays.voxel_scale
        self._host = [np.ascontiguousarray(array) for array in host]  # kept until they are there
        b, weight, scale, voxel_scale = map(card.put, self._host)
        self._xp, self._projector = xp, CudaProjector(rays.projector, card)
        known = xp.isfinite(b) & (weight > 0)[..., None]
        self._b, self._known, self._weight = xp.where(known, b, np.float32(0)), known, weight[..., None]
        self._scale, self._voxel_scale = scale[..., None], voxel_scale[..., None]
        self._signal = self._sum_squares(self._b)

    def take(self, x: Any, lowest: np.float32) -> tuple[Any, Any, Any]:
        """The next x; Σ W (b - A x)² before it, and Σ W b²."""
        xp = self._xp
        rays, gradient = xp.empty_like(self._b), xp.empty_like(x)
        self._projector.forward(x, rays)
        difference = xp.where(self._known, self._b - rays, np.float32(0))
        self._projector.back(self._scale * difference, gradient)
        return xp.maximum(lowest, x + self._voxel_scale * gradient), self._sum_squares(difference), self._signal

    def _sum_squares(self, values: Any) -> Any:
        return (self._weight * values * values).sum(dtype=np.float64)
