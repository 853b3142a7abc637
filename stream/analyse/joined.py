"""Results of a fit, batch by batch, as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np

from stream.analyse.crystal.maps import FitResult, PhaseMaps


def joined(results: Sequence[FitResult]) -> FitResult:
    """One result for the voxels of all of these, in their order; without curves."""
    first = results[0]
    return replace(
        first,
        phases={name: _joined_phase([result.phases[name] for result in results]) for name in first.phases},
        humps={name: np.concatenate([result.humps[name] for result in results]) for name in first.humps},
        fit_quality=np.concatenate([result.fit_quality for result in results]),
        curve=None,
    )


def _joined_phase(phases: Sequence[PhaseMaps]) -> PhaseMaps:
    first = phases[0]
    per_voxel = [field.name for field in fields(PhaseMaps) if field.name not in {"cell", "cell_error", "rows"}]
    arrays = {name: np.concatenate([getattr(phase, name) for phase in phases]) for name in per_voxel}
    cell = {name: np.concatenate([phase.cell[name] for phase in phases]) for name in first.cell}
    cell_error = {name: np.concatenate([phase.cell_error[name] for phase in phases]) for name in first.cell}
    return replace(first, cell=cell, cell_error=cell_error, **arrays)
