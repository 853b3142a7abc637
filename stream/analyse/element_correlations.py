"""Where an element goes together with phases, and with strain within a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

FEWEST = 5  # voxels that a correlation needs

Arrays = Mapping[str, npt.NDArray[Any]]


def element_correlations(
    arrays: Arrays, elements: Sequence[str], phases: Sequence[str], strain_map: str | None, classes: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Pearson's correlation of each element's map with other maps, over the voxels where both are known.

    Returns {element: {"phases": {phase: {r, n}}, "strain": {class: {r, n}}}}; pairs with fewer than FEWEST voxels, or
    of which one is constant, are left out.
    """
    index, strain = arrays.get("maps/class_index"), arrays.get(f"maps/{strain_map}")
    found = {}
    for element in elements:
        values = arrays[f"maps/xrf_{element}"]
        with_phases = {
            name: pearson(values, arrays[path]) for name in phases if (path := f"maps/phase_{name}") in arrays
        }
        within = {}
        if index is not None and strain is not None:
            within = {name: pearson(values[index == k], strain[index == k]) for k, name in enumerate(classes)}
        found[element] = {"phases": told(with_phases), "strain": told(within)}
    return found


def pearson(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> dict[str, float | int] | None:
    """Correlation r over the n places where both are finite; None where they cannot tell."""
    known = np.isfinite(one) & np.isfinite(other)
    a, b = one[known].astype(np.float64), other[known].astype(np.float64)
    if len(a) < FEWEST or not (np.ptp(a) > 0 and np.ptp(b) > 0):
        return None
    return {"r": float(np.corrcoef(a, b)[0, 1]), "n": len(a)}


def told(found: Mapping[str, dict[str, float | int] | None]) -> dict[str, dict[str, float | int]]:
    """Those that are known."""
    return {name: values for name, values in found.items() if values is not None}
