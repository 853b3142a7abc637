"""Where the fits of a slice start: the cells, widths and profile shape of its mean pattern.

Every voxel starts from here and none from its neighbour, so that a voxel's result does not depend on the order.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numba
import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import erfcx

from stream.analyse.crystal.columns import add_scaled, fill_profiles
from stream.analyse.crystal.model import MAIN_RANGE, SEARCH_RANGE, Crystal, Model, State
from stream.analyse.crystal.voxel import BREADTH, CELL_FREE, OK, REASON, STRAIN, WIDTH, fit_voxel

Floats = npt.NDArray[np.float64]
Builder = Callable[[State], Model]

SHAPE_ROUNDS = 4
FIRST_STRAIN, FIRST_SIZE = 5e-4, 100.0  # nm


def shape_of(share: float) -> tuple[float, float]:
    """σ and γ of a Voigt of unit integral breadth; share 0: Gaussian, 1: Lorentzian.

    With k = γ/(σ√2) = share/(1 - share): β = σ √(2π) / erfcx(k).
    """
    if share >= 1:
        return 0.0, 1 / math.pi
    k = share / (1 - share)
    sigma = float(erfcx(k)) / math.sqrt(2 * math.pi)
    return sigma, k * math.sqrt(2) * sigma


def first_state(crystals: list[Crystal], wavelength: float, shape_factor: float, share: float) -> State:
    """The structures' own cells, and a middling strain and size."""
    count = len(crystals)
    metric = np.zeros((count, 6))
    for row, crystal in zip(metric, crystals, strict=True):
        lattice = crystal.structure.lattice
        row[: len(lattice.free)] = lattice.parameters(crystal.structure.cell)
    breadth = shape_factor * wavelength / (10 * FIRST_SIZE)
    shape = np.tile(shape_of(share), (count, 1))
    return State(metric, np.full(count, FIRST_STRAIN), np.full(count, breadth), shape, np.zeros(count))


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def tied_pattern(m: Model, p: int, metric: Floats, geometry: Floats, profiles: Floats, out: Floats) -> None:
    """The whole pattern of phase p at unit scale, with the start's widths."""
    fill_profiles(m, p, metric, m.strain[p], m.breadth[p], geometry, profiles)
    out[:] = 0.0
    for r in range(m.first[p], m.first[p + 1]):
        add_scaled(out, m.intensity[r], profiles[0, r])


def with_templates(m: Model) -> Model:
    """The model with the patterns of each phase at isotropic changes of its cell, half a line width apart."""
    tangent = math.tan(m.edges[-1] / 2)
    width = float((2.355 * m.sigma + m.gamma).min(initial=np.inf))
    width = min(max(width, float(np.diff(m.edges).max())), m.edges[-1])
    steps = min(int(np.ceil(SEARCH_RANGE / (width / (4 * tangent)))), 40)
    offsets = np.linspace(-SEARCH_RANGE, SEARCH_RANGE, 2 * steps + 1)
    return m._replace(offsets=offsets, templates=templates(m, offsets))


def templates(m: Model, offsets: Floats) -> Floats:
    """(phases, offsets, bins)."""
    bins = m.edges.size - 1
    out = np.zeros((m.volume.size, offsets.size, bins))
    geometry, profiles = np.zeros((m.group.size, 3)), np.zeros((3, m.group.size, bins))
    for p in range(m.volume.size):
        for k, offset in enumerate(offsets):
            tied_pattern(m, p, m.metric[p] / (1 + offset) ** 2, geometry, profiles, out[p, k])
    return out


def find_start(y: Floats, weight: Floats, state: State, main: int, make: Builder, fit_shape: bool) -> State:
    """The state that the mean pattern of a slice supports.

    Parameters
    ----------
    y, weight : (bins,) mean pattern and 1/variance (0: not used). main : the phase searched within ±2 %.
    fit_shape : whether the profile's shape is fitted too, once for each phase.
    """
    state = _search(y, weight, state, main, make(state))
    for _ in range(2):
        state = _adopt(state, fit_once(y, weight, with_templates(make(state)))[0])
    for _ in range(SHAPE_ROUNDS if fit_shape else 0):  # overlapping phases: the shape of one depends on the other's
        before = state.shape
        for p in range(len(state.strain)):
            state = _fit_shape(y, weight, state, p, make)
        state = _adopt(state, fit_once(y, weight, with_templates(make(state)))[0])
        if np.allclose(state.shape, before, atol=0.003):
            break
    return state


def fit_once(y: Floats, weight: Floats, m: Model) -> tuple[Floats, float]:
    """Table and reduced chi square of one pattern."""
    table = np.empty((m.volume.size, WIDTH))
    chi2 = fit_voxel(y, weight, m, table, np.empty(m.smooth.shape[0]), np.empty(0), np.empty(0))
    return table, float(chi2)


def _fit_shape(y: Floats, weight: Floats, state: State, p: int, make: Builder) -> State:
    """The state with the shape of phase p's profile that fits best."""

    def cost(share: float) -> float:
        return fit_once(y, weight, with_templates(make(_shaped(state, p, share))))[1]

    best = minimize_scalar(cost, bounds=(0.0, 1.0), method="bounded", options={"xatol": 0.002})
    return _shaped(state, p, float(best.x))


def _shaped(state: State, p: int, share: float) -> State:
    shape = state.shape.copy()
    shape[p] = shape_of(share)
    return replace(state, shape=shape)


def _adopt(state: State, table: Floats) -> State:
    """The state with what the fit of the mean pattern is sure of."""
    metric, strain, breadth = state.metric.copy(), state.strain.copy(), state.breadth.copy()
    for p, row in enumerate(table):
        if row[CELL_FREE] == 1:
            metric[p] = row[:6]
        if row[REASON] == OK:
            strain[p], breadth[p] = max(row[STRAIN], FIRST_STRAIN / 10), row[BREADTH]
    sure = np.flatnonzero(table[:, REASON] == OK)
    if sure.size:  # the others follow the surest, as they do in a voxel
        others = table[:, REASON] != OK
        strain[others], breadth[others] = strain[sure[0]], breadth[sure[0]]
    return replace(state, metric=metric, strain=strain, breadth=breadth)


def _search(y: Floats, weight: Floats, state: State, main: int, m: Model) -> State:
    """Matched filter for the main phase's cell: isotropic over ±2 %, then each parameter by itself, twice."""
    if not len(state.metric):
        return state
    geometry, profiles = np.zeros((m.group.size, 3)), np.zeros((3, m.group.size, y.size))
    pattern = np.empty(y.size)
    root = np.sqrt(weight)
    ground, _ = np.linalg.qr((m.smooth * root).T)

    def score(metric: Floats) -> float:
        tied_pattern(m, main, metric, geometry, profiles, pattern)
        line = pattern * root
        line = line - ground @ (ground.T @ line)
        return float(line @ (y * root) / max(float(np.linalg.norm(line)), 1e-300))

    def best_of(metrics: list[Floats]) -> Floats:
        return metrics[int(np.argmax([score(metric) for metric in metrics]))]

    step = MAIN_RANGE / 40
    best = best_of([state.metric[main] / (1 + k * step) ** 2 for k in range(-40, 41)])
    for reach in (40, 8):
        for k in range(int(m.free[main])):
            moves = np.arange(-reach, reach + 1)[:, None] * np.eye(6)[k] * m.unit[main, k] * 2 * step
            best = best_of([np.clip(best + move, m.main_low[main], m.main_high[main]) for move in moves])
    metric = state.metric.copy()
    metric[main] = best
    return replace(state, metric=metric)
