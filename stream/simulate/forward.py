"""What the beam meets: path lengths through the phantom, by sampling it along rays.

Independent of the reconstruction's projector: the fine phantom is read point by point along parallel sub-rays
that fill the beam's width.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

SAMPLES = 2  # of each fine cell, across the beam and along it


def path_lengths(
    labels: npt.NDArray[np.uint8],
    materials: int,
    step: float,
    angle: float,
    positions: npt.NDArray[np.float64],
    width: float,
) -> npt.NDArray[np.float64]:
    """Path (µm) in each material, averaged over the beam's width, shape (positions, materials).

    A ray at (p, ω) holds the points with x cos ω + y sin ω = p; labels[y, x] has its middle on the axis.

    Parameters
    ----------
    step
        spacing of `labels` in µm.
    angle
        ω in degrees.
    positions
        p of the beam's middle, in µm.
    width
        of the beam, in µm; its profile is a box.
    """
    return np.asarray(zone_lengths(labels, materials, step, angle, positions, width, 1)[:, 0])


def zone_lengths(
    labels: npt.NDArray[np.uint8],
    materials: int,
    step: float,
    angle: float,
    positions: npt.NDArray[np.float64],
    width: float,
    zones: int,
) -> npt.NDArray[np.float64]:
    """The same by zone along the beam, shape (positions, zones, materials).

    The zones divide the diagonal of `labels` into equal stretches, the most upstream one first: the beam runs towards
    growing y cos ω − x sin ω.
    """
    rays = max(1, round(SAMPLES * width / step))
    offsets = ((np.arange(rays) + 0.5) / rays - 0.5) * width
    lengths = np.zeros((len(positions), zones, materials))
    omega = np.deg2rad(angle)
    _walk(labels, step, np.cos(omega), np.sin(omega), positions, offsets, lengths)
    return lengths


@numba.njit(nogil=True, cache=True)
def _walk(labels, step, cosine, sine, positions, offsets, lengths):  # type: ignore[no-untyped-def]
    rows, columns = labels.shape
    half = 0.5 * step * np.hypot(rows, columns)
    count = int(np.ceil(SAMPLES * 2 * half / step))
    zones = lengths.shape[1]
    stride = 2 * half / count
    for i in range(positions.size):
        for offset in offsets:
            p = positions[i] + offset
            for n in range(count):
                t = (n + 0.5) * stride - half
                column = int(np.floor((p * cosine - t * sine) / step + 0.5 * columns))
                row = int(np.floor((p * sine + t * cosine) / step + 0.5 * rows))
                if 0 <= row < rows and 0 <= column < columns:
                    lengths[i, n * zones // count, labels[row, column]] += stride
    lengths /= offsets.size
