"""What is told of each particle: size, contact with carbon/binder, strain at its surface and inside, content, cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_dilation
from scipy.stats import spearmanr

from stream.analyse.particles import AROUND, MIXED, SOLID, Ints, faces, find_particles

Table = dict[str, npt.NDArray[Any]]
Floats = npt.NDArray[np.float64]

MOST = 500  # particles that the metadata list
FEWEST = 5  # particles that a rank correlation needs
RANKED = {"diameter": "diameter_um", "contact": "contact"}
"""What the strain of particles is ranked against, and the column of it."""


def particle_table(
    maps: dict[str, npt.NDArray[Any]],
    labels: Ints,
    classes: Sequence[str],
    map_axes: tuple[Floats, Floats, Floats],
    strain_phase: str,
    crystals: Sequence[str],
) -> Table:
    """One column a quantity, one row a particle in the order of `labels`.

    Parameters
    ----------
    maps
        by name, (slice, y, x).
    labels
        from `find_particles`.
    map_axes
        µm along (slice, y, x).

    Notes
    -----
    row and column are the voxel in the middle; diameter_um is that of the circle of the same area. A surface voxel
    has a face on which the particle ends; contact is the share of these faces with a voxel of carbon/binder behind
    them: geometry, where the voxel's class tells its content. Strains are means weighted with 1/error²; the error of
    a mean is scaled by the root of its reduced chi square where that exceeds 1.
    """
    count = int(labels.max(initial=-1)) + 1
    inside = labels >= 0
    owner = labels[inside]
    surface, contact = outline(labels, carbon_around(maps["class_index"], classes), count)
    voxels = np.bincount(owner, minlength=count)
    s, row, column = (np.rint(np.bincount(owner, at, count) / voxels).astype(int) for at in np.nonzero(inside))
    _, y, x = (
        np.bincount(owner, axis[at], count) / voxels for axis, at in zip(map_axes, np.nonzero(inside), strict=True)
    )
    area = voxels * pitch(map_axes[1]) * pitch(map_axes[2])
    on_surface = np.bincount(labels[surface], minlength=count)
    table: Table = {
        "index": np.arange(count),
        "slice": s,
        "row": row,
        "column": column,
        "y_um": y,
        "x_um": x,
        "diameter_um": 2 * np.sqrt(area / np.pi),
        "area_um2": area,
        "surface_voxels": on_surface,
        "interior_voxels": voxels - on_surface,
        "contact": contact,
    }
    strain, error = maps[f"strain_{strain_phase}"], maps[f"strain_error_{strain_phase}"]
    for name, where in (("", inside), ("_surface", surface), ("_interior", inside & ~surface)):
        table[f"strain{name}"], table[f"strain_error{name}"] = weighted(strain, error, labels, where, count)
    means = [f"fraction_{name}" for name in crystals]
    means += [f"{edge}_{strain_phase}" for edge in "abc"] + [f"cell_volume_{strain_phase}"]
    table |= {name: mean(maps[name], labels, count) for name in means if name in maps}
    return table


def tell_of_particles(
    arrays: dict[str, npt.NDArray[Any]],
    classes: Sequence[str],
    map_axes: tuple[Floats, Floats, Floats],
    strain_phase: str | None,
    crystals: Sequence[str],
) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """What a revision says of particles: arrays by path (`particle_index` and the table's columns), and metadata.

    Nothing where there are no classes, or no phase whose strain is read.
    """
    if strain_phase is None or not {*SOLID, AROUND, MIXED} <= set(classes):
        return {}, {}
    maps = {path.removeprefix("maps/"): array for path, array in arrays.items() if path.startswith("maps/")}
    labels = find_particles(maps["class_index"], classes)
    table = particle_table(maps, labels, classes, map_axes, strain_phase, crystals)
    columns = {f"particles/{name}": values for name, values in table.items()}
    told = {"particles": largest(table), "particle_correlation": correlations(table)}
    return {"maps/particle_index": labels, **columns}, told


def carbon_around(class_index: npt.NDArray[np.int8], classes: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Where carbon/binder is, (slice, y, x), and the empty voxels with a face to it.

    A voxel that particle and carbon share may hold half of neither: without these the contact of particles in full
    contact came out at 0.8, with them within 0.1 of the phantom's outline (95 % of those wider than 8 voxels).
    """
    carbon, empty = (class_index == list(classes).index(name) for name in (AROUND, MIXED))
    beside = np.array([[[0, 1, 0], [1, 1, 1], [0, 1, 0]]], dtype=bool)
    return np.asarray(carbon | (binary_dilation(carbon, beside) & empty))


def outline(labels: Ints, carbon: npt.NDArray[np.bool_], count: int) -> tuple[npt.NDArray[np.bool_], Floats]:
    """Which voxels are surface, (slice, y, x), and each particle's contact: the share of its faces at carbon."""
    surface = np.zeros(labels.shape, dtype=bool)
    ends, touching = np.zeros(count), np.zeros(count)
    behind_is_carbon = np.append(carbon.ravel(), False)  # the last one stands for what lies beyond the plane
    for outside, behind in faces(labels):
        surface |= outside
        ends += np.bincount(labels[outside], minlength=count)
        touching += np.bincount(labels[outside], behind_is_carbon[behind[outside]], count)
    return surface, touching / np.maximum(ends, 1)


def pitch(axis: Floats) -> float:
    """Distance of voxels along an axis in µm; of a single one it is not known, and NaN."""
    return float(abs(axis[1] - axis[0])) if len(axis) > 1 else np.nan


def weighted(
    values: npt.NDArray[Any], errors: npt.NDArray[Any], labels: Ints, where: npt.NDArray[np.bool_], count: int
) -> tuple[Floats, Floats]:
    """Weighted mean of each particle's voxels `where`, and its error; NaN for a particle without any."""
    known = where & np.isfinite(values) & (errors > 0)
    owner, weight = labels[known], 1 / errors[known].astype(np.float64) ** 2
    value = values[known].astype(np.float64)
    total = np.bincount(owner, weight, count)
    average = _ratio(np.bincount(owner, weight * value, count), total)
    chi2 = np.bincount(owner, weight * (value - average[owner]) ** 2, count)
    scatter = chi2 / np.maximum(np.bincount(owner, minlength=count) - 1, 1)
    return average, np.sqrt(_ratio(np.maximum(scatter, 1), total))


def mean(values: npt.NDArray[Any], labels: Ints, count: int) -> Floats:
    """Mean of each particle's voxels that have a value."""
    known = (labels >= 0) & np.isfinite(values)
    return _ratio(np.bincount(labels[known], values[known], count), np.bincount(labels[known], minlength=count))


def _ratio(top: npt.NDArray[Any], bottom: npt.NDArray[Any]) -> Floats:
    return np.asarray(np.divide(top, bottom, out=np.full(len(top), np.nan), where=bottom > 0))


def largest(table: Table) -> list[dict[str, Any]]:
    """The largest particles as the metadata list them: plain numbers, None for NaN."""
    columns = {name: values[:MOST].tolist() for name, values in table.items()}
    rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    return [{name: _plain(value) for name, value in row.items()} for row in rows]


def _plain(value: float | int) -> float | int | None:
    if isinstance(value, int):
        return value
    return float(f"{value:.7g}") if np.isfinite(value) else None


def correlations(table: Table) -> dict[str, dict[str, Any]]:
    """Spearman's rank correlation of the particles' strain with their diameter and contact: rho, p, n.

    Left out where fewer than FEWEST particles have a strain, or all share one value, which ranks nothing.
    """
    known = np.isfinite(table["strain"])
    found = {}
    for name, column in RANKED.items():
        pair = table[column][known], table["strain"][known]
        if known.sum() >= FEWEST and all(np.ptp(values) > 0 for values in pair):
            result = spearmanr(*pair)
            found[name] = {"rho": float(result.statistic), "p": float(result.pvalue), "n": int(known.sum())}
    return found
