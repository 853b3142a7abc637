"""The whole-pattern fit of voxels: a whole slice, and one voxel beside scipy's `least_squares` on the same model."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from stream.analyse.crystal.fit import PatternFit
from stream.analyse.crystal.instrument import AxisOfRecord, Instrument
from stream.analyse.crystal.model import Crystal, Model, State, build
from stream.analyse.crystal.smooth import Hump
from stream.analyse.crystal.structure import load_structure
from stream.benchmark.fit_peer import AMOUNTS, Peer, compiled, plain
from stream.benchmark.rounds import Figure, Job, Row, interleave, ratio
from stream.core.axis import RadialAxis

Floats = npt.NDArray[np.float64]

AXIS = RadialAxis("2th_deg", 1.0, 24.0, 1000, 0.6199)
CRYSTALS = ("nmc622", "lnmo-spinel")
HUMPS = [Hump("carbon", 2.1, 0.9), Hump("glass", 8.8, 2.9)]
BRIGHTEST, LEVEL = 2000.0, 5.0  # counts in a bin: of the strongest line, and under all of them
VOXELS = 1024
BOUND = 0.02
"""Of the strain: each stops where a step gains next to nothing, and its own error is several per cent."""
STRAINS, GROWTH = (4e-4, 1.2e-3), 1e-3  # of the voxels of a slice: strain, and the cell's edges, relative


@dataclass(frozen=True, slots=True)
class Bench:
    """Patterns with two overlapping phases, and the fit of them."""

    fit: PatternFit
    truth: State

    @classmethod
    def make(cls) -> Bench:
        """With an instrument whose lines are as wide as the bins."""
        crystals = [Crystal(cif, load_structure(cif)) for cif in CRYSTALS]
        fit = PatternFit(AXIS, [*crystals, *HUMPS], _instrument())
        return cls(fit, fit.start(np.zeros((0, AXIS.bins)), np.zeros((0, AXIS.bins))))

    def model(self, state: State) -> Model:
        """The model around a state."""
        fit = self.fit
        return build(AXIS, fit.crystals, fit.humps, fit.instrument, fit.response, state, fit.shape_factor)

    def expected(self, strain: float, growth: float) -> Floats:
        """(bins,) counts of a voxel with this strain, whose cell edges are longer by `growth`."""
        truth, count = self.truth, len(CRYSTALS)
        state = State(
            truth.metric / (1 + growth) ** 2, np.full(count, strain), truth.breadth, truth.shape, truth.systematic
        )
        model = self.model(state)
        peer = Peer.of(model, np.ones(AXIS.bins), compiled)
        columns = peer.columns(peer.trial.theta)
        crystalline = np.zeros(AXIS.bins)
        for p, amount in enumerate(AMOUNTS):
            first, last = peer.layout.span[p]
            crystalline += amount / model.volume[p] ** 2 * columns[first:last].sum(axis=0)
        crystalline *= BRIGHTEST / crystalline.max()
        humps = columns[-model.smooth.shape[0] :][: len(HUMPS)]
        return np.asarray(crystalline + 20 * LEVEL * humps.sum(axis=0) + LEVEL)


def fit_rows(name: str, rounds: int, floor: float) -> list[Row]:
    """Milliseconds that a voxel takes; all on one thread, and each stops at the same gain."""
    bench = Bench.make()
    clean = bench.expected(float(bench.truth.strain[0]), 0.0)
    patterns = np.random.default_rng(0).poisson(np.tile(clean, (VOXELS, 1))).astype(np.float32)
    start = bench.fit.start(patterns, np.broadcast_to(clean, patterns.shape))
    model, counts = bench.model(start), patterns[0].astype(np.float64)
    peers = {
        "least_squares, our compiled model": Peer.of(model, 1 / clean, compiled),
        "least_squares, scipy.special": Peer.of(model, 1 / clean, plain),
    }
    jobs = [Job(lambda: bench.fit.fit(patterns, clean, start, threads=1), VOXELS)]
    jobs += [Job(lambda peer=peer: peer.strain(counts)) for peer in peers.values()]  # type: ignore[misc]
    with threadpool_limits(1, "blas"):  # its threads spin, and a busy machine then slows the peers alone
        mine, *theirs = interleave(jobs, rounds, floor)
        strain = float(bench.fit.fit(patterns[:1], clean, start, threads=1).phases[CRYSTALS[0]].strain[0])
        return [
            Row(
                name=name, unit="ms/voxel", ours=mine, peer=who, theirs=figure, ratio=ratio(mine, figure),
                deviation=abs(strain / peer.strain(counts) - 1), bound=BOUND,
                note="one thread, numerical derivatives, the fit's tolerance",
            )
            for (who, peer), figure in zip(peers.items(), theirs, strict=True)
        ]  # fmt: skip


def slice_row(name: str, side: int, threads: int) -> Row:
    """Seconds that the voxels of a slice take, each another pattern: cell and strain vary, and the noise."""
    bench, rng, voxels = Bench.make(), np.random.default_rng(1), side * side
    kinds = [bench.expected(s, g) for s, g in zip(np.linspace(*STRAINS, 32), rng.uniform(0, GROWTH, 32), strict=True)]
    variances = np.array(kinds, np.float32)[rng.integers(0, len(kinds), voxels)]
    patterns = rng.poisson(variances).astype(np.float32)
    begun, busy = time.perf_counter(), time.process_time()
    start = bench.fit.start(patterns.mean(axis=0)[None], variances.mean(axis=0)[None] / voxels)
    found = bench.fit.fit(patterns, variances, start, threads=threads).phases[CRYSTALS[0]]
    seconds, busy = time.perf_counter() - begun, time.process_time() - busy
    known = np.isfinite(found.strain).mean()
    return Row(
        name=name, unit="s", ours=Figure((seconds,)),
        note=f"{voxels:,} voxels of {AXIS.bins} bins, {threads} threads, {busy:.0f} s of processor time; "
        f"a strain in {known:.1%}",
    )  # fmt: skip


def _instrument() -> Instrument:
    axis = AxisOfRecord(unit=AXIS.unit, low=AXIS.low, high=AXIS.high, bins=AXIS.bins)
    return Instrument(
        calibrant="lab6", wavelength=AXIS.wavelength, pixel=0.036, w=1e-4, u=0.0, y=2e-4, x=0.0,
        covariance=np.zeros((4, 4)).tolist(), valid=(AXIS.low, AXIS.high), axis=axis,
    )  # fmt: skip
