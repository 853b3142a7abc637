"""Samples to learn from: more varied than the presets, so that the model learns contents and not one phantom."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt

from stream.analyse.classify.contents import classify
from stream.simulate.phantom import (
    AIR,
    CARBON,
    GLASS,
    STATES,
    Ball,
    Content,
    Material,
    Phantom,
    make_phantom,
    mixture,
)
from stream.simulate.powder import load_lines
from stream.simulate.presets import PRESETS, Preset
from stream.simulate.sample import voxel_shares
from stream.simulate.truth import field_of_view, per_material

OVERSAMPLING = 4
D_MIN = 1.0  # Å
MIXED = 0.7  # of the varied samples have another mixture of phases in their particles, or in their rims
COARSEST = 0.25  # of the largest: voxels a side of the coarsest scan,
FEWEST = 8  # but no fewer


@dataclass(frozen=True, slots=True)
class Sample:
    """A slice of a phantom, the preset it is of, and its voxels: count a side, of step µm."""

    preset: Preset
    phantom: Phantom
    count: int
    step: float

    @property
    def positions(self) -> npt.NDArray[np.float64]:
        """Of the rays, µm, about the axis."""
        return np.asarray((np.arange(self.count, dtype=np.float64) - (self.count - 1) / 2) * self.step)

    @property
    def contents(self) -> npt.NDArray[np.float64]:
        """Volume fractions of crystals, carbon/binder and glass in each material, (material, 3)."""
        volumes = {
            phase: per_material(self.phantom, phase, lambda strain, scale: 1.0)
            for phase in (*self.preset.crystals, *self.preset.humps)
        }
        crystalline = sum(volumes[phase] for phase in self.preset.crystals)
        return np.stack([crystalline, volumes["carbon"], volumes["glass"]], axis=-1)

    @property
    def labels(self) -> npt.NDArray[np.int8]:
        """True class of each voxel, (y, x); -1 outside the field of view."""
        crystalline, carbon, glass = np.moveaxis(voxel_shares(self.phantom)[0] @ self.contents, -1, 0)
        return np.where(field_of_view(self.count), classify(crystalline, carbon, glass), np.int8(-1))


def draw_sample(rng: np.random.Generator, largest: int) -> Sample:
    """A random sample of at most `largest` voxels a side: half of them presets as they are, half free variations."""
    preset = list(PRESETS.values())[rng.integers(len(PRESETS))]
    count = int(rng.integers(max(round(COARSEST * largest), FEWEST), largest + 1))
    step = float(rng.uniform(0.5, 2.0))
    if rng.random() < 0.5:
        phantom = make_phantom(preset, densities(preset), count, step, np.zeros(1), int(rng.integers(2**31)))
    else:
        preset = vary(rng, preset)
        phantom = free_phantom(rng, preset, count, step)
    return Sample(preset, phantom, count, step)


def densities(preset: Preset) -> dict[str, float]:
    """Mass density of each crystalline phase, Da/Å3."""
    lines = {name: load_lines(c.structure, D_MIN) for name, c in preset.crystals.items()}
    return {name: line.mass / (line.volume * preset.crystals[name].scale ** 3) for name, line in lines.items()}


def vary(rng: np.random.Generator, preset: Preset) -> Preset:
    """The preset with other cells, sizes, strains and mixtures of its phases."""
    names = list(preset.crystals)
    crystals = {
        name: replace(c, scale=c.scale * rng.uniform(0.985, 1.015), size=float(10 ** rng.uniform(1.5, 2.5)))
        for name, c in preset.crystals.items()
    }
    weights = [dict(zip(names, rng.dirichlet([0.5] * len(names)).tolist(), strict=True)) for _ in range(2)]
    strain, contact_strain = rng.uniform(2e-4, 2e-3, 2)
    bulk = weights[0] if rng.random() < MIXED else preset.bulk
    contact = weights[1] if rng.random() < MIXED else preset.contact
    return replace(preset, crystals=crystals, bulk=bulk, contact=contact, strain=strain, contact_strain=contact_strain)


def free_phantom(rng: np.random.Generator, preset: Preset, count: int, step: float) -> Phantom:
    """Capillary of any size, place and wall, or none; any amount of carbon/binder; particles that may touch."""
    fine = step / OVERSAMPLING
    across = (np.arange(count * OVERSAMPLING, dtype=np.float64) - (count * OVERSAMPLING - 1) / 2) * fine
    y, x = np.meshgrid(across, across, indexing="ij", sparse=True)
    field = count * step / 2
    outer = field * rng.uniform(0.5, 1.0)
    shift = (field - outer) * rng.uniform(0, 1)
    turn = rng.uniform(0, 2 * np.pi)
    middle = (shift * np.sin(turn), shift * np.cos(turn))
    radius = np.hypot(y - middle[0], x - middle[1])
    wall = min(step * rng.uniform(1.2, 6.0), 0.4 * outer) if rng.random() < 0.85 else 0.0
    inner = outer - wall

    def balls(number: int, low: float, high: float) -> list[Ball]:
        return [draw_ball(rng, middle, inner, low, high) for _ in range(number)]

    labels = np.full(radius.shape, AIR, dtype=np.uint8)
    labels[(radius <= outer) & (radius > inner)] = GLASS
    within = radius <= inner
    for patch in balls(int(rng.integers(0, 5)), 0.15, 0.6):
        labels[patch.covers(np.zeros(1), y, x) & within] = CARBON
    if rng.random() < 0.1:
        labels[within] = CARBON
    owner = np.zeros(labels.shape, dtype=np.uint8)
    smallest = min(1.2 * step / inner, 0.3)
    for ball in balls(int(rng.integers(1, 25)), smallest, 0.4):
        owner[ball.covers(np.zeros(1), y, x) & within] = CARBON + 1 + 2 * rng.integers(len(STATES))
    inside = owner > 0
    labels[inside] = owner[inside]
    depth = step * rng.uniform(0, 4)
    if (labels == CARBON).any():
        labels[inside & (distance_transform_edt(labels != CARBON, sampling=fine) <= depth)] += 1
    return Phantom(labels[None], draw_materials(rng, preset), fine, OVERSAMPLING)


def draw_ball(rng: np.random.Generator, middle: tuple[float, float], inner: float, low: float, high: float) -> Ball:
    """An ellipse inside a circle; semi-axes between low and high, as shares of its radius, small ones more often."""
    axis = inner * low * (high / low) ** rng.random()
    reach, turn = (inner - axis) * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
    center = (0.0, middle[0] + reach * np.sin(turn), middle[1] + reach * np.cos(turn))
    return Ball(center, (1.0, axis * rng.uniform(0.5, 1.0), axis), float(rng.uniform(0, np.pi)))


def draw_materials(rng: np.random.Generator, preset: Preset) -> tuple[Material, ...]:
    """Air, glass, carbon/binder; then each state's particle interior and rim: porous to a random degree."""
    porosity, share, filling = rng.uniform(0, 0.35), rng.uniform(0.12, 0.35), rng.uniform(0.85, 1.0)
    density = densities(preset)
    materials: list[Material] = [(), (Content("glass", 1.0),), (Content("carbon", 1 - porosity),)]
    for strain, scale in STATES:
        materials.append(mixture(preset.bulk, density, filling, preset.strain * strain, scale))
        rim = mixture(preset.contact, density, filling - share, preset.contact_strain * strain, scale)
        materials.append((*rim, Content("carbon", share)))
    return tuple(materials)
