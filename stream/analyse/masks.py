"""Why a map has no number: `mask_<phase>`, one code a voxel, for the strain, size and cell of that phase."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stream.analyse.crystal.reasons import Reason

OUTSIDE = -1
NOT_YET = 10  # beyond the codes of `Reason`

MASK_REASONS = {
    str(OUTSIDE): "outside the field of view",
    **{str(reason.value): reason.sentence for reason in Reason},
    str(NOT_YET): "not measured or not fitted yet",
}
"""What the codes mean, as the metadata say it; 0 where there is a strain."""


def mask_name(phase: str) -> str:
    """Name of a phase's mask."""
    return f"mask_{phase}"


def blank_mask(inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.int8]:
    """The mask (y, x) before any fit: nothing is known inside the field of view."""
    return np.where(inside, NOT_YET, OUTSIDE).astype(np.int8)


def placed_mask(
    reasons: npt.NDArray[Any],
    where: npt.NDArray[np.int64],
    inside: npt.NDArray[np.bool_],
    before: npt.NDArray[Any] | None,
) -> npt.NDArray[np.int8]:
    """The mask with `reasons` at the flat indices `where`, and elsewhere inside what was there before."""
    plane = blank_mask(inside)
    if before is not None:
        known = inside & (before != OUTSIDE)
        plane[known] = before[known]
    plane.ravel()[where] = reasons
    return plane
