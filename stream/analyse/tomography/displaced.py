"""The final reconstruction with parallax in the forward model.

A voxel's pattern x reaches the detector as S(z) x, resampled at the angles that its depth z makes of the bins
(`stream.analyse.tomography.parallax`). S is a polynomial of second degree in z to within what a line's breadth allows,
found at its Chebyshev nodes in the field of view, z = 0 and ± ζ, so that its norm stays bounded however far it shifts:

    b = A x + A_z (S(ζ) − S(−ζ)) x / 2ζ + A_zz (S(ζ) + S(−ζ) − 2) x / 2ζ²

A_z weighs what each voxel contributes by its depth. The first degree alone would leave all of the spread in the lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from stream.analyse.tomography.lanes import lanes
from stream.analyse.tomography.moments import back_block, forward_block
from stream.analyse.tomography.projector import Floats, Projector, blocks
from stream.analyse.tomography.steps import relative
from stream.core.axis import RadialAxis, from_two_theta

REACH = 8  # bins to either side of a sample: there the cardinal cubic spline is 3e-5
NODE = np.cos(np.pi / 6)  # outer Chebyshev node of the second degree
DECAY = np.sqrt(3) - 2  # of the cardinal cubic spline's coefficients from one bin to the next
PROBE = 10  # iterations that tell on which side of the axis depth counts
_GRAZING = 1e-3  # of a step, as in SIRT


@dataclass(frozen=True, slots=True)
class Resampling:
    """A pattern read at other places: bin c is the sum of weights[c] times the bins from first[c] on."""

    first: NDArray[np.int64]
    weights: Floats

    @classmethod
    def seen_from(cls, depth_um: float, distance_um: float, axis: RadialAxis) -> Self:
        """S(z): cubic spline interpolation where the bins see the voxel, times their solid angle there.

        Beyond either end of the axis the outermost bin goes on.
        """
        here = axis.two_theta
        there = np.arctan(np.tan(here) * distance_um / (distance_um - depth_um))
        place = (from_two_theta(there, axis.unit, axis.wavelength) - axis.low) / axis.step - 0.5
        solid = (np.cos(there) / np.cos(here)) ** 3 * (distance_um / (distance_um - depth_um)) ** 2
        taps = min(2 * REACH, axis.bins)
        wanted = np.floor(place).astype(np.int64)[:, None] + np.arange(1 - REACH, 1 + REACH)
        values = _cardinal(place[:, None] - wanted) * solid[:, None]
        first = np.clip(wanted[:, 0], 0, axis.bins - taps)
        weights = np.zeros((axis.bins, taps))
        column = np.clip(wanted - first[:, None], 0, taps - 1)
        np.add.at(weights, (np.arange(axis.bins)[:, None], column), values)
        return cls(first, weights.astype(np.float32))


def _cardinal(t: NDArray[np.float64]) -> NDArray[np.float64]:
    """The cubic spline that is 1 at 0 and 0 at every other whole number."""
    k = np.arange(-REACH - 2, REACH + 3)
    coefficients = -6 * DECAY / (1 - DECAY**2) * DECAY ** np.abs(k)
    u = np.abs(t[..., None] - k)
    spline = np.where(u < 1, 2 / 3 - u**2 + u**3 / 2, np.where(u < 2, (2 - u) ** 3 / 6, 0))
    return np.asarray(spline @ coefficients)


@numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz"})
def _bend(volume, first, weights, c0, c1, i0, i1, out):  # type: ignore[no-untyped-def]
    """x, half the difference and half the curvature of what is seen from ζ and −ζ, for channels c0..c1."""
    taps = weights.shape[2]
    for i in range(i0, i1):
        for j in range(volume.shape[1]):
            for c in range(c0, c1):
                here = volume[i, j, c]
                ahead, behind = np.float32(0), np.float32(0)
                for k in range(taps):
                    ahead += weights[0, c, k] * volume[i, j, first[0, c] + k]
                for k in range(taps):
                    behind += weights[1, c, k] * volume[i, j, first[1, c] + k]
                out[0, i, j, c - c0] = here
                out[1, i, j, c - c0] = np.float32(0.5) * (ahead - behind)
                out[2, i, j, c - c0] = np.float32(0.5) * (ahead + behind) - here


@numba.njit(nogil=True, cache=True, fastmath={"contract", "nsz"})
def _unbend(moments, first, weights, c0, c1, i0, i1, out):  # type: ignore[no-untyped-def]
    """Add the transpose of `_bend` to `out`."""
    taps = weights.shape[2]
    for i in range(i0, i1):
        for j in range(out.shape[1]):
            for c in range(c0, c1):
                slope, curve = moments[1, i, j, c - c0], moments[2, i, j, c - c0]
                out[i, j, c] += moments[0, i, j, c - c0] - curve
                ahead, behind = np.float32(0.5) * (curve + slope), np.float32(0.5) * (curve - slope)
                for k in range(taps):
                    out[i, j, first[0, c] + k] += weights[0, c, k] * ahead
                for k in range(taps):
                    out[i, j, first[1, c] + k] += weights[1, c, k] * behind


class DisplacedProjector:
    """Ray sums of patterns (y, x, bin) whose depth along the beam shifts them, and the exact transpose, by blocks."""

    def __init__(self, projector: Projector, axis: RadialAxis, distance_um: float) -> None:
        self.projector, self.distance_um = projector, distance_um
        self._node = NODE * projector.count / 2  # in steps
        node_um = self._node * projector.step_um
        sides = [Resampling.seen_from(sign * node_um, distance_um, axis) for sign in (1, -1)]
        self._first, self._weights = np.stack([s.first for s in sides]), np.stack([s.weights for s in sides])
        self._moments = lanes(3, projector.count, projector.count)
        self._rays = projector.sinogram_block()

    def forward(self, volume: Floats, block: slice) -> Floats:
        """Ray sums (angle, position, channels of the block) of a whole volume, which must hold no NaN.

        The array is overwritten by the next call.
        """
        moments, rays, width = self._moments, self._rays, block.stop - block.start
        self.projector.over_rows(
            lambda i0, i1: _bend(volume, self._first, self._weights, block.start, block.stop, i0, i1, moments)
        )
        self.projector.over_angles(lambda a0, a1: forward_block(self.projector, self._node, moments, rays, a0, a1))
        return rays[..., :width]

    def add_back(self, rays: Floats, block: slice, out: Floats) -> None:
        """Add the transpose of `forward` to a whole volume (y, x, bin)."""
        moments, full = self._moments, self._rays
        full[..., : block.stop - block.start] = rays
        self.projector.over_rows(lambda i0, i1: back_block(self.projector, self._node, full, moments, i0, i1))
        self.projector.over_rows(
            lambda i0, i1: _unbend(moments, self._first, self._weights, block.start, block.stop, i0, i1, out)
        )


def solve_displaced(
    displaced: DisplacedProjector, sinogram: Floats, measured: ArrayLike, iterations: int
) -> tuple[Floats, NDArray[np.float64]]:
    """As `solve`, with parallax; each iteration goes over all channels, which depend on each other."""
    projector = displaced.projector
    weight = np.asarray(measured, np.float64)
    crossing = projector.row_sums > _GRAZING * abs(projector.step_um)
    ray_weight = np.where(crossing, weight, 0).astype(np.float32)[..., None]
    ray_scale = ray_weight / np.where(crossing, projector.row_sums, 1).astype(np.float32)[..., None]
    columns = projector.column_sums(weight)
    scale = np.where(columns > 0, 1 / np.where(columns > 0, columns, 1), 0).astype(np.float32)[..., None]
    volume = np.zeros((projector.count, projector.count, sinogram.shape[2]), np.float32)
    gradient = np.empty_like(volume)
    squares = np.zeros((2, iterations))
    for n in range(iterations):
        gradient[:] = 0
        for block in blocks(sinogram.shape[2]):
            part = sinogram[..., block]
            misfit = part - displaced.forward(volume, block)
            known = np.isfinite(misfit) & (ray_weight > 0)
            misfit = np.where(known, misfit, np.float32(0))
            squares[0, n] += (ray_weight * misfit**2).sum(dtype=np.float64)
            squares[1, n] += (ray_weight * np.where(known, part, 0) ** 2).sum(dtype=np.float64)
            displaced.add_back(ray_scale * misfit, block, gradient)
        gradient *= scale
        volume += gradient
        np.maximum(volume, 0, out=volume)
    volume[..., ~np.isfinite(sinogram[weight > 0]).any(axis=0)] = np.nan
    volume[~projector.support] = np.nan
    return volume, squares


def facing(
    projector: Projector, sinogram: Floats, measured: ArrayLike, axis: RadialAxis, distance_um: float
) -> DisplacedProjector:
    """The projector with z = y cos ω − x sin ω downstream or, where the rotation has the other sense, upstream.

    Angles and positions do not tell which, the data do: the wrong sense leaves a higher residual.
    """
    found = []
    for sense in (1, -1):
        displaced = DisplacedProjector(projector, axis, sense * distance_um)
        _, squares = solve_displaced(displaced, sinogram, measured, PROBE)
        found.append((float(relative(squares)[-1]), displaced))
    return min(found, key=lambda each: each[0])[1]
