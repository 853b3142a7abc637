"""A scan of a sample, from ray sums with counting noise to labelled patterns of its reconstructed voxels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from stream.analyse.classify.learn.example import Slice
from stream.analyse.classify.preprocess import to_q_grid
from stream.analyse.tomography.projector import Projector
from stream.analyse.tomography.sirt import reconstruct
from stream.core.axis import RadialAxis, Unit, from_two_theta
from stream.simulate.forward import path_lengths
from stream.simulate.powder import TwoThetaGrid, crystal_pattern, hump_pattern, load_lines
from stream.simulate.training.samples import D_MIN, Sample, draw_sample

Floats = npt.NDArray[np.float64]
CELL = np.deg2rad(0.01)  # of 2θ, on which patterns are made
UNITS: tuple[Unit, ...] = ("2th_deg", "q_A^-1", "q_nm^-1")


@dataclass(frozen=True, slots=True)
class Beam:
    """How a sample was measured: what a beamline has, and what it cannot help."""

    axis: RadialAxis
    angles: Floats
    counts: float
    air: float
    subtracted: bool
    width: float
    absorption: float
    miscentred: float
    resolution: float


def draw_beam(rng: np.random.Generator, count: int) -> Beam:
    """Wavelength 0.4-0.8 Å, any unit, range, number of angles, dose, air, absorption and small errors."""
    wavelength = float(rng.uniform(0.4, 0.8))
    low = rng.uniform(0.12, 0.3) if rng.random() < 0.85 else rng.uniform(0.3, 0.5)
    high = rng.uniform(2.7, 5.0)
    unit = UNITS[rng.integers(len(UNITS))]
    two_theta = 2 * np.arcsin(np.array([low, high]) * wavelength / (4 * np.pi))
    ends = from_two_theta(two_theta, unit, wavelength)
    axis = RadialAxis(unit, float(ends[0]), float(ends[1]), int(rng.integers(200, 320)), wavelength)
    angles = round(count * rng.uniform(0.5, 1.5))
    turn = 360.0 if rng.random() < 0.15 else 180.0
    return Beam(
        axis=axis,
        angles=np.arange(angles) * turn / angles,
        counts=float(10 ** rng.uniform(4.2, 6.5)),
        air=float(rng.uniform(0.0, 0.3)),
        subtracted=bool(rng.random() < 0.5),
        width=float(rng.uniform(0.8, 1.2)),
        absorption=float(rng.uniform(0.0, 0.3)),
        miscentred=float(rng.normal(0, 0.1)),
        resolution=float(np.deg2rad(rng.uniform(0.01, 0.08))),
    )


def draw_scan(number: int, seed: int, largest: int) -> tuple[np.random.Generator, Sample, Beam]:
    """Sample and beam of the scan with this number, and the generator that goes on with its noise."""
    rng = np.random.default_rng([seed, number])
    sample = draw_sample(rng, largest)
    return rng, sample, draw_beam(rng, sample.count)


def ray_patterns(rng: np.random.Generator, sample: Sample, beam: Beam) -> npt.NDArray[np.float32]:
    """Integrated patterns of all rays with Poisson noise, shape (angle, position, bin)."""
    mixing, patterns = component_patterns(rng, sample, beam)
    amounts = true_paths(sample, beam) @ mixing
    rays = amounts @ patterns
    solid = amounts.sum(axis=-1, keepdims=True)
    rays *= np.exp(-beam.absorption * solid / max(solid.max(), 1e-9))

    q = from_two_theta(beam.axis.two_theta, "q_A^-1", beam.axis.wavelength)
    air = np.exp(-q / rng.uniform(0.3, 1.0)) + rng.uniform(0, 0.3)
    pixels = beam.axis.two_theta * np.gradient(beam.axis.two_theta)  # of a ring, up to a factor
    pixels *= np.clip((beam.axis.two_theta[-1] * 1.3 - beam.axis.two_theta) / beam.axis.two_theta[-1], 0.3, 0.6)
    air *= beam.air * (rays @ pixels).mean() / (air @ pixels)
    pixels *= beam.counts / ((rays + air) @ pixels).mean()
    measured = rng.poisson((rays + air) * pixels) / pixels
    return np.asarray(measured - air if beam.subtracted else measured, dtype=np.float32)


def true_paths(sample: Sample, beam: Beam) -> Floats:
    """Path (µm) of all rays in each material, (angle, position, material)."""
    phantom, width = sample.phantom, beam.width * sample.step
    labels, materials = phantom.labels[0], len(phantom.materials)
    each = [path_lengths(labels, materials, phantom.step, float(a), sample.positions, width) for a in beam.angles]
    return np.array(each)


def component_patterns(rng: np.random.Generator, sample: Sample, beam: Beam) -> tuple[Floats, Floats]:
    """Volume fraction of each component in each material, and each component's pattern on the beam's axis."""
    wavelength = beam.axis.wavelength
    grid = TwoThetaGrid(CELL, int(np.ceil(beam.axis.two_theta_edges[-1] / CELL)) + 50, wavelength)
    materials = sample.phantom.materials
    components = sorted({(c.phase, c.strain, c.scale) for material in materials for c in material})
    mixing = np.zeros((len(materials), len(components)))
    for row, material in zip(mixing, materials, strict=True):
        for content in material:
            row[components.index((content.phase, content.strain, content.scale))] += content.volume
    spread = rng.uniform(0.02, 0.25)
    preset = sample.preset
    strength = 0.0
    patterns = np.zeros((len(components), grid.size))
    for i, (phase, strain, scale) in enumerate(components):
        if phase in preset.crystals:
            lines = load_lines(preset.crystals[phase].structure, D_MIN)
            texture = np.exp(spread * rng.standard_normal(lines.d.size))
            patterns[i] = crystal_pattern(lines, preset.crystals[phase], strain, scale, texture, grid)
            if phase == next(iter(preset.crystals)):
                strength = float(patterns[i][grid.q < 3.4].sum() * CELL)
    diffuse = rng.uniform(0, 0.3)  # fluorescence and Compton scatter of the particles, over all angles
    crystalline = [i for i, c in enumerate(components) if c[0] in preset.crystals]
    patterns[crystalline] += diffuse * strength / (CELL * grid.size)
    for i, (phase, _, _) in enumerate(components):
        if phase in preset.humps:
            hump = preset.humps[phase]
            varied = replace(hump, q=hump.q * rng.normal(1, 0.03), width=hump.width * rng.uniform(0.8, 1.3))
            area = hump.strength * strength * float(np.exp(0.25 * rng.standard_normal()))
            patterns[i] = hump_pattern(varied, area, grid)
    patterns = gaussian_filter1d(patterns, beam.resolution / CELL, axis=1, mode="nearest")
    return mixing, patterns @ bin_weights(beam.axis, grid)


def bin_weights(axis: RadialAxis, grid: TwoThetaGrid) -> Floats:
    """Share of each cell of the grid in each bin of the axis, (cells, bins); sums to one over a bin."""
    edges = axis.two_theta_edges
    cells = np.arange(grid.size + 1) * grid.step
    common = np.clip(np.minimum(cells[1:, None], edges[1:]) - np.maximum(cells[:-1, None], edges[:-1]), 0, None)
    return np.asarray(common / common.sum(axis=0))


def draw_stage(rng: np.random.Generator, rays: tuple[int, int], complete: bool) -> npt.NDArray[np.bool_]:
    """Which rays (angle, position) are in: all, or the first angles, or any of them; then less a few that were lost."""
    measured = np.ones(rays, dtype=np.bool_)
    if not complete:
        share = rng.uniform(0.35, 1.0)
        order = np.arange(rays[0]) if rng.random() < 0.5 else rng.permutation(rays[0])
        measured[order[max(6, round(share * rays[0])) :]] = False
        measured &= rng.random(rays) > rng.choice([0.0, 0.02, 0.1])
    return measured


def reconstructed_slices(rng: np.random.Generator, sample: Sample, beam: Beam, stages: int) -> list[Slice]:
    """The sample's slice, as reconstructed from the complete scan and from `stages` - 1 parts of it."""
    projector = Projector(beam.angles, sample.positions, beam.miscentred * sample.step)
    rays = ray_patterns(rng, sample, beam)
    found = []
    for stage in range(stages):
        measured = draw_stage(rng, projector.rays, complete=stage == 0)
        iterations = int(rng.choice([60, 100, 140]) if stage == 0 else rng.integers(8, 60))
        volume, _ = reconstruct(projector, np.where(measured[..., None], rays, np.nan), measured, iterations)
        values = to_q_grid(volume.reshape(-1, beam.axis.bins), beam.axis)
        found.append(Slice(values.reshape(*sample.labels.shape, -1), sample.labels, complete=stage == 0))
    return found
