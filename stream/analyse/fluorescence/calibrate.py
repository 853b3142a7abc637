"""Energies and resolution refined on the strong lines of a sum spectrum."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from stream.analyse.fluorescence.fit import fit_spectrum, residuals
from stream.analyse.fluorescence.lines import ElementLines
from stream.analyse.fluorescence.response import Response

Floats = npt.NDArray[np.float64]
STRONG = 5000.0  # counts in the lines, from which on they tell better than the config where they are
REACH = 0.12  # keV that energies may be off: further away lines would be taken for others
TRIES = 9


def refine(
    counts: Floats, variances: Floats, channels: Floats, elements: Sequence[ElementLines], start: Response
) -> Response:
    """The response that fits a sum spectrum (channel,) best; `start` where its lines are too weak to tell.

    What is refined are the energies at both ends of the channels, and the noise.
    """

    def response(at: Floats) -> Response:
        low, high = at[:2]
        step = (high - low) / (channels[-1] - channels[0])
        return Response(low - step * channels[0], step, at[2])

    def deviations(at: Floats) -> Floats:
        return residuals(counts, variances, channels, elements, response(at))

    ends = start.energies(channels[[0, -1]])
    shifts = [np.append(ends + shift, start.noise) for shift in np.linspace(-0.8 * REACH, 0.8 * REACH, TRIES)]
    first = min(shifts, key=lambda at: float(np.square(deviations(at)).sum()))
    if fit_spectrum(counts, variances, channels, elements, response(first)).net.sum() < STRONG:
        return start
    bounds = np.append(ends - REACH, 0.01), np.append(ends + REACH, 0.2)
    found = least_squares(deviations, first, bounds=bounds, x_scale=0.01, diff_step=0.001 / first)  # 1 eV
    return response(found.x)
