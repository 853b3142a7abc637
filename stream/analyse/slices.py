"""What a slice's voxels are read through, however their patterns came to be known."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]
Linear = Callable[[Floats], npt.NDArray[np.floating]]

BATCH = 1024  # voxels whose whole patterns are in memory at once


class Voxels(Protocol):
    """The voxels of one slice in the field of view, numbered in C order; intensities per µm."""

    @property
    def inside(self) -> npt.NDArray[np.bool_]:
        """(y, x) the field of view."""

    @property
    def count(self) -> int:
        """How many voxels."""

    @property
    def held(self) -> bool:
        """Whether what `unheld` gives is held at zero or above all the same."""

    def patterns(self, voxels: Indices) -> Floats:
        """(n, bin), NaN in bins that nothing reaches."""

    def unheld(self, voxels: Indices) -> Floats:
        """(n, bin) for fits: not held at zero or above, where such a reconstruction was made."""

    def variances(self, voxels: Indices) -> Floats:
        """(n, bin), NaN where not known."""

    def through(self, linear: Linear, voxels: Indices | None = None) -> Floats:
        """A linear function of patterns, (n, bin) to (n, ...), of these voxels or of all."""

    def mean(self) -> Floats:
        """(bin,) mean pattern."""

    def noise(self) -> Floats:
        """(bin,) mean variance of a pattern."""


@dataclass(frozen=True, slots=True)
class WholeSlice:
    """Voxels whose patterns are all there, in an array or a file.

    volume: (y, x, bin); variances_of: (n, bin) of voxels by number; free: (n, bin) of all of them, not held at zero,
    None where there is no such reconstruction.
    """

    volume: Floats
    inside: npt.NDArray[np.bool_]
    variances_of: Callable[[Indices], Floats]
    free: Floats | None = None
    held: bool = False

    @property
    def count(self) -> int:
        """How many voxels."""
        return int(np.count_nonzero(self.inside))

    def patterns(self, voxels: Indices) -> Floats:
        """(n, bin)."""
        return np.asarray(self.volume.reshape(-1, self.volume.shape[2])[np.flatnonzero(self.inside)[voxels]])

    def unheld(self, voxels: Indices) -> Floats:
        """(n, bin)."""
        return self.patterns(voxels) if self.free is None else np.asarray(self.free[voxels])

    def variances(self, voxels: Indices) -> Floats:
        """(n, bin)."""
        return self.variances_of(voxels)

    def through(self, linear: Linear, voxels: Indices | None = None) -> Floats:
        """A linear function of the patterns, BATCH voxels after each other."""
        which = np.arange(self.count) if voxels is None else voxels
        return np.concatenate([linear(self.patterns(some)) for some in batches(which)]).astype(np.float32)

    def mean(self) -> Floats:
        """(bin,) mean pattern."""
        return self._mean(self.unheld)

    def noise(self) -> Floats:
        """(bin,) mean variance of a pattern."""
        return self._mean(self.variances)

    def _mean(self, of: Callable[[Indices], Floats]) -> Floats:
        sums = [of(some).sum(axis=0, dtype=np.float64) for some in batches(np.arange(self.count))]
        return np.asarray(np.sum(sums, axis=0) / max(self.count, 1), dtype=np.float32)


def share_out(job: Callable[[Indices], object], voxels: Indices) -> None:
    """Run a job for BATCH voxels after each other, in threads; what it returns is let go."""
    deque(_pool().map(job, batches(voxels)), maxlen=0)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="voxels")


def batches(voxels: Indices) -> Iterator[Indices]:
    """At most BATCH voxels after each other; one empty batch where there are none."""
    return (voxels[k : k + BATCH] for k in range(0, max(len(voxels), 1), BATCH))


def some_rays(rays: npt.NDArray[np.bool_]) -> Iterator[tuple[Indices, ...]]:
    """Indices of the rays that are marked, BATCH after each other."""
    found = np.nonzero(rays)
    return (tuple(axis[k : k + BATCH] for axis in found) for k in range(0, len(found[0]), BATCH))


def show(volume: Floats, inside: npt.NDArray[np.bool_], voxels: Indices, patterns: Floats) -> None:
    """Write patterns (n, bin) of voxels, by number, into a volume (y, x, bin)."""
    volume.reshape(-1, volume.shape[2])[np.flatnonzero(inside)[voxels]] = patterns
