"""What a voxel is called by its contents, and what it may be called where only some of them are known."""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt

from stream.analyse.classify.manifest import CLASSES

Reals = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def classify(crystalline: Reals, carbon: Reals, glass: Reals) -> npt.NDArray[np.int8]:
    """Index into CLASSES, by fractions of a full voxel."""
    classes = np.zeros(crystalline.shape, dtype=np.int8)
    classes[(carbon >= 0.5) & (crystalline < 0.5)] = 2
    classes[(crystalline >= 0.5) & (carbon < 0.1)] = 3
    classes[(crystalline >= 0.5) & (carbon >= 0.1)] = 4
    classes[glass >= 0.5] = 1
    return classes


def allowed(crystalline: Reals | None, carbon: Reals | None, glass: Reals | None) -> Mask:
    """Which classes voxels may have, (..., classes), by the fractions that are known; none where one is NaN.

    A content that is not known, None, may be all of the voxel or nothing.
    """
    contents = (crystalline, carbon, glass)
    known = [content for content in contents if content is not None]
    shape = np.broadcast_shapes(*(content.shape for content in known))
    found = np.zeros((*shape, len(CLASSES)), np.bool_)
    ends = ((np.zeros(shape), np.ones(shape)) if content is None else (content,) for content in contents)
    for case in product(*ends):
        found |= classify(*case)[..., None] == np.arange(len(CLASSES))
    for content in known:
        found[~np.isfinite(content)] = False
    return found
