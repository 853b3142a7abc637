"""The smooth background below lines: SNIP on what the lines leave.

SNIP (Ryan et al. 1988, Nucl. Instr. Meth. B 34, 396) clips everything narrower than a window, here in their
log-log-square-root scale. Applied to what a fit of the lines leaves, it does not rise between lines that overlap.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d
from silx.math.fit import snip1d

Floats = npt.NDArray[np.float64]


def snip_background(counts: Floats, width: float) -> Floats:
    """Background (channel,) of counts (channel,); width is the σ of a line in channels."""
    smooth = gaussian_filter1d(np.maximum(counts, 0), width, mode="nearest")
    scaled = np.log(np.log(np.sqrt(smooth + 1) + 1) + 1)
    clipped = snip1d(scaled, max(1, round(4 * width)))
    return np.asarray(np.square(np.exp(np.exp(clipped) - 1) - 1) - 1)
