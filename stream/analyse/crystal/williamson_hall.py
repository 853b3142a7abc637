"""The classic way: single peaks, one breadth each, and a straight line through them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares, nnls

from stream.analyse.crystal.instrument import Instrument
from stream.analyse.crystal.profile import voigt_bins
from stream.analyse.crystal.response import Response
from stream.core.axis import RadialAxis
from stream.core.errors import FitError

Floats = npt.NDArray[np.float64]

LEAST_REFLECTIONS = 3
USABLE = 3.0  # standard deviations of a peak's area
REACH = 6.0  # half window of a peak, in widths
RESOLVED = 2.5  # widths to the next line, of any phase
LORENTZIAN = (0.0, 1 / np.pi)  # σ and γ of a sample profile of unit integral breadth


@dataclass(frozen=True, slots=True, kw_only=True)
class WilliamsonHall:
    """Points (4 sinθ, β cosθ) of the usable reflections, and β cosθ = Kλ/D + ε 4 sinθ through them."""

    two_theta: Floats  # degrees
    x: Floats  # 4 sinθ
    y: Floats  # β cosθ in radians, instrument removed
    y_error: Floats
    strain: float
    strain_error: float
    size: float  # nm; inf where the line meets the axis at or below 0


def williamson_hall(
    axis: RadialAxis,
    pattern: Floats,
    variance: Floats,
    lines: Floats,
    others: Floats,
    instrument: Instrument,
    response: Response,
    shape: tuple[float, float] = LORENTZIAN,
    shape_factor: float = 0.9,
) -> WilliamsonHall:
    """Fit each resolved line of a phase by itself, then the line through their breadths.

    The sample's breadth adds to the instrument inside the profile: γ = γ_inst + γ_s, σ² = σ_inst² + σ_s², with γ_s
    and σ_s in the proportion of `shape`; β² - β_inst² is never formed.

    Parameters
    ----------
    pattern, variance : (bins,).
    lines : 2θ (radians) of the phase's lines; others : of all other phases', next to which none is resolved.

    Raises
    ------
    FitError
        If fewer than three reflections are usable.
    """
    lines = np.unique(np.round(lines, 9))
    usable = np.isfinite(pattern) & np.isfinite(variance) & (variance > 0)
    root = np.where(usable, 1 / np.sqrt(np.where(usable, variance, 1.0)), 0.0)
    peaks = []
    for position in lines:
        flat, box = map(float, response.seen(position))
        sigma, gamma = map(float, instrument.widths(position, flat))
        width = 2.355 * np.hypot(sigma, box / np.sqrt(12)) + 2 * gamma
        rest = np.abs(np.concatenate([lines, others]) - position)
        gap = rest[rest > 1e-9].min(initial=np.inf)
        half = min(REACH * width, gap / 2)
        near = usable & (np.abs(axis.two_theta - position) < half)
        if gap < RESOLVED * width or near.sum() < 8 or position - half < axis.two_theta_edges[0]:
            continue
        window = slice(np.flatnonzero(near)[0], np.flatnonzero(near)[-1] + 1)
        edges = axis.two_theta_edges[window.start : window.stop + 1]
        weighted = np.where(usable, pattern, 0.0)[window] * root[window]
        seen = response.shift[window], response.excess[window]
        peaks.append(_peak(edges, weighted, root[window], position, seen, (sigma, gamma, box), shape))
    found = np.array([peak for peak in peaks if peak is not None]).reshape(-1, 3)
    if len(found) < LEAST_REFLECTIONS:
        raise FitError(f"{len(found)} of {len(lines)} reflections can be used, and a line needs {LEAST_REFLECTIONS}")
    theta = found[:, 0] / 2
    x, y, error = 4 * np.sin(theta), found[:, 1] * np.cos(theta), found[:, 2] * np.cos(theta)
    design = np.stack([np.ones_like(x), x], axis=1) / error[:, None]
    covariance = np.linalg.inv(design.T @ design)
    offset, strain = covariance @ design.T @ (y / error)
    excess = float(np.sum(((y - offset - strain * x) / error) ** 2)) / max(1, len(x) - 2)
    return WilliamsonHall(
        two_theta=np.rad2deg(found[:, 0]),
        x=x,
        y=y,
        y_error=error,
        strain=float(strain),
        strain_error=float(np.sqrt(covariance[1, 1] * max(1.0, excess))),
        size=float(shape_factor * axis.wavelength / (10 * offset)) if offset > 0 else float("inf"),
    )


def _peak(
    edges: Floats,
    weighted: Floats,
    root: Floats,
    position: float,
    seen: tuple[Floats, Floats],
    widths: tuple[float, float, float],
    shape: tuple[float, float],
) -> tuple[float, float, float] | None:
    """Position, β and its error (radians) of one peak on a linear background; None where it cannot be used.

    `seen` is the bins' shift and excess, `widths` the instrument's σ, γ and box.
    """
    step = float(np.diff(edges).max())
    sigma, gamma, box = widths
    ramp = np.linspace(-1, 1, root.size)
    profile, spare = np.empty(root.size), np.empty((2, root.size))

    def design(parameters: Floats) -> Floats:
        center, beta = position + parameters[0] * step, parameters[1] * step
        wide = np.hypot(sigma, shape[0] * beta)
        voigt_bins(edges, *seen, box, center, wide, gamma + shape[1] * beta, shape, profile, *spare)
        return np.asarray((np.stack([profile, 1 + ramp, 1 - ramp]) * root).T)

    def residual(parameters: Floats) -> Floats:
        columns = design(parameters)
        return np.asarray(columns @ nnls(columns, weighted)[0] - weighted)

    fit = least_squares(residual, [0.0, 1.0], bounds=([-10.0, 0.0], [10.0, root.size]))
    columns = design(fit.x)
    area = nnls(columns, weighted)[0][0]
    freedom = max(1, root.size - 5)
    noise = max(1.0, 2 * fit.cost / freedom)
    # the linear part is solved inside, so JᵀJ has it marginalised
    jacobian = np.asarray(cast(Floats, fit.jac))
    normal = jacobian.T @ jacobian
    if not fit.success or area * np.linalg.norm(columns[:, 0]) < USABLE * np.sqrt(noise):
        return None
    if np.linalg.cond(normal) > 1e12 or abs(fit.x[0]) > 9.9:
        return None
    error = np.sqrt(np.linalg.inv(normal)[1, 1] * noise) * step
    return position + fit.x[0] * step, float(fit.x[1]) * step, float(error)
