"""How far the rays of a complete scan agree with each other, and what each counts for in the final result."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stream.analyse.tomography.alignment import find_alignment
from stream.analyse.tomography.outliers import find_outliers
from stream.core.scan import ScanGrid

Reals = npt.NDArray[np.float64]


def weigh_agreement(
    sums: npt.NDArray[np.float32], weights: Reals, grid: ScanGrid, center_um: float
) -> tuple[Reals, dict[str, Any]]:
    """Weights of the rays with outliers weighted down, and what the metadata say of outliers and alignment.

    Of several slices all outliers are told, and the alignment of the one whose projections are displaced most.

    Parameters
    ----------
    sums, weights : (slice, angle, position)
    """
    frame = np.empty(grid.size, np.int64)
    frame[grid.visit] = np.arange(grid.size)
    time = frame.reshape(grid.shape).min(axis=2)
    rays, projections, positions = 0, set[int](), set[int]()
    known, aligned = False, []
    weighed = weights.copy()
    for s in range(len(sums)):
        found = find_outliers(sums[s], weights[s], grid.angles, grid.positions, center_um)
        if found is None:
            continue
        known = True
        weighed[s] = weights[s] * found.weights
        rays += found.rays
        projections.update(found.projections)
        positions.update(found.positions)
        alignment = find_alignment(
            sums[s], found.weights, found.predicted, grid.angles, grid.positions, center_um, time[s]
        )
        if alignment is not None:
            aligned.append(alignment)
    outliers = {"rays": rays, "projections": sorted(projections), "positions": sorted(positions)} if known else None
    told: dict[str, Any] = {"outliers": outliers, "alignment": None}
    if aligned:
        most = max(aligned, key=lambda alignment: abs(alignment.shift_um[alignment.worst]))
        worst = {"angle": float(grid.angles[most.worst]), "shift_um": float(most.shift_um[most.worst])}
        told["alignment"] = {
            "drift_um": most.drift_um,
            "jitter_um": most.jitter_um,
            "worst": worst,
            "error_um": most.error_um,
        }
    return weighed, told
