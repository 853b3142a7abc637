"""The whole-pattern fit of a voxel beside scipy's `least_squares` on the same compiled model, data and start."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from stream.analyse.crystal.columns import fill_columns, fill_profiles
from stream.analyse.crystal.detect import FREE, RESTRAINED
from stream.analyse.crystal.fit import PatternFit
from stream.analyse.crystal.instrument import AxisOfRecord, Instrument
from stream.analyse.crystal.model import Crystal, Model, build
from stream.analyse.crystal.refine import Layout, Trial, evaluate, lay_out, new_trial
from stream.analyse.crystal.smooth import Hump
from stream.analyse.crystal.structure import load_structure
from stream.benchmark.rounds import Job, Row, interleave, ratio
from stream.core.axis import RadialAxis

Floats = npt.NDArray[np.float64]

AXIS = RadialAxis("2th_deg", 1.0, 24.0, 1000, 0.6199)
CRYSTALS = ("nmc622", "lnmo-spinel")
HUMPS = [Hump("carbon", 2.1, 0.9), Hump("glass", 8.8, 2.9)]
AMOUNTS = (0.75, 0.25)  # by volume
BRIGHTEST, LEVEL = 2000.0, 5.0  # counts in a bin: of the strongest line, and under all of them
VOXELS, SLICE = 64, 40_000
BOUND = 0.02
"""Of the strain: each stops where a step gains next to nothing, and its own error is several per cent."""


def fit_row(name: str, threads: int, rounds: int, floor: float) -> Row:
    """Milliseconds that a voxel with two overlapping phases takes."""
    crystals = [Crystal(cif, load_structure(cif)) for cif in CRYSTALS]
    fit = PatternFit(AXIS, [*crystals, *HUMPS], _instrument())
    truth = fit.start(np.zeros((0, AXIS.bins)), np.zeros((0, AXIS.bins)))
    model = build(AXIS, crystals, HUMPS, fit.instrument, fit.response, truth, fit.shape_factor)
    clean = _pattern(model)
    patterns = np.random.default_rng(0).poisson(np.tile(clean, (VOXELS, 1))).astype(np.float32)
    start = fit.start(patterns, np.broadcast_to(clean, patterns.shape))
    peer = Peer.of(build(AXIS, crystals, HUMPS, fit.instrument, fit.response, start, fit.shape_factor), 1 / clean)
    counts = patterns[0].astype(np.float64)
    jobs = [
        Job(lambda: fit.fit(patterns, clean, start, threads=1), VOXELS),
        Job(lambda: peer.strain(counts)),
        Job(lambda: fit.fit(patterns, clean, start, threads=threads), VOXELS),
    ]
    mine, theirs, side_by_side = interleave(jobs, rounds, floor)
    strain = float(fit.fit(patterns[:1], clean, start, threads=1).phases[CRYSTALS[0]].strain[0])
    return Row(
        name=name, unit="ms/voxel", ours=mine, peer="scipy least_squares", theirs=theirs, ratio=ratio(mine, theirs),
        deviation=abs(strain / peer.strain(counts) - 1), bound=BOUND,
        note=f"both one thread; {SLICE:,} such voxels with {threads}: {side_by_side.median * SLICE / 1e3:.0f} s",
    )  # fmt: skip


def _instrument() -> Instrument:
    axis = AxisOfRecord(unit=AXIS.unit, low=AXIS.low, high=AXIS.high, bins=AXIS.bins)
    return Instrument(
        calibrant="lab6", wavelength=AXIS.wavelength, pixel=0.036, w=1e-4, u=0.0, y=2e-4, x=0.0,
        covariance=np.zeros((4, 4)).tolist(), valid=(AXIS.low, AXIS.high), axis=axis,
    )  # fmt: skip


def _pattern(m: Model) -> Floats:
    """Expected counts of a voxel at the model's start."""
    peer = Peer.of(m, np.ones(AXIS.bins))
    columns = peer.columns(peer.trial.theta)
    crystalline = np.zeros(AXIS.bins)
    for p, amount in enumerate(AMOUNTS):
        first, last = peer.layout.span[p]
        crystalline += amount / m.volume[p] ** 2 * columns[first:last].sum(axis=0)
    crystalline *= BRIGHTEST / crystalline.max()
    humps = columns[-m.smooth.shape[0] :][: len(HUMPS)]
    return np.asarray(crystalline + 20 * LEVEL * humps.sum(axis=0) + LEVEL)


@dataclass(slots=True)
class Peer:
    """All parameters of a voxel's fit, linear ones too, by `least_squares` with numerical derivatives."""

    model: Model
    weight: Floats
    layout: Layout
    trial: Trial

    @classmethod
    def of(cls, model: Model, weight: Floats) -> Peer:
        """With the layout that the kernels give a voxel whose main phase is the first."""
        mode, owner = np.array([FREE, RESTRAINED]), np.arange(2)
        layout = lay_out(model, mode, owner, np.ones(2, np.bool_), 0, np.array(AMOUNTS) / model.volume**2)
        return cls(model, weight, layout, new_trial(model, layout, model.metric.copy()))

    def columns(self, theta: Floats) -> Floats:
        """(columns, bins) at these cells, strains and breadths."""
        m, t, place = self.model, self.trial, self.layout.place
        for p in range(len(AMOUNTS)):
            metric = t.metric[p].copy()
            metric[: m.free[p]] = theta[place[p, : m.free[p]]] * m.unit[p, : m.free[p]]
            fill_profiles(m, p, metric, theta[place[p, 6]], theta[place[p, 7]], t.geometry, t.profiles)
        fill_columns(m, self.layout.column, t.profiles, t.columns)
        return t.columns

    def strain(self, y: Floats) -> float:
        """Of the first phase in the pattern (bins,)."""
        layout, count = self.layout, self.trial.theta.size
        evaluate(y, self.weight, self.model, layout, self.trial)  # a start as good as ours: the linear optimum
        start = np.concatenate([self.trial.theta, self.trial.x])
        low = np.concatenate([layout.low, np.zeros(self.trial.x.size)])
        high = np.concatenate([layout.high, np.full(self.trial.x.size, np.inf)])
        scale = np.concatenate([(layout.high - layout.low) / 100, np.maximum(self.trial.x, self.trial.x.max() * 1e-3)])
        root, lines = np.sqrt(self.weight), self.trial.columns.shape[0]

        def residual(parameters: Floats) -> Floats:
            x = parameters[count:]
            parts = [(x[:lines] @ self.columns(parameters[:count]) - y) * root]
            for p, (first, last) in enumerate(layout.span):
                if layout.prior[p] > 0:
                    parts.append(np.sqrt(layout.prior[p]) * (x[first:last] - x[lines + p]))
            return np.concatenate(parts)

        inside = np.clip(start, low + 1e-12, np.where(np.isfinite(high), high * (1 - 1e-12), np.inf))
        found = least_squares(residual, inside, bounds=(low, high), x_scale=scale, ftol=1e-4)
        return float(found.x[layout.place[0, 6]])
