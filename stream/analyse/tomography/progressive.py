"""SIRT that stays warm while rays arrive: sets of projections in turn, and what early rays left behind fades."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stream.analyse.tomography.projector import Floats, Projector
from stream.analyse.tomography.sirt import start_channels
from stream.analyse.tomography.steps import RaySet, iterate, relative

FEWEST = 6  # projections in a set


class ProgressiveSirt:
    """A reconstruction that stays warm while rays arrive.

    Parameters
    ----------
    nonnegative : whether every channel is held at x ≥ 0
    aside : so many of the last channels do not count in the residual
    sets : at most, of projections; a step is taken with one of them after another (ordered subsets, Hudson and Larkin
        1994), so that a round comes as far as so many iterations, and then with the newest projections by themselves
    diffusion : before each round a voxel goes so far, 0..1, towards the mean of its four neighbours: what early
        rays made it believe and no later ray tells would stay for ever; see `fading`

    Attributes
    ----------
    sinogram : (angle, position, channel), NaN where not measured
    volume : (y, x, channel), intensity per micrometre; NaN outside the field of view and in unknown channels
    weight : (angle, position) of each ray, 0 where not measured
    residual : |b - A x| / |b| before the latest iteration; NaN before the first
    """

    def __init__(
        self,
        projector: Projector,
        channels: int,
        *,
        nonnegative: bool = True,
        aside: int = 0,
        sets: int = 1,
        diffusion: float = 0.0,
    ) -> None:
        count = projector.count
        self.projector, self.nonnegative, self.aside = projector, nonnegative, aside
        self.sets, self.diffusion = sets, diffusion
        self._sets: list[RaySet] = []
        self._newest: list[RaySet] = []
        self._next = 0
        self.sinogram: Floats = np.full((*projector.rays, channels), np.nan, np.float32)
        self.volume: Floats = np.full((count, count, channels), np.nan, np.float32)
        self.residual = float("nan")
        self.weight = np.zeros(projector.rays)
        self._summed = np.zeros(projector.rays)  # the weights that the column sums hold so far
        self._column_sums = np.zeros((count, count, sets))
        self._member = np.full(projector.rays[0], -1)  # the set that each projection belongs to
        self._known = np.zeros(channels, np.bool_)
        self._seconds = 0.0

    def add(self, angle: int, position: int, pattern: ArrayLike, weight: float = 1.0) -> None:
        """Set the pattern (channel,) of one ray; angle and position are indices. Weight 0 takes it out."""
        self.add_many([angle], [position], np.asarray(pattern)[None], [weight])

    def add_many(
        self,
        angle: NDArray[np.intp] | Sequence[int],
        position: NDArray[np.intp] | Sequence[int],
        patterns: ArrayLike,
        weights: ArrayLike = 1.0,
    ) -> None:
        """Set many rays: indices (ray,), patterns (ray, channel), weights 0..1."""
        patterns = np.asarray(patterns)
        weights = np.broadcast_to(np.asarray(weights, np.float64), np.shape(angle))
        self.sinogram[angle, position] = patterns
        self.weight[angle, position] = weights
        new = np.isfinite(patterns[weights > 0]).any(axis=0) & ~self._known
        start_channels(self.projector, self.volume, np.flatnonzero(new))
        self._known |= new

    def coverage(self) -> NDArray[np.float64]:
        """(y, x) measured share of the planned ray weight, 0..1; NaN outside the field of view."""
        planned = self.projector.column_sums(np.ones(self.projector.rays))
        share = self.column_sums() / np.where(self.projector.support, planned, np.nan)
        return np.clip(share, 0, 1)

    def column_sums(self) -> NDArray[np.float64]:
        """(y, x) sum over the measured rays of weight times path, micrometres."""
        self._refresh()
        sums: NDArray[np.float64] = self._column_sums.sum(axis=-1)
        return sums

    def restart(self, projector: Projector) -> None:
        """Begin again from zero with all the rays, in another geometry."""
        self.projector = projector
        self._summed[:], self._column_sums[:] = 0, 0
        start_channels(projector, self.volume, np.flatnonzero(self._known))

    def transform(self, matrix: Floats) -> None:
        """Turn the channels into others, matrix (new, old); the volume stays warm."""
        with np.errstate(invalid="ignore"):
            self.sinogram, self.volume = self.sinogram @ matrix.T, self.volume @ matrix.T
        self._known = np.full(len(matrix), self._known.any())

    def iterate(self, steps: int) -> NDArray[np.float64]:
        """Take so many steps, each with the set whose turn it is; the residual of each round, and of a part of one."""
        started = time.perf_counter()
        rounds, rest = divmod(steps, self.round)
        turn = [*self._sets, *self._sets][self._next :]
        self._next = (self._next + rest) % self.round
        squares = [self._taken(turn[: self.round], rounds, self.diffusion)] if rounds else []
        squares += [self._taken(turn[:rest], 1, self.diffusion * rest / self.round)] if rest else []
        self._seconds = (time.perf_counter() - started) / steps
        trace = relative(np.concatenate(squares, axis=1))
        self.residual = float(trace[-1])
        return trace

    @property
    def round(self) -> int:
        """Steps of a round: with as many sets as there are projections for, and at least one."""
        self._refresh()
        return max(len(self._sets), 1)

    def affordable(self, seconds: float) -> int:
        """Steps that fit into so many seconds, as judged by the latest ones; 1 before any."""
        return max(int(seconds / self._seconds), 0) if self._seconds else 1

    def _taken(self, sets: list[RaySet], times: int, diffusion: float) -> NDArray[np.float64]:
        return iterate(
            [*sets, *self._newest],
            self.sinogram,
            self.volume,
            times,
            nonnegative=self.nonnegative,
            aside=self.aside,
            diffusion=diffusion,
        )

    def _refresh(self) -> None:
        """Bring column sums and sets of rays up to the present weights, projecting only the angles that changed."""
        change = self.weight - self._summed
        touched = np.flatnonzero(change.any(axis=1))
        if not touched.size:
            return
        new = touched[self._member[touched] < 0]
        self._member[new] = (np.count_nonzero(self._member >= 0) + np.arange(new.size)) % self.sets
        apart = change[touched, :, None] * (self._member[touched, None, None] == np.arange(self.sets))
        self._column_sums += self.projector.part(touched).back(apart.astype(np.float32))
        self._summed = self.weight.copy()
        self._divide(touched)

    def _divide(self, newest: NDArray[np.intp]) -> None:
        """Put the measured projections into sets, in turn as they came; and the newest by themselves."""
        angles = int(np.count_nonzero(self.weight.any(axis=1)))
        sets = max(n for n in range(1, self.sets + 1) if self.sets % n == 0 and n <= max(angles // FEWEST, 1))
        members = [np.where(self._member[:, None] % sets == k, self.weight, 0) for k in range(sets)]
        columns = [self._column_sums[..., k::sets].sum(axis=-1) for k in range(sets)]
        self._sets = [RaySet.of(self.projector, *both) for both in zip(members, columns, strict=True) if both[0].any()]
        self._newest, self._next = [], self._next % max(len(self._sets), 1)
        if sets > 1 and newest.size <= angles // sets:
            weight = np.zeros_like(self.weight)
            weight[newest] = self.weight[newest]
            columns_of_newest = self.projector.part(newest).column_sums(weight[newest])
            self._newest = [RaySet.of(self.projector, weight, columns_of_newest)]


def fading(sets: int, iterations: int) -> float:
    """The diffusion at which a checkerboard, of which rays tell nothing, loses half in `iterations` steps of sets.

    What `iterations` of SIRT from zero reach less than half of is held back by about as much as those would hold it.
    """
    return float((1 - 0.5 ** (sets / iterations)) / 2)
