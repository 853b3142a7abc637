"""Samples by name: what they are made of, how strained, how large their crystallites are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stream.core.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Crystal:
    """A crystalline phase: structure by name, axes times `scale`, size D in nm (volume-weighted column length).

    attenuation is the length in µm on which it takes the beam to 1/e: that of NCM622 at 18.4 keV.
    """

    structure: str
    scale: float = 1.0
    size: float = 150.0
    attenuation: float = 93.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hump:
    """An amorphous phase: centre and FWHM of its Gaussian in q (Å⁻¹).

    strength is its area per µm of path, as a share of the preset's first crystal's lines below 20° of 2θ; attenuation
    as of a crystal, by default that of carbon.
    """

    q: float
    width: float
    strength: float
    attenuation: float = 13_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A sample: phases, what particles are made of (weight fractions), and their microstrain Δd/d."""

    name: str
    sample: str
    crystals: Mapping[str, Crystal]
    bulk: Mapping[str, float]
    contact: Mapping[str, float]
    strain: float
    contact_strain: float

    @property
    def humps(self) -> Mapping[str, Hump]:
        """Amorphous phases; the same in every sample."""
        return HUMPS


# carbon/binder: 2.3° at 0.674 Å with 1.0° FWHM; glass: the first sharp diffraction peak of silica
HUMPS = {
    "carbon": Hump(q=0.374, width=0.163, strength=0.30),
    "glass": Hump(q=1.55, width=0.50, strength=0.60, attenuation=1300.0),
}
NMC_CYCLED = 1.0126 ** (1 / 3)  # +1.26 % of cell volume after 100 cycles
LLNMO_CYCLED = (208.35 / 202.01) ** (1 / 3)
SHELL = {"layered": 0.76, "spinel": 0.24}

PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            name="ncm622-pristine",
            sample="NCM622, pristine, in a glass capillary",
            crystals={"layered": Crystal(structure="nmc622"), "spinel": Crystal(structure="lnmo-spinel")},
            bulk={"layered": 1.0},
            contact={"layered": 1.0},
            strain=5.9e-4,
            contact_strain=5.9e-4,
        ),
        Preset(
            name="ncm622-cycled",
            sample="NCM622 after 100 cycles, in a glass capillary",
            crystals={
                "layered": Crystal(structure="nmc622", scale=NMC_CYCLED),
                "spinel": Crystal(structure="lnmo-spinel", size=120.0),
            },
            bulk={"layered": 1.0},
            contact=SHELL,
            strain=7.9e-4,
            contact_strain=9.4e-4,
        ),
        Preset(
            name="llnmo-pristine",
            sample="Li-rich LLNMO, pristine, in a glass capillary",
            crystals={"layered": Crystal(structure="llnmo"), "spinel": Crystal(structure="lnmo-spinel")},
            bulk={"layered": 1.0},
            contact={"layered": 1.0},
            strain=6.0e-4,
            contact_strain=6.0e-4,
        ),
        Preset(
            name="llnmo-cycled",
            sample="Li-rich LLNMO after cycling, in a glass capillary",
            crystals={
                "layered": Crystal(structure="llnmo", scale=LLNMO_CYCLED),
                "spinel": Crystal(structure="lnmo-spinel", size=120.0),
            },
            bulk={"layered": 1.0},
            contact=SHELL,
            strain=1.0e-3,
            contact_strain=1.0e-3,
        ),
        Preset(
            name="lnmo-lsr",
            sample="LNMO of layered, spinel and rock salt, in a glass capillary",
            crystals={
                "layered": Crystal(structure="llnmo"),
                "spinel": Crystal(structure="lnmo-spinel"),
                "rocksalt": Crystal(structure="rocksalt"),
            },
            bulk={"layered": 0.46, "spinel": 0.42, "rocksalt": 0.12},
            contact={"layered": 0.46, "spinel": 0.42, "rocksalt": 0.12},
            strain=7.0e-4,
            contact_strain=7.0e-4,
        ),
    )
}


def find_preset(name: str) -> Preset:
    """The preset of that name.

    Raises
    ------
    UsageError
        naming the known ones.
    """
    if name not in PRESETS:
        raise UsageError(f"the preset {name!r} is not known; there are {', '.join(PRESETS)}")
    return PRESETS[name]
