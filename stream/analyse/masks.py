"""Why a map has no number: `mask_<phase>`, one code a voxel, for the strain, size and cell of that phase."""

from __future__ import annotations

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
