"""How much of an element's fluorescence the sample keeps: from the density of its voxels and what they are made of.

The density of a voxel is that of the beam behind the sample (`transmission`), or the one that its phases have where
they fill it (`phases`: half-full voxels and fuller ones are full in the median). Its attenuation for lines follows from
its phases: their amounts tell which share of the density is whose, the tables how that changes with energy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import xraydb
from scipy.optimize import nnls

from stream.analyse.crystal.structure import Structure, load_structure
from stream.analyse.fluorescence.absorption import arriving, line_attenuation, mass_attenuation
from stream.analyse.fluorescence.lines import ElementLines
from stream.core.config import Config, CrystallinePhase
from stream.core.errors import ConfigError
from stream.core.scan import ScanGrid

Floats = npt.NDArray[np.float64]
Source = Literal["transmission", "phases"]
FULL = 0.5  # of the largest amount: voxels with more hold crystal throughout, in the median


@dataclass(frozen=True, slots=True)
class Substance:
    """What a phase does to the beam and to lines.

    per_um: attenuation of the beam in 1/µm where the phase fills a voxel, NaN where its density is not known;
    ratios: (element,) attenuation of an element's lines, in units of the beam's. The amounts of crystals are volumes in
    one unit, that of an amorphous phase has its own.
    """

    name: str
    crystalline: bool
    per_um: float
    ratios: Floats


@dataclass(frozen=True, slots=True)
class Depths:
    """Optical depth of the voxels for the beam, (slice, y, x), and for lines, (element, slice, y, x)."""

    incoming: Floats
    outgoing: Floats


@dataclass(frozen=True, slots=True)
class SelfAbsorption:
    """The substances of a scan, and where the detector stands.

    beam, side: as `arriving` takes them; the beam runs towards growing y cos ω − x sin ω in µm.
    """

    source: Source
    grid: ScanGrid
    substances: tuple[Substance, ...]
    beam: int
    side: int

    @classmethod
    def of(cls, config: Config, grid: ScanGrid, lines: Sequence[ElementLines], beam_kev: float) -> Self | None:
        """From the section `fluorescence`, by the crystals where it wants none; None where nothing tells.

        Raises
        ------
        ConfigError
            for a formula that cannot be read.
        """
        assert config.fluorescence is not None  # who asks has spectra
        source: Source = config.fluorescence.self_absorption or "phases"
        substances = []
        for phase in config.phases:
            crystalline = isinstance(phase, CrystallinePhase)
            if isinstance(phase, CrystallinePhase):
                structure = load_structure(phase.cif)
                composition, density = composition_of(structure), structure.density
            elif phase.formula is not None:
                composition, density = read_formula(phase.name, phase.formula), phase.density or np.nan
            else:
                continue
            beam = float(mass_attenuation(composition, beam_kev))
            ratios = np.array([line_attenuation(composition, each) / beam for each in lines])
            if source == "transmission" or np.isfinite(density):
                substances.append(Substance(phase.name, crystalline, 1e-4 * density * beam, ratios))
        if grid.raster or not substances:
            return None
        sense = 1 if grid.step > 0 else -1  # voxels count along the positions
        side = sense if config.fluorescence.side == "positive" else -sense
        return cls(source, grid, tuple(substances), sense, side)

    def depths(self, maps: Mapping[str, npt.NDArray[Any]]) -> Depths | None:
        """From maps (slice, y, x) by name: the phases' amounts, and the density where the beam tells it.

        None where these maps know nothing.
        """
        amounts = np.stack([known(maps[f"phase_{each.name}"]) for each in self.substances])
        if self.source == "transmission":
            density = known(maps["density"])
            scales = nnls(amounts.reshape(len(amounts), -1).T, density.ravel())[0]
            parts = amounts * scales[:, None, None, None]
        else:
            parts = np.stack(
                [each.per_um * part for each, part in zip(self.substances, self._volumes(amounts), strict=True)]
            )
            density = parts.sum(axis=0)
        if not density.any() or not amounts.any():
            return None
        ratios = np.array([each.ratios for each in self.substances])
        whole = parts.sum(axis=0)
        mean = np.einsum("pk,pszx->kszx", ratios, parts)
        outgoing = np.divide(mean, whole, out=np.ones_like(mean) * ratios[0][:, None, None, None], where=whole > 0)
        step = abs(self.grid.step)
        return Depths(density * step, outgoing * density * step)

    def _volumes(self, amounts: Floats) -> list[Floats]:
        """Amounts (phase, slice, y, x) as shares of a voxel."""
        crystals = np.array([each.crystalline for each in self.substances])
        all_crystals = amounts[crystals].sum(axis=0)
        return [part / full(all_crystals if own else part) for own, part in zip(crystals, amounts, strict=True)]

    def arriving(self, depths: Depths, emitting: npt.NDArray[np.floating], center_um: float) -> Floats:
        """Share of each ray's photons that arrive, (slice, angle, position, element); emitting (slice, y, x, element).

        center_um: motor position of the rotation axis.
        """
        first = (self.grid.positions[0] - center_um) / self.grid.step
        shares = [
            arriving(np.moveaxis(known(source), -1, 0), depths.incoming[s], depths.outgoing[:, s], self.grid.angles,
                     first, beam=self.beam, side=self.side)
            for s, source in enumerate(emitting)
        ]  # fmt: skip
        return np.moveaxis(np.stack(shares), 1, -1)


def full(amounts: Floats) -> float:
    """The amount that fills a voxel; infinite where there is none."""
    return float(np.median(amounts[amounts > FULL * amounts.max()])) if amounts.any() else np.inf


def known(values: npt.NDArray[np.floating]) -> Floats:
    """Values at least 0, and 0 where there is none."""
    return np.maximum(np.nan_to_num(values.astype(np.float64)), 0)


def composition_of(structure: Structure) -> dict[str, float]:
    """Mass of each element in a cell."""
    numbers = np.bincount(structure.site_element, structure.occupancy, len(structure.elements))
    return {name: n * xraydb.atomic_mass(name) for name, n in zip(structure.elements, numbers, strict=True)}


def read_formula(phase: str, formula: str) -> dict[str, float]:
    """Mass of each element in a formula."""
    try:
        atoms = xraydb.chemparse(formula)
    except ValueError:
        raise ConfigError(f"phases: the formula of {phase!r} is {formula!r}, which cannot be read") from None
    return {element: number * xraydb.atomic_mass(element) for element, number in atoms.items()}
