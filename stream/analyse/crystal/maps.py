"""What the fit says about the voxels of a slice."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from stream.analyse.crystal.reasons import Reason

Floats = npt.NDArray[np.float64]

LEAST = 0.1  # of the richest voxels: less of a phase is a trace


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseMaps:
    """One crystalline phase in n voxels; NaN where masked."""

    scale: Floats  # (n,) s_p
    amount: Floats  # (n,) s_p V_p²
    fraction: Floats  # (n,) weight fraction among the crystalline phases
    cell: dict[str, Floats]  # the free cell parameters: a, b, c in Å, angles in degrees
    cell_error: dict[str, Floats]  # 1σ of these, from counting alone
    cell_volume: Floats  # (n,) Å³
    strain: Floats  # (n,) ε = Δd/d
    strain_error: Floats  # (n,) 1σ, everything else marginalised, the instrument's uncertainty included
    size: Floats  # (n,) nm
    lines: Floats  # (n, reflections) area of each line, NaN where its intensity is tied to the structure
    rows: Floats  # (reflections, free cell parameters): which lines these are, as `Lattice.rows` tells them
    reason: npt.NDArray[np.int8]  # (n,) `Reason`

    def without_traces(self) -> Self:
        """Mask cell, size and strain where there is less than LEAST of the phase than in the richest voxels.

        The richest are the 99th percentile of these: a whole slice is wanted. SIRT's streaks carry a strong voxel's
        lines to others.
        """
        known = self.amount[np.isfinite(self.amount)]
        least = LEAST * np.quantile(known, 0.99) if known.size else np.inf
        trace = ~(self.amount >= least)
        masked = {name: np.where(trace, np.nan, getattr(self, name)) for name in _OF_A_PHASE_THAT_IS_THERE}
        cell, cell_error = (
            {name: np.where(trace, np.nan, values) for name, values in of.items()}
            for of in (self.cell, self.cell_error)
        )
        told = (self.reason == Reason.NO_SIGNAL) | (self.reason == Reason.NOT_FINITE)
        reason = np.where(trace & ~told, Reason.TRACE, self.reason).astype(np.int8)
        return replace(self, cell=cell, cell_error=cell_error, reason=reason, **masked)


_OF_A_PHASE_THAT_IS_THERE = ("cell_volume", "size", "strain", "strain_error")


@dataclass(frozen=True, slots=True, kw_only=True)
class FitResult:
    """What the fit says about n voxels."""

    phases: dict[str, PhaseMaps]
    humps: dict[str, Floats]  # (n,) area of each amorphous phase, intensity times the axis' unit
    fit_quality: Floats  # (n,) reduced chi square
    extrapolated: bool  # lines lie outside those the instrument was measured with; the caller warns
    curve: npt.NDArray[np.float32] | None  # (n, bins) the fitted patterns, if asked for

    def without_traces(self) -> Self:
        """Traces masked in every phase."""
        return replace(self, phases={name: phase.without_traces() for name, phase in self.phases.items()})
