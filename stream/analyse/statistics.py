"""Strain by class: the histogram, and the Gaussian of its core."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

Floats = npt.NDArray[np.float64]

WITHOUT_CRYSTALS = ("empty", "capillary", "carbon_binder")  # an edge voxel of these has its neighbour's strain
CLIP = 3.0  # standard deviations: voxels of partial volume stretch the tails beyond
ROUNDS = 50
FEWEST = 5  # values that a Gaussian needs
BINS = 40
SHOWN = 4.0  # standard deviations about the means that the histogram spans


def class_statistics(
    arrays: dict[str, npt.NDArray[Any]], strain_map: str | None, classes: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Statistics of the strain map over the voxels of each class of crystals that has enough values.

    Returns {class: {mean, sigma, n, inliers, median, histogram}}: `gaussian` of the values, their median, and
    `histogram` = {edges, counts, outside}, with the same edges for every class; `outside` counts the values beyond.
    """
    strain = arrays.get(f"maps/{strain_map}")
    index = arrays.get("maps/class_index")
    if strain is None or index is None:
        return {}
    values = {
        name: strain[(index == number) & np.isfinite(strain)].astype(np.float64)
        for number, name in enumerate(classes)
        if name not in WITHOUT_CRYSTALS
    }
    values = {name: found for name, found in values.items() if len(found) >= FEWEST}
    fits = {name: gaussian(found) for name, found in values.items()}
    edges = common_edges(list(fits.values()))
    return {
        name: {**fits[name], "median": float(np.median(found)), "histogram": histogram(found, edges)}
        for name, found in values.items()
    }


def gaussian(values: Floats) -> dict[str, float | int]:
    """Gaussian of the values' core, which outliers do not move: mean, sigma, inliers (the core), n (all).

    Maximum likelihood of a Gaussian cut off at ±3 σ: mean and spread of the values within, the spread divided by
    what the cut leaves of it, from the median and the median deviation on until nothing changes.
    """
    mean = float(np.median(values))
    sigma = float(np.median(np.abs(values - mean)) / norm.ppf(0.75)) or float(values.std())
    for _ in range(ROUNDS):
        core = values[np.abs(values - mean) <= CLIP * sigma]
        found = float(core.mean()), float(core.std()) / LEFT
        if len(core) < FEWEST or found == (mean, sigma):
            break
        mean, sigma = found
    return {"mean": mean, "sigma": sigma, "n": len(values), "inliers": len(core)}


def common_edges(fits: Sequence[dict[str, float | int]]) -> Floats:
    """(BINS + 1,) edges of bins that span every Gaussian; strain is not negative."""
    if not fits:
        return np.zeros(0)
    low = max(0.0, min(fit["mean"] - SHOWN * fit["sigma"] for fit in fits))
    high = max(fit["mean"] + SHOWN * fit["sigma"] for fit in fits)
    return np.linspace(low, high if high > low else low + 1e-4, BINS + 1)


def histogram(values: Floats, edges: Floats) -> dict[str, Any]:
    """Counts between the edges, and how many values lie outside them; plain lists."""
    counts = np.histogram(values, edges)[0]
    return {"edges": edges.tolist(), "counts": counts.tolist(), "outside": len(values) - int(counts.sum())}


LEFT = float(np.sqrt(1 - 2 * CLIP * norm.pdf(CLIP) / (2 * norm.cdf(CLIP) - 1)))
"""Standard deviation of a normal variate that is cut off at ±CLIP, from the moments of the truncated normal."""
