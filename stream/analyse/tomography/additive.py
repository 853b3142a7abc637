"""What may be back-projected: quantities that add along a ray.

A ray's intensity is the sum of its voxels' intensities, its optical depth the sum of their attenuations. A fitted
position, width, cell or strain is no such sum: reconstruct the patterns first, then fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from stream.core.errors import UsageError

Floats = NDArray[np.float32]


class Adds(Enum):
    """Quantities that add along a ray."""

    INTENSITY = "intensity of a pattern, or any linear function of it"
    DEPTH = "optical depth, -ln(I/I0)"


@dataclass(frozen=True, slots=True)
class Additive:
    """Numbers of rays (angle, position, channel) that add along them; NaN where not known."""

    values: Floats
    of: Adds

    def __post_init__(self) -> None:
        """Refuse what does not say why it adds."""
        if not isinstance(self.of, Adds):
            raise UsageError(
                f"{self.of!r} is not known to add along a ray and cannot be back-projected: "
                "fitted positions, widths, cells and strains come from reconstructed patterns"
            )


def additive_values(sinogram: Additive) -> Floats:
    """The numbers of a sinogram that is marked as one.

    Raises
    ------
    UsageError
        for anything else, such as a plain array of fitted positions.
    """
    if not isinstance(sinogram, Additive):
        raise UsageError(
            f"a sinogram to be back-projected must be Additive, not {type(sinogram).__name__}: only what adds along a "
            "ray can be reconstructed"
        )
    return sinogram.values
