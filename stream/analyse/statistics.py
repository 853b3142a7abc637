"""Strain by class: what a histogram with its Gaussian would say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

CLIP = 3.0  # standard deviations
ROUNDS = 10
FEWEST = 5  # values that a Gaussian needs


def class_statistics(
    arrays: dict[str, npt.NDArray[Any]], strain_map: str | None, classes: Sequence[str]
) -> dict[str, dict[str, float]]:
    """{class: {mean, sigma, n}} of the strain map over the voxels of each class that have enough values."""
    strain = arrays.get(f"maps/{strain_map}")
    index = arrays.get("maps/class_index")
    if strain is None or index is None:
        return {}
    found = {}
    for number, name in enumerate(classes):
        values = strain[(index == number) & np.isfinite(strain)].astype(np.float64)
        if len(values) >= FEWEST:
            found[name] = gaussian(values)
    return found


def gaussian(values: npt.NDArray[np.float64]) -> dict[str, float]:
    """Gaussian of the values' core: mean and standard deviation, clipped at 3 σ until nothing changes."""
    core = values
    for _ in range(ROUNDS):
        mean, sigma = float(core.mean()), float(core.std())
        kept = values[np.abs(values - mean) <= CLIP * sigma]
        if len(kept) == len(core) or len(kept) < FEWEST:
            break
        core = kept
    return {"mean": mean, "sigma": sigma, "n": len(values)}
