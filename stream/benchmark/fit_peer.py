"""A voxel's fit by scipy's `least_squares`: on our compiled model, or on the same equations in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares
from scipy.special import voigt_profile

from stream.analyse.crystal.columns import fill_columns, fill_profiles
from stream.analyse.crystal.detect import FREE, RESTRAINED
from stream.analyse.crystal.model import Model
from stream.analyse.crystal.refine import LEAST_GAIN, Layout, Trial, evaluate, lay_out, new_trial

Floats = npt.NDArray[np.float64]
Profiles = Callable[[Model, int, Floats, float, float, Trial], Floats]
"""Profiles (reflections, bins) of a phase's lines: model, phase, metric, strain, breadth, and where to put them."""

AMOUNTS = (0.75, 0.25)  # by volume
NODES = np.polynomial.legendre.leggauss(2)  # over a bin, and over a pixel: half a per cent of the highest bin


def compiled(m: Model, p: int, metric: Floats, strain: float, breadth: float, t: Trial) -> Floats:
    """By the fit's own kernels."""
    fill_profiles(m, p, metric, strain, breadth, t.geometry, t.profiles)
    return t.profiles[0, m.first[p] : m.first[p + 1]]


def plain(m: Model, p: int, metric: Floats, strain: float, breadth: float, t: Trial) -> Floats:
    """As one writes it: scipy's Voigt profile, averaged over bin and pixel by two nodes each."""
    own = slice(m.first[p], m.first[p + 1])
    theta = np.arcsin(m.wavelength / 2 * np.sqrt(m.rows[own] @ metric))[:, None]
    beta = breadth / np.cos(theta) + 4 * strain * np.tan(theta)
    sigma = np.hypot(m.sigma[own, None], m.shape[p, 0] * beta)
    gamma = m.gamma[own, None] + m.shape[p, 1] * beta
    middle, bins, pixel = (m.edges[1:] + m.edges[:-1]) / 2, np.diff(m.edges) / 2, m.box[own, None] / 2
    places = product(zip(*NODES, strict=True), repeat=2)
    parts = (u * v / 4 * voigt_profile(middle + a * bins - 2 * theta + b * pixel, sigma, gamma)
             for (a, u), (b, v) in places)  # fmt: skip
    return np.asarray(sum(parts))


@dataclass(slots=True)
class Peer:
    """All parameters of a voxel's fit, linear ones too, by `least_squares` with numerical derivatives."""

    model: Model
    weight: Floats
    layout: Layout
    trial: Trial
    profiles: Profiles

    @classmethod
    def of(cls, model: Model, weight: Floats, profiles: Profiles) -> Peer:
        """With the layout that the kernels give a voxel whose main phase is the first."""
        mode, owner = np.array([FREE, RESTRAINED]), np.arange(2)
        layout = lay_out(model, mode, owner, np.ones(2, np.bool_), 0, np.array(AMOUNTS) / model.volume**2)
        return cls(model, weight, layout, new_trial(model, layout, model.metric.copy()), profiles)

    def columns(self, theta: Floats) -> Floats:
        """(columns, bins) at these cells, strains and breadths."""
        m, t, place = self.model, self.trial, self.layout.place
        for p in range(len(AMOUNTS)):
            metric = t.metric[p].copy()
            metric[: m.free[p]] = theta[place[p, : m.free[p]]] * m.unit[p, : m.free[p]]
            found = self.profiles(m, p, metric, theta[place[p, 6]], theta[place[p, 7]], t)
            t.profiles[0, m.first[p] : m.first[p + 1]] = found
        fill_columns(m, self.layout.column, t.profiles, t.columns)
        return t.columns

    def strain(self, y: Floats) -> float:
        """Of the first phase in the pattern (bins,)."""
        layout, count = self.layout, self.trial.theta.size
        evaluate(y, self.weight, self.model, layout, self.trial)  # a start as good as ours: the linear optimum
        start = np.concatenate([self.trial.theta, self.trial.x])
        lines = self.trial.columns.shape[0]
        least = np.zeros(self.trial.x.size)
        least[lines - self.model.smooth.shape[0] : lines] = -np.inf
        low = np.concatenate([layout.low, least])
        high = np.concatenate([layout.high, np.full(self.trial.x.size, np.inf)])
        scale = np.concatenate([(layout.high - layout.low) / 100, np.maximum(self.trial.x, self.trial.x.max() * 1e-3)])
        root = np.sqrt(self.weight)

        def residual(parameters: Floats) -> Floats:
            x = parameters[count:]
            parts = [(x[:lines] @ self.columns(parameters[:count]) - y) * root]
            for p, (first, last) in enumerate(layout.span):
                if layout.prior[p] > 0:
                    parts.append(np.sqrt(layout.prior[p]) * (x[first:last] - x[lines + p]))
            return np.concatenate(parts)

        inside = np.clip(start, low + 1e-12, np.where(np.isfinite(high), high * (1 - 1e-12), np.inf))
        tolerance = LEAST_GAIN / (y.size - start.size)  # of the cost: where our own fit stops
        found = least_squares(residual, inside, bounds=(low, high), x_scale=scale, ftol=tolerance)
        return float(found.x[layout.place[0, 6]])
