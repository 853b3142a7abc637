"""The instrument profile from a line standard: one joint fit of all its lines."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares, nnls

from stream.analyse.crystal.instrument import AxisOfRecord, Instrument
from stream.analyse.crystal.profile import voigt_bins
from stream.analyse.crystal.response import Response
from stream.analyse.crystal.smooth import bernstein_columns
from stream.analyse.crystal.structure import Structure
from stream.core.axis import RadialAxis
from stream.core.errors import FitError

Floats = npt.NDArray[np.float64]

BACKGROUND_DEGREE = 6
ROUNDS = 2  # in which bins are weighed by what the fit before expects in them
LEAST_LINES = 3  # two parameters a width and a shift cannot stand on fewer
LEAST_SIGNIFICANCE = 10.0  # counts above background, in standard deviations
MARGIN = 0.02  # radians, some ten line widths


@dataclass(frozen=True, slots=True)
class Calibration:
    """An instrument, and the fit that it comes from."""

    instrument: Instrument
    curve: Floats  # (bins,) the fitted pattern
    lines: Floats  # 2θ (degrees) of the lines that carry the fit
    quality: float  # reduced chi square


def calibrate(
    axis: RadialAxis, pattern: Floats, variance: Floats, structure: Structure, response: Response
) -> Calibration:
    """Fit the widths of `Instrument` to the pattern of a line standard.

    Lines are Voigt profiles behind pixels and bins of known width, their intensities free; the background is smooth;
    a zero shift and a factor on tan2θ (a PONI distance slightly wrong) are absorbed. Errors are scaled by
    √max(1, χ²_red).

    Parameters
    ----------
    response : what the bins see of 2θ; σ is not let below its Gaussian part.
    axis : the bins; pattern : (bins,) intensity; variance : (bins,) of it. NaN bins weigh nothing.

    Raises
    ------
    FitError
        If fewer than three lines inside the axis are strong enough, or the fit does not converge.
    """
    problem = _Problem.build(axis, np.asarray(pattern, float), np.asarray(variance, float), structure, response)
    pixel = response.pixel
    least = max(response.rest, (1e-2 * pixel) ** 2)
    start = np.array([least + pixel**2 / 12, pixel**2 / 12, pixel / 10, pixel / 10, 0.0, 0.0])
    scale = np.array([pixel**2, pixel**2, pixel, pixel, pixel, 1e-3])
    low, high = np.array([least, 0, 0, 0, -np.inf, -np.inf]), np.full(6, np.inf)
    for again in range(ROUNDS + 1):
        fit = least_squares(problem.residual, start, bounds=(low, high), x_scale=scale, xtol=1e-10, max_nfev=200)
        if not fit.success or not np.all(np.isfinite(fit.x)):
            raise FitError(f"the lines of {structure.name} could not be fitted: {fit.message}")
        if again < ROUNDS:
            start, problem = fit.x, problem.weighed_by(problem.curve(fit.x))
    quality = 2 * fit.cost / max(1, problem.used.sum() - problem.columns - 6)
    covariance = np.linalg.pinv(problem.projected_normal(fit.x))[:4, :4] * max(1.0, quality)
    w, u, y, x = map(float, fit.x[:4])
    measured = np.rad2deg(problem.measured)
    instrument = Instrument(
        calibrant=structure.name,
        wavelength=axis.wavelength,
        pixel=pixel,
        w=w,
        u=u,
        y=y,
        x=x,
        covariance=covariance.tolist(),
        valid=(float(measured.min()), float(measured.max())),
        axis=AxisOfRecord(unit=axis.unit, low=axis.low, high=axis.high, bins=axis.bins),
    )
    return Calibration(instrument, problem.curve(fit.x), measured, float(quality))


@dataclass(frozen=True, slots=True)
class _Problem:
    """Widths and shifts in, weighted residual out; linear parameters are solved inside."""

    edges: Floats  # 2θ, radians
    pattern: Floats
    weight: Floats  # 1/standard deviation, 0 for bins not used
    count: Floats  # intensity of one count, so that the variance is this times the expected intensity
    two_theta: Floats  # of the lines in the model, radians
    measured: Floats  # of those strong enough to tell of the instrument
    background: Floats
    response: Response

    @classmethod
    def build(
        cls, axis: RadialAxis, pattern: Floats, variance: Floats, structure: Structure, response: Response
    ) -> _Problem:
        usable = np.isfinite(pattern) & np.isfinite(variance)
        counted = np.flatnonzero(usable & (pattern > 0) & (variance > 0))
        if counted.size == 0:
            raise FitError(f"the pattern of {structure.name} is empty")
        # a bin without counts has no variance of its own: that of one count is its neighbours'
        count = np.interp(np.arange(axis.bins), counted, variance[counted] / pattern[counted])
        weight = _weight(usable, np.where(usable, pattern, 0.0), count)
        clean = np.where(usable, pattern, 0.0)
        lines = _lines(axis, structure)
        strong = _strong(axis, clean, weight, lines, structure.name)
        background = bernstein_columns(axis, BACKGROUND_DEGREE)
        return cls(axis.two_theta_edges, clean, weight, count, lines, strong, background, response)

    def weighed_by(self, curve: Floats) -> _Problem:
        """The same with the counting noise of an expected curve: what few counts happened to be says less of it."""
        return replace(self, weight=_weight(self.used, curve, self.count))

    @property
    def used(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.weight > 0)

    @property
    def columns(self) -> int:
        return len(self.two_theta) + len(self.background)

    def residual(self, parameters: Floats) -> Floats:
        """(bins,) weighted residual at w, u, y, x, zero (degrees), tan2θ factor - 1."""
        design = self._design(parameters)
        coefficients, _ = nnls(design, self.pattern * self.weight)
        return np.asarray(design @ coefficients - self.pattern * self.weight)

    def curve(self, parameters: Floats) -> Floats:
        """(bins,) the fitted pattern; NaN where nothing was measured."""
        design = self._design(parameters)
        coefficients, _ = nnls(design, self.pattern * self.weight)
        return np.asarray(np.where(self.used, design @ coefficients / np.where(self.used, self.weight, 1), np.nan))

    def projected_normal(self, parameters: Floats) -> Floats:
        """JᵀJ of the six parameters with the linear ones marginalised, by central differences."""
        design = self._design(parameters)
        coefficients, _ = nnls(design, self.pattern * self.weight)
        active = design[:, coefficients > 0]
        steps = np.maximum(np.abs(parameters) * 1e-4, 1e-8)
        slopes = []
        for k, step in enumerate(steps):
            up, down = parameters.copy(), parameters.copy()
            up[k], down[k] = up[k] + step, max(down[k] - step, 0.0) if k < 4 else down[k] - step
            slope = (self._design(up) - self._design(down)) @ coefficients / (up[k] - down[k])
            slopes.append(slope - active @ np.linalg.lstsq(active, slope, rcond=None)[0])
        jacobian = np.array(slopes)
        return np.asarray(jacobian @ jacobian.T)

    def _design(self, parameters: Floats) -> Floats:
        w, u, y, x, zero, factor = parameters
        position = np.arctan((1 + factor) * np.tan(self.two_theta)) + np.deg2rad(zero)
        (flat, box), tangent = self.response.seen(position), np.tan(position / 2)
        sigma = np.deg2rad(np.sqrt(w * flat**2 + u * tangent**2))
        gamma = np.deg2rad(y * flat + x * tangent)
        shift, excess = self.response.shift, self.response.excess
        bins = self.pattern.size
        lines = np.empty((position.size, bins))
        spare = np.empty((2, bins))
        for k in range(position.size):
            widths = box[k], position[k], sigma[k], gamma[k]
            voigt_bins(self.edges, shift, excess, *widths, (0.0, 0.0), lines[k], *spare)
        columns = np.concatenate([lines / lines.max(axis=1, keepdims=True), self.background])
        return np.asarray((columns * self.weight).T)


def _weight(usable: npt.NDArray[np.bool_], expected: Floats, count: Floats) -> Floats:
    """1/standard deviation of each bin; where less than one count is expected, as if one were."""
    return np.asarray(np.where(usable, 1 / np.sqrt(count * np.maximum(expected, count)), 0.0))


def _lines(axis: RadialAxis, structure: Structure) -> Floats:
    """2θ (radians) of the standard's lines on the axis and a little beyond, where their tails come from."""
    low, high = axis.two_theta_edges[[0, -1]]
    d_min, d_max = (axis.wavelength / (2 * np.sin(angle / 2)) for angle in (high + MARGIN, max(low - MARGIN, 1e-6)))
    return np.unique(np.round(structure.reflections(d_min, d_max).two_theta(axis.wavelength), 9))


def _strong(axis: RadialAxis, pattern: Floats, weight: Floats, lines: Floats, name: str) -> Floats:
    """Those of the lines that stand above their surroundings in the pattern.

    A line is looked for in a window reaching a third of the way to its neighbours; the window's outer quarters on
    either side are taken as its surroundings.
    """
    low, high = axis.two_theta_edges[[0, -1]]
    centers, steps = axis.two_theta, float(np.diff(axis.two_theta_edges).max())
    strong = []
    for position in lines:
        others = np.abs(lines[lines != position] - position)
        half = min(others.min(initial=np.inf) / 3, MARGIN)
        if position - half < low or position + half > high or half < 4 * steps:
            continue
        near = (np.abs(centers - position) <= half) & (weight > 0)
        inner = near & (np.abs(centers - position) <= half / 2)
        outer = near & ~inner
        if inner.sum() < 3 or outer.sum() < 2:
            continue
        excess = np.sum(pattern[inner]) - inner.sum() * np.mean(pattern[outer])
        variance = np.sum(weight[inner] ** -2.0) + (inner.sum() / outer.sum()) ** 2 * np.sum(weight[outer] ** -2.0)
        if excess > LEAST_SIGNIFICANCE * np.sqrt(variance):
            strong.append(position)
    if len(strong) < LEAST_LINES:
        raise FitError(
            f"{len(strong)} of the {np.sum((lines > low) & (lines < high))} lines of {name} between "
            f"{np.rad2deg(low):.2f} and {np.rad2deg(high):.2f} degrees 2θ can be used, and an instrument profile "
            f"needs {LEAST_LINES}"
        )
    return np.array(strong)
