"""What reconstruction lends from class to class, taken off the strain of each (Rousset's geometric transfer matrix).

A voxel's reconstructed pattern holds something of its neighbours', and so does its strain: to first order the mean
of theirs, by amount. How much each class lends to each is seen by projecting and reconstructing images of the
phase's amount in one class after another, on the scan's own rays with the scan's own iterations. The strains of the
voxels are these shares @ (the classes' own), which is solved for these by least squares (O. G. Rousset et al.,
J. Nucl. Med. 39, 904, 1998, has it for the means of the classes).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from stream.analyse.statistics import CLIP, FEWEST, ROUNDS

Arrays = dict[str, npt.NDArray[Any]]
Floats = npt.NDArray[Any]
Seen = Callable[[npt.NDArray[np.float32]], Floats]

LEAST = 0.5  # of a class' amount is its own: with less, the solution would be mostly noise
GROUP = 6  # voxels a side of the squares whose errors are taken as one: neighbours share their noise


def unmixed(
    statistics: dict[str, dict[str, Any]], arrays: Arrays, phase: str, classes: Sequence[str], seen: Seen
) -> dict[str, dict[str, Any]]:
    """The statistics with `own`, the class' share in its voxels, and `unmixed`, its strain without what was lent.

    `unmixed_error` is 1σ of that from the scatter of the voxels; what the instrument's own error adds is in theirs.

    Parameters
    ----------
    statistics : of `class_statistics`; without a class they come back as they are.
    arrays : maps (slice, y, x), among them strain_ and phase_ of the phase.
    seen : what reconstruction makes of images (slice, y, x, channel).
    """
    if not statistics:
        return {}
    strain, amount = arrays[f"maps/strain_{phase}"], np.maximum(np.nan_to_num(arrays[f"maps/phase_{phase}"]), 0)
    members = np.stack([arrays["maps/class_index"] == classes.index(name) for name in statistics], axis=-1)
    apart = np.where(members, amount[..., None], 0)
    others = np.where(members.any(axis=-1), 0, amount)[..., None]
    images = np.nan_to_num(seen(np.concatenate([apart, others], axis=-1).astype(np.float32)))
    known = np.isfinite(strain) & (images[..., :-1].sum(axis=-1) > 0) & members.any(axis=-1)
    shares = images[known] / images[known].sum(axis=1, keepdims=True)
    own = np.array([shares[members[known][:, k], k].mean() for k in range(len(statistics))])
    found = {name: {**one, "own": float(share)} for (name, one), share in zip(statistics.items(), own, strict=True)}
    if np.all(own >= LEAST):
        mixed = shares[:, :-1] / shares[:, :-1].sum(axis=1, keepdims=True)  # of the others no strain is known
        solved = _core_fit(mixed, strain[known].astype(np.float64), _squares(known))
        for one, value, error in zip(found.values(), *solved, strict=True):
            one["unmixed"], one["unmixed_error"] = float(value), float(error)
    return found


def _squares(known: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """(n,) which square each of the known voxels (slice, y, x) lies in."""
    s, y, x = np.nonzero(known)
    return np.unique(np.stack([s, y // GROUP, x // GROUP]), axis=1, return_inverse=True)[1]


def _core_fit(shares: Floats, strain: Floats, group: npt.NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Least squares of strain (n,) = shares (n, class) @ strains, without what lies CLIP deviations off, and its 1σ.

    Residuals of a group go together (the sandwich of Liang and Zeger, Biometrika 73, 13, 1986).
    """
    core = np.ones(len(strain), np.bool_)
    for _ in range(ROUNDS):
        found = np.linalg.lstsq(shares[core], strain[core], rcond=None)[0]
        off = np.abs(strain - shares @ found)
        kept = off <= CLIP * float(np.median(off)) / norm.ppf(0.75)
        if (kept == core).all() or kept.sum() < FEWEST:
            break
        core = kept
    used, group = shares[core], group[core]
    moved = used * (strain[core] - used @ found)[:, None]
    pulls = np.stack([np.bincount(group, column) for column in moved.T])
    inverse, count = np.linalg.inv(used.T @ used), len(np.unique(group))
    covariance = inverse @ (pulls @ pulls.T) @ inverse * count / max(count - len(found), 1)
    return np.asarray(found), np.sqrt(np.diag(covariance))
