"""Sections `regions` and `phases`: what is looked for in a pattern."""

from __future__ import annotations

from typing import Annotated

from pydantic import Discriminator, Field, Tag

from stream.core.config.base import Name, Range, Section

RESERVED = (
    *("global", "coverage", "density", "transmission", "parallax_strain", "parallax_cell"),
    *("class_index", "class_probability", "cluster_index", "particle_index", "fit_quality"),
)
"""Sinograms and maps of every run, which no phase or region may be called."""

PHASE_MAPS = (
    *("phase", "fraction", "strain", "strain_error", "size"),
    *("a", "b", "c", "alpha", "beta", "gamma", "cell_volume"),
    *("mask", "c_over_a", "ratio_003_104", "splitting_018_110", "superlattice_020"),
)
"""Prefixes of the maps of each phase."""


class Region(Section):
    """A window of the pattern with a sinogram and a map of its own."""

    name: Name
    range: Range


class Hump(Section):
    """The broad maximum of an amorphous phase, in the integration unit; width is the FWHM."""

    position: float = Field(gt=0)
    width: float = Field(gt=0)


class CrystallinePhase(Section):
    """A phase with a structure: a bundled name or a CIF file."""

    name: Name
    cif: str


class AmorphousPhase(Section):
    """A phase known by its hump; formula (as SiO2) and density (g/cm³) are for the absorption of fluorescence."""

    name: Name
    hump: Hump
    formula: str | None = Field(default=None, min_length=1)
    density: float | None = Field(default=None, gt=0)


KINDS = ("a crystalline phase", "an amorphous phase")


def _kind(phase: object) -> str:
    """Told by the hump, so that what is wrong with a phase is said of the right kind."""
    amorphous = "hump" in phase if isinstance(phase, dict) else isinstance(phase, AmorphousPhase)
    return KINDS[amorphous]


Phase = Annotated[
    Annotated[CrystallinePhase, Tag(KINDS[False])] | Annotated[AmorphousPhase, Tag(KINDS[True])], Discriminator(_kind)
]
