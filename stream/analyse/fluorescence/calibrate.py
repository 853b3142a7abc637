"""Energies, resolution and how an element's lines divide (Kα to Kβ), refined on the strong lines of a sum spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

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
GAP = 0.05  # of the energy, between lines that are absorbed alike and the next
BRANCHED = 0.3  # of what the tables say: more is no absorption in sample, air or window, but another element's line


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


def branch(
    counts: Floats, variances: Floats, channels: Floats, elements: Sequence[ElementLines], response: Response
) -> list[ElementLines]:
    """Elements whose lines divide as in a sum spectrum (channel,): absorption takes more of one group than of another.

    An element with less than STRONG counts, or with lines in one group, stays as it is.
    """
    parts = [part for lines in elements for part in groups(lines)]
    net = iter(fit_spectrum(counts, variances, channels, parts, response).net)
    return [_divided(lines, [float(next(net)) for _ in groups(lines)]) for lines in elements]


def groups(lines: ElementLines) -> list[ElementLines]:
    """The lines below and above the widest gap, Kα and Kβ; all of them where there is none. Shares add up to 1."""
    main = lines.shares > 0.01 * lines.shares.max()
    energies = lines.energies[main]
    gaps = np.diff(energies) / energies[:-1]
    if not gaps.size or gaps.max() < GAP:
        return [lines]
    above = lines.energies > energies[gaps.argmax()] * (1 + GAP / 2)
    sides = [(lines.energies[some], lines.shares[some]) for some in (~above, above)]
    return [replace(lines, energies=places, shares=shares / shares.sum()) for places, shares in sides]


def _divided(lines: ElementLines, net: Sequence[float]) -> ElementLines:
    if len(net) == 1 or sum(net) < STRONG:
        return lines
    parts = groups(lines)
    told = np.array([lines.shares[np.isin(lines.energies, part.energies)].sum() for part in parts])
    upper = np.clip(net[1] / sum(net), told[1] * (1 - BRANCHED), told[1] * (1 + BRANCHED))
    shares = np.concatenate([part.shares * share for part, share in zip(parts, (1 - upper, upper), strict=True)])
    return replace(lines, energies=np.concatenate([part.energies for part in parts]), shares=shares)
