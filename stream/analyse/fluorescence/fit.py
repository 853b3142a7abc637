"""Net intensities of elements in a spectrum: a linear fit of lines and background, weighted with the counts.

Where lines and energies come from the sum of all spectra, the fit of any one of them is a matrix product. It is
unbiased however few the counts are, and adds along a ray, so that its result may be back-projected. x ≥ 0 holds for the
sum alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import lsq_linear

from stream.analyse.fluorescence.background import snip_background
from stream.analyse.fluorescence.lines import ElementLines
from stream.analyse.fluorescence.response import Response

Floats = npt.NDArray[np.float64]
ROUNDS = 4  # of fit and background


@dataclass(frozen=True, slots=True)
class SpectrumFit:
    """Lines and background of a sum spectrum.

    net, errors (element,) counts and their standard deviations; background, model (channel,); operator
    (channel, element): a spectrum times this is its net intensities.
    """

    elements: tuple[str, ...]
    response: Response
    net: Floats
    errors: Floats
    background: Floats
    model: Floats
    chi_square: float
    operator: Floats

    def measure(self, spectra: npt.NDArray[np.floating]) -> Floats:
        """Net intensities (…, element) of spectra (…, channel)."""
        return np.asarray(spectra @ self.operator)

    def variances(self, variances: npt.NDArray[np.floating]) -> Floats:
        """Variances (…, element) of net intensities, from those (…, channel) of the spectra."""
        return np.asarray(variances @ np.square(self.operator))


def fit_spectrum(
    counts: Floats, variances: Floats, channels: Floats, elements: Sequence[ElementLines], response: Response
) -> SpectrumFit:
    """Fit the lines of elements, and a background, to a spectrum (channel,)."""
    lines = response.columns(channels, elements)
    weights = 1 / np.maximum(variances, 1.0)
    net = np.zeros(len(elements))
    for _ in range(ROUNDS):
        background = _background(counts - lines @ net, channels, response)
        design = np.column_stack([lines, _shapes(background)])
        net = _solve(design, counts, weights, len(elements))[: len(elements)]
    solution = _solve(design, counts, weights, len(elements))
    model = design @ solution
    weights = 1 / np.maximum(variances / np.maximum(counts, 1.0) * model, 1.0)  # of the model: free of its own noise
    inverse = np.linalg.pinv(design.T @ (weights[:, None] * design), hermitian=True)
    free = max(len(counts) - design.shape[1], 1)
    return SpectrumFit(
        elements=tuple(each.element for each in elements),
        response=response,
        net=solution[: len(elements)],
        errors=np.sqrt(np.diag(inverse)[: len(elements)]),
        background=design[:, len(elements) :] @ solution[len(elements) :],
        model=model,
        chi_square=float(weights @ np.square(counts - model) / free),
        operator=(inverse @ design.T * weights)[: len(elements)].T,
    )


def residuals(
    counts: Floats, variances: Floats, channels: Floats, elements: Sequence[ElementLines], response: Response
) -> Floats:
    """(channel,) deviations from the best fit with this response, in standard deviations."""
    fit = fit_spectrum(counts, variances, channels, elements, response)
    return np.asarray((counts - fit.model) / np.sqrt(np.maximum(variances, 1.0)))


def _background(rest: Floats, channels: Floats, response: Response) -> Floats:
    middle = float(response.energies(channels[[len(channels) // 2]])[0])
    return snip_background(rest, float(response.width(middle)) / response.step)


def _shapes(background: Floats) -> Floats:
    """(channel, 3) the background, and the same with a tilt and a bend: it need not be alike in every ray."""
    place = np.linspace(-1, 1, len(background))
    floor = max(1e-3 * float(background.max(initial=0)), 1e-6)
    return np.maximum(background, floor)[:, None] * np.stack([np.ones_like(place), place, place**2], axis=1)


def _solve(design: Floats, counts: Floats, weights: Floats, elements: int) -> Floats:
    """Weighted least squares with the first `elements` unknowns at 0 or above."""
    root, scale = np.sqrt(weights), np.linalg.norm(design, axis=0)
    low = np.where(np.arange(design.shape[1]) < elements, 0.0, -np.inf)
    found = lsq_linear(root[:, None] * design / scale, root * counts, (low, np.inf), method="bvls")
    return np.asarray(found.x / scale)
