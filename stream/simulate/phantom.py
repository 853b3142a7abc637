"""Where everything is: a random electrode in a capillary, as labels on a grid finer than the voxels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt

from stream.simulate.presets import Preset

Floats = npt.NDArray[np.float64]
AIR, GLASS, CARBON = 0, 1, 2
POROSITY = 0.2  # of the carbon/binder; as much of a particle's rim is filled with carbon
# Particles differ a little: (strain, axis) factors of the states, drawn with binomial probabilities
STATES = ((0.96, 1 - 1e-4), (0.98, 1 + 5e-5), (1.0, 1.0), (1.02, 1 - 5e-5), (1.04, 1 + 1e-4))
STATE_ODDS = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


@dataclass(frozen=True, slots=True)
class Content:
    """A share of a material: volume fraction of a phase, with its microstrain and axis factor."""

    phase: str
    volume: float
    strain: float = 0.0
    scale: float = 1.0


Material = tuple[Content, ...]


@dataclass(frozen=True, slots=True)
class Phantom:
    """labels[slice, y, x] point into materials; `step` is the fine grid's spacing in µm, the axis its middle."""

    labels: npt.NDArray[np.uint8]
    materials: tuple[Material, ...]
    step: float
    oversampling: int


@dataclass(frozen=True, slots=True)
class Ball:
    """An ellipsoid: centre and semi-axes in µm along (z, y', x'), x' turned by `turn` radians about z."""

    center: tuple[float, float, float]
    axes: tuple[float, float, float]
    turn: float

    def covers(self, z: Floats, y: Floats, x: Floats) -> npt.NDArray[np.bool_]:
        """Which points are inside; the arguments broadcast."""
        dz, dy, dx = z - self.center[0], y - self.center[1], x - self.center[2]
        cosine, sine = np.cos(self.turn), np.sin(self.turn)
        along, across = dx * cosine + dy * sine, dy * cosine - dx * sine
        return np.asarray((dz / self.axes[0]) ** 2 + (across / self.axes[1]) ** 2 + (along / self.axes[2]) ** 2 <= 1)


def make_phantom(
    preset: Preset,
    densities: Mapping[str, float],
    count: int,
    step: float,
    slices: Floats,
    seed: int,
    oversampling: int = 4,
) -> Phantom:
    """A capillary with particles and carbon/binder, drawn by `seed`.

    Parameters
    ----------
    densities
        mass density of each crystalline phase, any unit: the preset speaks of weight, the phantom of volume.
    count, step
        voxels of the reconstruction along x and y, and their size in µm; the capillary fills that field.
    slices
        heights in µm.
    oversampling
        fine points per voxel along x and y.
    """
    rng = np.random.default_rng([seed, 1])
    fine = step / oversampling
    across = (np.arange(count * oversampling, dtype=np.float64) - (count * oversampling - 1) / 2) * fine
    height = np.asarray(slices, dtype=np.float64) - np.mean(slices)
    z, y, x = np.meshgrid(height, across, across, indexing="ij", sparse=True)

    field = count * step / 2
    outer, wall = 0.93 * field, max(0.07 * field, 1.5 * step)
    inner = outer - wall
    patches, particles = place(rng, field, inner, float(np.ptp(height)))

    labels = np.full(np.broadcast_shapes(z.shape, y.shape, x.shape), AIR, dtype=np.uint8)
    radius = np.hypot(y, x)
    labels[:, ((radius <= outer) & (radius > inner))[0]] = GLASS
    for patch in patches:
        labels[patch.covers(z, y, x) & (radius <= inner)] = CARBON
    owner = np.zeros(labels.shape, dtype=np.uint8)
    for ball in particles:
        state = rng.choice(len(STATES), p=STATE_ODDS)
        owner[ball.covers(z, y, x)] = CARBON + 1 + 2 * state
    inside = owner > 0
    labels[inside] = owner[inside]
    rim = inside & near_carbon(labels == CARBON, rim_depth(field, step), fine, height)
    labels[rim] += 1
    return Phantom(labels, make_materials(preset, densities), fine, oversampling)


def place(rng: np.random.Generator, field: float, inner: float, height: float) -> tuple[list[Ball], list[Ball]]:
    """Carbon/binder patches, and particles that do not overlap, inside the radius `inner`.

    Big particles have radii near 6 µm, small ones 1-3 µm, both bent to the field where that is very small or
    large. The first big one sits on the edge of a patch, so that there is always contact.
    """
    turns = rng.uniform(0, 2 * np.pi) + np.array([0.0, 2.4])
    patches = []
    for turn, size in zip(turns, (0.62, 0.48), strict=True):
        center = (0.0, 0.55 * inner * np.sin(turn), 0.55 * inner * np.cos(turn))
        axes = (height + 2 * field, size * inner * rng.uniform(0.6, 0.8), size * inner)
        patches.append(Ball(center, axes, float(turn + np.pi / 2)))

    big = float(np.clip(6.0, 0.12 * field, 0.25 * field))
    wanted = max(4, round(0.5 * (inner / big) ** 2 * (height + big) / big))
    particles: list[Ball] = []
    for radius, number in ((big, wanted), (big / 3, 4 * wanted)):
        for _ in range(60 * number):
            if len(particles) >= number + (wanted if radius < big else 0):
                break
            ball = draw_ball(rng, radius, inner, height, patches[0] if not particles else None)
            if ball is not None and all(apart(ball, other) for other in particles):
                particles.append(ball)
    return patches, particles


def draw_ball(
    rng: np.random.Generator, radius: float, inner: float, height: float, edge_of: Ball | None
) -> Ball | None:
    """A random particle; None where it would stick out of the capillary."""
    axis = radius * rng.uniform(0.75, 1.15) if edge_of else radius * rng.uniform(0.5, 1.3)
    z = rng.uniform(-1, 1) * (height / 2 + 0.5 * axis)
    if edge_of is not None:
        z, turn = 0.0, rng.uniform(0, 2 * np.pi)
        y, x = edge_of.center[1] + edge_of.axes[1] * np.sin(turn), edge_of.center[2] + edge_of.axes[1] * np.cos(turn)
    else:
        y, x = rng.uniform(-inner, inner, 2)
    if np.hypot(y, x) + axis > inner:
        return None
    return Ball((z, y, x), (axis, axis * rng.uniform(0.8, 1.0), axis), rng.uniform(0, np.pi))


def apart(one: Ball, other: Ball) -> bool:
    """True when the enclosing spheres do not overlap."""
    return bool(np.linalg.norm(np.subtract(one.center, other.center)) > max(one.axes) + max(other.axes))


def rim_depth(field: float, step: float) -> float:
    """How deep carbon works into a particle, µm: 2, but not below 2 voxels nor above 0.15 of the field."""
    return min(max(2.0, 2 * step), 0.15 * field)


def near_carbon(carbon: npt.NDArray[np.bool_], depth: float, fine: float, height: Floats) -> npt.NDArray[np.bool_]:
    """Points within `depth` (µm) of carbon, in three dimensions."""
    if not carbon.any():
        return np.zeros_like(carbon)
    spacing = float(abs(height[1] - height[0])) if len(height) > 1 else 1.0
    distance = distance_transform_edt(~carbon, sampling=(spacing, fine, fine))
    return np.asarray(distance <= depth)


def make_materials(preset: Preset, densities: Mapping[str, float]) -> tuple[Material, ...]:
    """Air, glass, carbon/binder; then each state's particle interior and rim."""
    materials: list[Material] = [(), (Content("glass", 1.0),), (Content("carbon", 1 - POROSITY),)]
    for strain, scale in STATES:
        materials.append(mixture(preset.bulk, densities, 1.0, preset.strain * strain, scale))
        rim = mixture(preset.contact, densities, 1 - POROSITY, preset.contact_strain * strain, scale)
        materials.append((*rim, Content("carbon", POROSITY)))
    return tuple(materials)


def mixture(
    weights: Mapping[str, float], densities: Mapping[str, float], share: float, strain: float, scale: float
) -> Material:
    """Phases by weight, filling `share` of the volume."""
    volumes = {phase: weight / densities[phase] for phase, weight in weights.items()}
    total = sum(volumes.values())
    return tuple(Content(phase, share * v / total, strain, scale) for phase, v in volumes.items())
