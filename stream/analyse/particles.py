"""The particles of a slice: connected voxels of the particle classes, those that touch told apart."""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int32]

SOLID = ("particle", "particle_with_carbon")
AROUND, MIXED = "carbon_binder", "empty"
NECK = 0.75  # of the smaller core: two cores with a wider neck between them are one particle; 0.71 to 0.85 cut the
# simulated electrodes alike, for the depths of small particles on a grid are 1, √2, 2, …
FEWEST = 4  # voxels: half a voxel of error is a fifth of the diameter of such a particle, and more of a smaller one's
FACES = ((0, 1), (0, -1), (1, 0), (-1, 0))


def find_particles(class_index: npt.NDArray[np.int8], classes: Sequence[str]) -> Ints:
    """Index of the particle each voxel belongs to, (slice, y, x), from 0 and the largest on; -1 where there is none.

    Each slice is cut by itself: a particle here is a section through one.
    """
    solid = np.isin(class_index, [n for n, name in enumerate(classes) if name in SOLID])
    found = np.full(class_index.shape, -1, dtype=np.int32)
    count = 0
    for s in range(len(found)):
        own = separate(solid[s])
        found[s] = np.where(own >= 0, own + count, -1)
        count += int(own.max(initial=-1)) + 1
    return by_size(found, count)


def separate(solid: Bools) -> Ints:
    """Particles of a plane (y, x), numbered from 0; -1 elsewhere.

    Watershed of the distance to the edge: voxels are taken from the deepest on, each to the neighbour that is
    deepest; where two cores meet, they stay two if the meeting is less deep than NECK times either.
    """
    depth = distance_transform_edt(np.pad(solid, 1))
    flat = np.flatnonzero(depth)
    order = flat[np.argsort(-depth.ravel()[flat], kind="stable")]
    labels = np.full(depth.size, -1, dtype=np.int32)
    _flood(depth.ravel(), order, depth.shape[1], labels)
    return np.asarray(labels.reshape(depth.shape)[1:-1, 1:-1])


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _flood(depth: npt.NDArray[np.float64], order: npt.NDArray[np.int64], width: int, labels: Ints) -> None:
    """Fill `labels` (flat, -1 before) along `order`; the plane has a margin of one voxel."""
    top = np.empty(order.size, np.float64)  # the deepest point of each core
    root = np.empty(order.size, np.int32)
    cores = 0
    for at in order:
        mine = -1
        for step in (-width, -1, 1, width):
            other = at + step
            if labels[other] >= 0 and (mine < 0 or depth[other] > depth[mine]):
                mine = other
        if mine < 0:
            labels[at], top[cores], root[cores] = cores, depth[at], cores
            cores += 1
            continue
        labels[at] = labels[mine]
        for step in (-width, -1, 1, width):
            if labels[at + step] < 0:
                continue
            one, two = _core(root, labels[at]), _core(root, labels[at + step])
            if one != two and depth[at] > NECK * min(top[one], top[two]):
                low, high = (one, two) if top[one] < top[two] else (two, one)
                root[low] = high
    names = np.full(cores, -1, np.int32)
    count = 0
    for at in order:
        core = _core(root, labels[at])
        if names[core] < 0:
            names[core] = count
            count += 1
        labels[at] = names[core]


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _core(root: Ints, core: int) -> int:
    """The core that this one became part of."""
    while root[core] != core:
        core = root[core]
    return core


def by_size(labels: Ints, count: int) -> Ints:
    """The labels renumbered, the largest first; particles of fewer than FEWEST voxels are left out."""
    sizes = np.bincount(labels[labels >= 0], minlength=count)
    order = np.argsort(-sizes, kind="stable")
    kept = order[sizes[order] >= FEWEST]
    names = np.full(count + 1, -1, dtype=np.int32)  # the last one is for label -1
    names[kept] = np.arange(len(kept))
    return np.asarray(names[labels])


def faces(labels: Ints) -> list[tuple[Bools, Ints]]:
    """For each of the four faces of a voxel: whether it is its particle's outside, and the flat neighbour there.

    Arrays (slice, y, x); a face at the plane's edge has no neighbour (-1) and is an outside.
    """
    _, rows, columns = labels.shape
    own = np.pad(labels, ((0, 0), (1, 1), (1, 1)), constant_values=-1)
    flat = np.pad(np.arange(labels.size, dtype=np.int32).reshape(labels.shape), ((0, 0), (1, 1), (1, 1)),
                  constant_values=-1)  # fmt: skip
    found = []
    for dy, dx in FACES:
        window = (slice(None), slice(1 + dy, 1 + dy + rows), slice(1 + dx, 1 + dx + columns))
        found.append(((labels >= 0) & (own[window] != labels), flat[window]))
    return found
