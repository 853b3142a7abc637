"""The phases of the config in the fit, and what the fit finds under the names of the maps."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from stream.analyse.crystal.fit import PatternFit
from stream.analyse.crystal.instrument import load_instrument
from stream.analyse.crystal.maps import FitResult
from stream.analyse.crystal.model import Crystal
from stream.analyse.crystal.response import Response
from stream.analyse.crystal.smooth import Hump
from stream.analyse.crystal.structure import load_structure
from stream.analyse.masks import mask_name
from stream.analyse.ratios import ratio_maps, ratio_units
from stream.core.axis import RadialAxis
from stream.core.config import AmorphousPhase, Config, CrystallinePhase
from stream.core.errors import ConfigError, FitError
from stream.ingest.integrate import load_geometry, load_mask

Arrays = dict[str, npt.NDArray[Any]]
ANGLES = {"alpha", "beta", "gamma"}


def as_phase(phase: CrystallinePhase | AmorphousPhase) -> Crystal | Hump:
    """A phase of the config as the fit knows it."""
    if isinstance(phase, CrystallinePhase):
        return Crystal(phase.name, load_structure(phase.cif))
    return Hump(phase.name, phase.hump.position, phase.hump.width)


def build_fit(config: Config, axis: RadialAxis, phases: list[Crystal | Hump]) -> PatternFit:
    """The fit that the config describes."""
    instrument = load_instrument(config.instrument) if config.instrument is not None else None
    strain = config.strain
    response = None
    try:
        if instrument is not None:
            geometry = load_geometry(config.detector.geometry)
            mask, unseen = load_mask(config.detector.mask, geometry), instrument.unseen_pixels(geometry.shape)
            response = Response.of(geometry, config.integration, mask, unseen)
        return PatternFit(axis, phases, instrument, strain.profile, strain.shape_factor, strain.phase, response)
    except FitError as error:
        raise ConfigError(str(error)) from None


def flat_maps(result: FitResult, fit: PatternFit) -> Arrays:
    """The fit's arrays (n,) under the names of the maps."""
    maps: Arrays = {f"phase_{name}": area for name, area in result.humps.items()}
    for crystal in fit.crystals:
        name, phase = crystal.name, result.phases[crystal.name]
        maps |= {
            f"phase_{name}": phase.amount,
            f"fraction_{name}": phase.fraction,
            f"strain_{name}": phase.strain,
            f"strain_error_{name}": phase.strain_error,
            f"size_{name}": phase.size,
            f"cell_volume_{name}": phase.cell_volume,
        }
        maps |= {f"{parameter}_{name}": values for parameter, values in phase.cell.items()}
        maps |= ratio_maps(crystal, fit.axis, phase) | {mask_name(name): phase.reason}
    return maps | {"fit_quality": result.fit_quality}


def fitted_units(fit: PatternFit | None) -> dict[str, str]:
    """Unit of each map of the fit, none where there is no fit."""
    if fit is None:
        return {}
    units = {"fit_quality": "1"}
    for crystal in fit.crystals:
        name = crystal.name
        units |= {f"phase_{name}": "arbitrary", f"fraction_{name}": "1", f"strain_{name}": "1"}
        units |= {f"strain_error_{name}": "1", f"size_{name}": "nm", f"cell_volume_{name}": "Angstrom3"}
        for parameter in crystal.structure.lattice.free:
            units[f"{parameter}_{name}"] = "degree" if parameter in ANGLES else "Angstrom"
        units |= ratio_units(crystal, fit.axis)
    return units | {f"phase_{hump.name}": f"intensity {fit.axis.unit}/um" for hump in fit.humps}
