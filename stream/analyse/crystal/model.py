"""The whole-pattern model as plain arrays, which the kernels read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stream.analyse.crystal.instrument import Instrument
from stream.analyse.crystal.response import Response
from stream.analyse.crystal.scatter import kept_variance
from stream.analyse.crystal.smooth import Hump, bernstein_columns, hump_columns
from stream.analyse.crystal.structure import Structure
from stream.core.axis import RadialAxis

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BACKGROUND_DEGREE = 3  # four terms: a voxel's background is weak, and its humps are phases
MAIN_RANGE = 0.02  # the main phase's cell edges, about the structure's: +3.13 % of volume fits in
MINOR_RANGE = 0.005  # a minor phase's, about the slice's: it must not wander to its neighbour's lines
SEARCH_RANGE = 0.01  # isotropic search in each voxel, about the slice's cell
STRAIN_RANGE = (0.0, 0.02)
SIZE_RANGE = (10.0, 1e5)  # nm; finer is amorphous, coarser broadens no line
WEAK_LINE = 0.005  # of the strongest: weaker lines share one free intensity


@dataclass(frozen=True, slots=True)
class Crystal:
    """A crystalline phase."""

    name: str
    structure: Structure


@dataclass(frozen=True, slots=True)
class State:
    """Where every fit of a slice starts: one row a crystalline phase."""

    metric: Floats  # (phases, 6), the lattice's free reciprocal parameters, Å⁻²
    strain: Floats  # (phases,)
    breadth: Floats  # (phases,) Kλ/D in radians
    shape: Floats  # (phases, 2): σ and γ of a sample profile of unit integral breadth
    systematic: Floats  # (phases,) error of strain that the instrument's own makes


class Model(NamedTuple):
    """One row a phase, a reflection or a bin. Lengths along 2θ are radians."""

    edges: Floats  # (bins + 1,)
    shift: Floats  # (bins,) see `Response`
    excess: Floats  # (bins,)
    smooth: Floats  # (humps + background terms, bins)
    first: Ints  # (phases + 1,) reflections of phase p: first[p]:first[p + 1]
    first_group: Ints  # (phases + 1,)
    group: Ints  # (reflections,) the free intensity it belongs to
    rows: Floats  # (reflections, 6): 1/d² = rows @ metric
    intensity: Floats  # (reflections,)
    sigma: Floats  # (reflections,) the instrument's
    gamma: Floats  # (reflections,)
    box: Floats  # (reflections,) the pixel's
    free: Ints  # (phases,) free metric parameters
    metric: Floats  # (phases, 6)
    unit: Floats  # (phases, 6) a metric parameter's natural size
    main_low: Floats  # (phases, 6) bounds of the metric as main phase
    main_high: Floats
    minor_low: Floats
    minor_high: Floats
    strain: Floats  # (phases,) start
    breadth: Floats  # (phases,) start, Kλ/D
    breadth_range: Floats  # (2,)
    shape: Floats  # (phases, 2)
    volume: Floats  # (phases,) Å³
    offsets: Floats  # (K,) relative change of the cell edges of each template
    templates: Floats  # (phases, K, bins) whole tied patterns at unit scale
    kept: Floats  # see `kept_variance`
    wavelength: float


def widths(
    axis: RadialAxis, instrument: Instrument | None, response: Response, two_theta: Floats
) -> tuple[Floats, Floats, Floats]:
    """The instrument's σ, γ and box; without one a quarter of a bin, and all breadth counts as the sample's."""
    if instrument is None:
        quarter = np.full_like(two_theta, np.diff(axis.two_theta_edges).mean() / 4)
        return quarter, np.zeros_like(two_theta), quarter
    flat, box = response.seen(two_theta)
    return *instrument.widths(two_theta, flat), box


def build(
    axis: RadialAxis,
    crystals: list[Crystal],
    humps: list[Hump],
    instrument: Instrument | None,
    response: Response,
    state: State,
    shape_factor: float,
) -> Model:
    """The model around a state, without templates; of patterns that may be negative."""
    low, high = axis.two_theta_edges[[0, -1]]
    margin = 0.1 * (high - low)
    d_min = axis.wavelength / (2 * math.sin(min(high + margin, math.pi) / 2))
    d_max = axis.wavelength / (2 * math.sin(max(low - margin, 1e-4) / 2))
    count = len(crystals)
    first, first_group = np.zeros(count + 1, np.int64), np.zeros(count + 1, np.int64)
    group, rows, intensity, sigma, gamma, box = [], [], [], [], [], []
    unit, structure_metric = np.ones((count, 6)), np.zeros((count, 6))
    for p, crystal in enumerate(crystals):
        structure, lattice = crystal.structure, crystal.structure.lattice
        free = len(lattice.free)
        lines = structure.reflections(d_min, d_max)
        row = np.zeros((len(lines.d), 6))
        row[:, :free] = lattice.rows(lines.hkl)
        theta = np.arcsin(axis.wavelength / 2 * np.sqrt(row @ state.metric[p]))
        lorentz = 1 / (np.sin(theta) ** 2 * np.cos(theta))
        strength = lines.multiplicity * lines.f_squared * lorentz
        s, g, b = widths(axis, instrument, response, 2 * theta)
        breadth = state.breadth[p] / np.cos(theta) + 4 * state.strain[p] * np.tan(theta)
        spread = np.sqrt(s**2 + b**2 / 12 + (state.shape[p, 0] * breadth) ** 2)
        fwhm = 2.355 * spread + g + state.shape[p, 1] * breadth
        members = _groups(2 * theta, strength, fwhm, low, high)
        structure_metric[p, :free] = lattice.parameters(structure.cell)
        unit[p, :free] = _natural(lattice.basis, structure_metric[p, :free])
        group.append(members + first_group[p])
        first[p + 1] = first[p] + len(lines.d)
        first_group[p + 1] = first_group[p] + members.max(initial=-1) + 1
        rows.append(row)
        intensity.append(strength)
        sigma.append(s)
        gamma.append(g)
        box.append(b)
    each = [np.concatenate([np.zeros(0), *parts]) for parts in (intensity, sigma, gamma, box)]
    main, minor = 2 * MAIN_RANGE * unit, 2 * MINOR_RANGE * unit
    start = np.clip(state.metric, structure_metric - main, structure_metric + main)
    size_breadth = shape_factor * axis.wavelength / (10 * np.array(SIZE_RANGE[::-1]))
    return Model(
        edges=axis.two_theta_edges,
        shift=response.shift,
        excess=response.excess,
        smooth=np.concatenate([hump_columns(axis, humps), bernstein_columns(axis, BACKGROUND_DEGREE)]),
        first=first,
        first_group=first_group,
        group=np.concatenate([np.zeros(0, np.int64), *group]),
        rows=np.concatenate([np.zeros((0, 6)), *rows]),
        intensity=each[0],
        sigma=each[1],
        gamma=each[2],
        box=each[3],
        free=np.array([len(crystal.structure.lattice.free) for crystal in crystals], dtype=np.int64),
        metric=start,
        unit=unit,
        main_low=structure_metric - main,
        main_high=structure_metric + main,
        minor_low=np.maximum(start - minor, structure_metric - main),
        minor_high=np.minimum(start + minor, structure_metric + main),
        strain=state.strain.copy(),
        breadth=np.clip(state.breadth, *size_breadth),
        breadth_range=size_breadth,
        shape=state.shape.copy(),
        volume=np.array([crystal.structure.volume for crystal in crystals]),
        offsets=np.zeros(0),
        templates=np.zeros((count, 0, axis.bins)),
        kept=kept_variance(held=False),
        wavelength=axis.wavelength,
    )


def _groups(two_theta: Floats, strength: Floats, fwhm: Floats, low: float, high: float) -> Ints:
    """Which free intensity each reflection (by rising 2θ) belongs to.

    Lines closer than half a width are one; lines too weak or off the axis are one together, at their calculated
    ratios, for nothing in the pattern could tell their intensities apart.
    """
    inside = (two_theta > low + fwhm) & (two_theta < high - fwhm)
    loud = inside & (strength > WEAK_LINE * strength[inside].max(initial=0.0))
    members = np.full(two_theta.size, -1, dtype=np.int64)
    count, previous = 0, -np.inf
    for r in np.flatnonzero(loud):
        if two_theta[r] - previous > fwhm[r] / 2:
            count += 1
        members[r] = count - 1
        previous = two_theta[r]
    members[~loud] = count
    return members


def _natural(basis: Floats, metric: Floats) -> Floats:
    """The size of each metric parameter: its own, or for a mixed term the geometric mean of its diagonal ones."""
    six = np.abs(basis @ metric)
    sizes = np.concatenate([six[:3], np.sqrt(six[[1, 0, 0]] * six[[2, 2, 1]])])
    return np.asarray([sizes[np.flatnonzero(column)[0]] for column in basis.T])
