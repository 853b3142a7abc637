"""How much a bin scatters where patterns are held at zero or above, as SIRT's are.

There a bin of mean m, in units of its standard deviation, is a normal variate cut at zero. What the cut leaves of
the variance is what reconstructed replicates of a scan have, for every m and wherever in the slice. The fit's weights
know nothing of it, for a bin's weight must not depend on how its noise came out; a sum of squared residuals does.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt
from scipy.stats import norm

Floats = npt.NDArray[np.float64]

CELLS = 16  # of the table, for each standard deviation
BEYOND = 5.0  # standard deviations, where nothing is cut


def kept_variance(held: bool) -> Floats:
    """Share of the variance that is left at means 0, 1/CELLS, …, BEYOND; all of it where patterns are not `held`.

    Of X = max(0, N(s, 1)): E X = s Φ(s) + φ(s), E X² = (s² + 1) Φ(s) + s φ(s).
    """
    means = np.arange(int(BEYOND * CELLS) + 1) / CELLS
    if not held:
        return np.ones_like(means)
    s = np.linspace(-20.0, 2 * BEYOND, 30_001)
    first = s * norm.cdf(s) + norm.pdf(s)
    second = (s**2 + 1) * norm.cdf(s) + s * norm.pdf(s)
    return np.asarray(np.interp(means, first, second - first**2))


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def expected_squares(y: Floats, residual: Floats, weight: Floats, kept: Floats) -> float:
    """Σ weight·residual² that noise alone gives about the fitted curve y - residual."""
    total, last = 0.0, kept.size - 1
    for i in range(y.size):
        if weight[i] > 0:
            place = max(y[i] - residual[i], 0.0) * math.sqrt(weight[i]) * CELLS
            cell = min(int(place), last - 1)
            share = min(place - cell, 1.0)
            total += (1 - share) * kept[cell] + share * kept[cell + 1]
    return total
