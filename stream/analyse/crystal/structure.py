"""Crystal structures from CIF files: cell, mass, and what they reflect."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import gemmi
import numpy as np
import numpy.typing as npt

from stream.analyse.crystal.lattice import Lattice, volume_of
from stream.core.errors import ConfigError
from stream.core.files import read_text

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LARGEST = 4_000_000  # bytes of a CIF
MOST = 20_000_000
"""Reflections looked at, and terms of all structure factors: beyond, they take minutes and gigabytes."""
BUNDLED = ("nmc622", "llnmo", "lnmo-spinel", "rocksalt", "ceo2", "lab6", "si")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reflections:
    """Sets of symmetry-equivalent reflections, by falling d; sets that share a d stay apart."""

    hkl: Ints  # (n, 3), one member of each set
    multiplicity: Ints  # (n,), members of the set, Friedel mates counted
    d: Floats  # (n,), Å
    f_squared: Floats  # (n,), |F|² of the unit cell, electrons²

    def two_theta(self, wavelength: float) -> Floats:
        """2θ in radians; wavelength in Å."""
        return np.asarray(2 * np.arcsin(wavelength / (2 * self.d)))

    def intensity(self, wavelength: float) -> Floats:
        """I = m |F|² / (sin²θ cosθ): the mean intensity of a pixel on the ring, never normalised.

        This is the powder Lorentz factor for patterns from which solid angle and polarisation are removed.
        """
        theta = self.two_theta(wavelength) / 2
        return np.asarray(self.multiplicity * self.f_squared / (np.sin(theta) ** 2 * np.cos(theta)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """A crystal structure: cell (a, b, c in Å, angles in degrees), lattice, and all atoms of the cell."""

    name: str
    cell: tuple[float, float, float, float, float, float]
    lattice: Lattice
    space_group: str
    elements: tuple[str, ...]
    positions: Floats  # (sites, 3), fractional, the whole unit cell
    site_element: Ints  # (sites,), index into `elements`
    occupancy: Floats  # (sites,)
    b_iso: Floats  # (sites,), Å²

    @property
    def volume(self) -> float:
        """Cell volume in Å³."""
        return float(volume_of(self.cell))

    @property
    def cell_mass(self) -> float:
        """Mass of the unit cell (Z·M) in daltons."""
        weights = np.array([gemmi.Element(name).weight for name in self.elements])
        return float(np.sum(self.occupancy * weights[self.site_element]))

    @property
    def density(self) -> float:
        """g/cm³."""
        return self.cell_mass / self.volume * 1.66053907

    def reflections(self, d_min: float, d_max: float = np.inf) -> Reflections:
        """All reflections with d_min <= d <= d_max (Å) that the structure does not extinguish."""
        hkl = _indices(self.cell, d_min)
        d = 1 / np.sqrt(self.lattice.rows(hkl) @ self.lattice.parameters(self.cell))
        keep = (d >= d_min) & (d <= d_max)
        hkl, d = hkl[keep], d[keep]
        group = gemmi.SpaceGroup(self.space_group)
        asu, operations = gemmi.ReciprocalAsu(group), group.operations()
        unique = np.array([asu.to_asu(list(map(int, index)), operations)[0] for index in hkl]).reshape(-1, 3)
        sets, first, count = np.unique(unique, axis=0, return_index=True, return_counts=True)
        _bounded(f"phases: {self.name!r} has {len(self.positions)} atoms", len(sets) * len(self.positions))
        f_squared = np.abs(self.structure_factor(sets, d[first])) ** 2
        seen = f_squared > 1e-9 * f_squared.max(initial=0.0)
        order = np.argsort(-d[first][seen], kind="stable")
        pick = np.flatnonzero(seen)[order]
        return Reflections(
            hkl=sets[pick].astype(np.int64),
            multiplicity=count[pick].astype(np.int64),
            d=d[first][pick],
            f_squared=f_squared[pick],
        )

    def structure_factor(self, hkl: Ints, d: Floats) -> npt.NDArray[np.complex128]:
        """F (n,) of the unit cell: neutral-atom form factors (it92), occupancies and B; no anomalous part."""
        s2 = 1 / (4 * d**2)  # (sinθ/λ)²
        factors = [[gemmi.Element(name).it92.calculate_sf(x) for name in self.elements] for x in s2]
        form = np.array(factors).reshape(len(s2), len(self.elements))[:, self.site_element]
        phase = np.exp(2j * np.pi * (np.asarray(hkl, dtype=np.float64) @ self.positions.T))
        return np.asarray((form * self.occupancy * np.exp(-self.b_iso * s2[:, None]) * phase).sum(axis=1))


@cache
def load_structure(cif: str | Path) -> Structure:
    """The structure of a bundled name (`BUNDLED`) or of a CIF file.

    Raises
    ------
    ConfigError
        If there is no such name or file, or the file holds no usable structure.
    """
    if str(cif) in BUNDLED:
        with resources.as_file(resources.files(__package__) / "cif" / f"{cif}.cif") as path:
            return _read(path, str(cif))
    path = Path(cif)
    if not path.is_file():
        raise ConfigError(f"phases: cif {str(cif)!r} is neither a file nor one of {', '.join(BUNDLED)}")
    return _read(path, path.stem)


def _read(path: Path, name: str) -> Structure:
    try:
        read_text(path, LARGEST)
        small = _small_structure(gemmi.cif.read(str(path)))
    except (ValueError, RuntimeError, OSError, IndexError) as error:
        raise ConfigError(f"phases: cif {str(path)!r} cannot be read: {error}") from error
    sites = list(small.get_all_unit_cell_sites())
    if not sites or not small.cell.is_crystal() or small.spacegroup is None:
        raise ConfigError(f"phases: cif {str(path)!r} lacks a cell, a space group or atoms")
    elements = tuple(sorted({site.element.name for site in sites}))
    cell = small.cell
    return Structure(
        name=name,
        cell=(cell.a, cell.b, cell.c, cell.alpha, cell.beta, cell.gamma),
        lattice=Lattice(_system(small.spacegroup)),
        space_group=small.spacegroup.xhm(),
        elements=elements,
        positions=np.array([site.fract.tolist() for site in sites]),
        site_element=np.array([elements.index(site.element.name) for site in sites], dtype=np.int64),
        occupancy=np.array([site.occ for site in sites]),
        b_iso=np.array([8 * np.pi**2 * site.u_iso for site in sites]),
    )


def _small_structure(document: gemmi.cif.Document) -> gemmi.SmallStructure:
    """Of the first block that holds atoms; anisotropic displacements as their mean, where no isotropic one is told."""
    blocks = (gemmi.make_small_structure_from_block(block) for block in document)
    small = next((found for found in blocks if len(found.sites)), gemmi.SmallStructure())
    for site in small.sites:
        if site.u_iso == 0 and site.aniso.nonzero():
            site.u_iso = small.cell.calculate_u_eq(site.aniso)
    return small


def _system(group: gemmi.SpaceGroup) -> str:
    """The lattice's name in `lattice`, with the setting where it matters."""
    system = str(group.crystal_system_str())
    if system == "trigonal":
        return "rhombohedral" if group.ext == "R" else "hexagonal"
    if system == "monoclinic":
        return f"monoclinic-{group.monoclinic_unique_axis()}"
    return system


def _indices(cell: npt.ArrayLike, d_min: float) -> Ints:
    """All hkl but 000 in the box that holds the sphere 1/d <= 1/d_min."""
    lengths = np.asarray(cell, dtype=np.float64)[:3]
    limit = np.floor(lengths / d_min)  # |h| <= a/d for every lattice
    _bounded(f"phases: a cell with axes of {lengths.max():g} Å, down to d = {d_min:.3g} Å", np.prod(2 * limit + 1))
    grid = np.meshgrid(*(np.arange(-n, n + 1) for n in limit), indexing="ij")
    hkl = np.stack([axis.ravel() for axis in grid], axis=1).astype(np.int64)
    return np.asarray(hkl[np.any(hkl != 0, axis=1)])


def _bounded(what: str, terms: float) -> None:
    if terms > MOST:
        raise ConfigError(f"{what}: its reflections would take {terms:.0e} terms, {MOST} are the most")
