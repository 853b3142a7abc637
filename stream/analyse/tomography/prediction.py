"""What each projection should have been, had it been measured as the others were.

Sixteen reconstructions side by side, each without some of the projections, which are then computed from it. So a
projection that is wrong (shifted, scaled, with a glitch in it) does not explain itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stream.analyse.tomography.lanes import FEW
from stream.analyse.tomography.momentum import left_over
from stream.analyse.tomography.projector import Projector

Reals = NDArray[np.float64]

_ITERATIONS = 40
_BEYOND = 16  # of the scan, one part is allowed for beyond either end: a sample may be wider than the scan


def predict(
    sinogram: ArrayLike, weights: ArrayLike, angles_deg: ArrayLike, positions_um: ArrayLike, center_um: float
) -> Reals:
    """Ray sums (angle, position) of each projection, from reconstructions of the other ones.

    Parameters
    ----------
    sinogram : (angle, position)
    weights : (angle, position) ray weights 0..1; where zero, the sinogram may hold anything
    """
    angles, positions = np.asarray(angles_deg, np.float64), np.asarray(positions_um, np.float64)
    weights = np.asarray(weights, np.float32)
    pad = max(4, positions.size // _BEYOND)
    step = (positions[-1] - positions[0]) / (positions.size - 1)
    wide = positions[0] + step * np.arange(-pad, positions.size + pad)
    known = np.where(weights > 0, np.asarray(sinogram, np.float32), 0)
    rays = np.pad(known, ((0, 0), (pad, pad)))[..., None]
    versions = np.ascontiguousarray(np.broadcast_to(rays, (*rays.shape[:2], FEW)))
    without = np.argsort(np.argsort(angles, kind="stable"), kind="stable") % FEW
    taken = without[:, None] != np.arange(FEW)
    padded = np.pad(weights, ((0, 0), (pad, pad)))
    projector = Projector(angles, wide, center_um)
    (rest,) = left_over(projector, versions, padded[..., None] * taken[:, None].astype(np.float32), (_ITERATIONS,))
    computed = (versions - rest)[:, pad:-pad]
    own = np.take_along_axis(computed, without[:, None, None], axis=2)
    return own[..., 0].astype(np.float64)
