"""What leaves the sample of its own fluorescence: the phantom read point by point in the frame of the beam.

Each point emits what the beam has left there, and its lines cross the sample to the detector, at 90° to the beam in the
plane of the slice. Made apart from the analysis, and from fine points rather than voxels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stream.simulate.forward import SAMPLES

Floats = npt.NDArray[np.float64]


def emitted_lengths(
    labels: npt.NDArray[np.uint8],
    step: float,
    angle: float,
    positions: Floats,
    width: float,
    incoming: Floats,
    outgoing: Floats,
    side: int,
) -> Floats:
    """Path (µm) in each material, each point weighted with what of its lines arrives; (positions, line, material).

    Parameters
    ----------
    labels, step, angle
        As `forward.zone_lengths` takes them.
    positions, width
        p of the beam's middle in µm, equidistant; they are as far from each other as the beam is wide.
    incoming, outgoing
        (material,) and (line, material) attenuation of beam and lines, 1/µm; the first material is air.
    side
        1 or -1: the detector stands at growing or falling p.
    """
    rays = max(1, round(SAMPLES * width / step))
    gap, stride = width / rays, step / SAMPLES
    half = 0.5 * step * np.hypot(*labels.shape)
    low, high = positions.min() - width / 2, positions.max() + width / 2
    beyond = int(np.ceil(max(half + low, half - high, 0.0) / gap))  # points that the beam never meets, and lines pass
    inside = slice(beyond, beyond + len(positions) * rays)
    across = low + (np.arange(-beyond, len(positions) * rays + beyond)[:, None] + 0.5) * gap
    along = np.arange(-half, half, stride) + stride / 2
    points = _materials(labels, step, np.deg2rad(angle), across, along)
    inwards = _up_to(incoming[points] * stride, axis=1)[inside]
    index = np.repeat(np.argsort(positions), rays)[:, None] * len(incoming) + points[inside]
    found = np.empty((len(positions), len(outgoing), len(incoming)))
    for k, attenuation in enumerate(outgoing):
        outwards = _up_to((attenuation[points] * gap)[::-side], axis=0)[::-side][inside]
        weights = np.exp(-inwards - outwards).ravel() * stride / rays
        found[:, k] = np.bincount(index.ravel(), weights, len(positions) * len(incoming)).reshape(len(positions), -1)
    return found


def _materials(
    labels: npt.NDArray[np.uint8], step: float, omega: float, across: Floats, along: Floats
) -> npt.NDArray[np.uint8]:
    """Material of the points p, t of the beam's frame; air outside of `labels`."""
    rows, columns = labels.shape
    column = np.floor((across * np.cos(omega) - along * np.sin(omega)) / step + 0.5 * columns).astype(int)
    row = np.floor((across * np.sin(omega) + along * np.cos(omega)) / step + 0.5 * rows).astype(int)
    known = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
    return np.where(known, labels[row.clip(0, rows - 1), column.clip(0, columns - 1)], np.uint8(0))


def _up_to(depth: Floats, axis: int) -> Floats:
    """Optical depth before the middle of each point."""
    return np.asarray(np.cumsum(depth, axis=axis) - depth / 2)
