"""Powder patterns of the simulated sample, on a fine 2θ grid.

Written apart from the profile code of the analysis on purpose: what is simulated here is what the fit there
has to find.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

import gemmi
import numpy as np
import numpy.typing as npt

from stream.simulate.presets import Crystal, Hump

Floats = npt.NDArray[np.float64]
SHAPE_FACTOR = 0.9  # K of the Scherrer equation
TEXTURE = 0.10  # largest relative deviation of a line from its structure factor


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of a crystal: d in Å, Σ|F|² over the reflections that share d; cell in Å, Å3 and Da."""

    d: Floats
    strength: Floats
    cell: tuple[float, float, float]
    volume: float
    mass: float


@cache
def load_lines(structure: str, d_min: float) -> Lines:
    """Lines down to `d_min` (Å) of a bundled structure.

    F(hkl) = Σ o f(s) exp(−B s²) exp(2πi h·x) over all sites of the unit cell, s = 1/2d, with the form factors
    of the International Tables (1992).
    """
    cif = resources.files("stream.analyse.crystal") / "cif" / f"{structure}.cif"
    small = gemmi.make_small_structure_from_block(gemmi.cif.read_string(cif.read_text()).sole_block())
    sites = small.get_all_unit_cell_sites()
    fractional = np.array([site.fract.tolist() for site in sites])
    occupancy = np.array([site.occ for site in sites])
    b_factor = np.array([8 * np.pi**2 * site.u_iso for site in sites])
    hkl = gemmi.make_miller_array(small.cell, gemmi.SpaceGroup("P 1"), d_min, 0.0, False)
    d = small.cell.calculate_d_array(hkl)
    s2 = 1 / (4 * d**2)
    factors = np.stack([_form_factor(site.element, s2) for site in sites], axis=1)
    amplitude = occupancy * factors * np.exp(-s2[:, None] * b_factor)
    squared = np.abs((amplitude * np.exp(2j * np.pi * (hkl @ fractional.T))).sum(axis=1)) ** 2
    _, first, member = np.unique(np.round(d, 6), return_index=True, return_inverse=True)
    strength = np.bincount(member.ravel(), weights=squared)
    seen = strength > 1e-6 * strength.max()
    mass = float(sum(site.occ * site.element.weight for site in sites))
    cell = small.cell
    return Lines(d[first][seen][::-1], strength[seen][::-1], (cell.a, cell.b, cell.c), cell.volume, mass)


def _form_factor(element: gemmi.Element, s2: Floats) -> Floats:
    coefficients = element.it92
    return np.asarray(
        coefficients.c + sum(a * np.exp(-b * s2) for a, b in zip(coefficients.a, coefficients.b, strict=True))
    )


@dataclass(frozen=True, slots=True)
class TwoThetaGrid:
    """Equal cells of 2θ in radians: `size` cells of width `step` from 0."""

    step: float
    size: int
    wavelength: float

    @property
    def centers(self) -> Floats:
        """Cell centres."""
        return np.asarray((np.arange(self.size) + 0.5) * self.step)

    @property
    def q(self) -> Floats:
        """q at the cell centres, Å⁻¹."""
        return np.asarray(4 * np.pi / self.wavelength * np.sin(self.centers / 2))

    @property
    def d_min(self) -> float:
        """Spacing (Å) of the last cell."""
        return float(self.wavelength / (2 * np.sin(self.step * self.size / 2)))


def crystal_pattern(
    lines: Lines, crystal: Crystal, strain: float, scale: float, texture: Floats, grid: TwoThetaGrid
) -> Floats:
    """Intensity per µm of a crystal, averaged over each cell of the grid, shape (grid.size,).

    Areas are m|F|²/(V² sin²θ cosθ); each line is a Lorentzian of integral breadth
    β = Kλ/(D cosθ) + 4ε tanθ (Stokes and Wilson 1944, Scherrer), integrated over the cells.
    """
    sine = grid.wavelength / (2 * lines.d * crystal.scale * scale)
    keep = sine < np.sin(grid.step * grid.size / 2)
    theta = np.arcsin(sine[keep])
    volume = lines.volume * (crystal.scale * scale) ** 3
    areas = texture[: lines.d.size][keep] * lines.strength[keep] / volume**2 / (np.sin(theta) ** 2 * np.cos(theta))
    breadth = SHAPE_FACTOR * grid.wavelength / (10 * crystal.size * np.cos(theta)) + 4 * strain * np.tan(theta)
    edges = np.arange(grid.size + 1) * grid.step
    pattern = np.zeros(grid.size)
    for line, area, beta in zip(2 * theta, areas, breadth, strict=True):
        pattern += area / np.pi * np.diff(np.arctan((edges - line) * np.pi / beta))
    return np.asarray(pattern / grid.step)


def hump_pattern(hump: Hump, area: float, grid: TwoThetaGrid) -> Floats:
    """Gaussian in q of the given area (over 2θ in radians) per µm, shape (grid.size,)."""
    sigma = hump.width / np.sqrt(8 * np.log(2))
    shape = np.exp(-((grid.q - hump.q) ** 2) / (2 * sigma**2))
    return np.asarray(area * shape / (shape.sum() * grid.step))


def air_pattern(grid: TwoThetaGrid) -> Floats:
    """Scatter of the air in the beam: falls with q, never to nothing; arbitrary scale."""
    return np.asarray(np.exp(-grid.q / 0.6) + 0.15)


def draw_texture(count: int, seed: int, phase: str) -> Floats:
    """Factor of each line, uniform within 1 ± TEXTURE, shape (count,); the same for a phase and seed."""
    rng = np.random.default_rng([seed, *phase.encode()])
    return 1 + rng.uniform(-TEXTURE, TEXTURE, count)
