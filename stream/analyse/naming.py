"""What each voxel is called: its class by a model, and the cluster of those like it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from stream.analyse.aside import Aside
from stream.analyse.classify.choose import AnyClassifier, load_classifier
from stream.analyse.classify.clusters import Clusters
from stream.analyse.classify.labels import Labels
from stream.analyse.classify.model import REACH
from stream.analyse.classify.preprocess import HUMPS, SliceScale, hardly_measured
from stream.analyse.classify.sample import Sample
from stream.analyse.classify.teaching import Teaching
from stream.analyse.implied import Implied
from stream.analyse.slices import Voxels
from stream.analyse.turns import Turn
from stream.core.axis import RadialAxis
from stream.core.config.models import ClassificationConfig

Arrays = dict[str, npt.NDArray[Any]]
Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Looked:
    """A slice whose voxels can be named: values (y, x, bins) on the q grid, NaN outside, and its scale.

    implied: classes (y, x, classes) that the fit allows, None where there are no fits yet.
    """

    values: Floats
    inside: Mask
    scale: SliceScale
    implied: Mask | None


@dataclass(slots=True)
class Round:
    """How far the live voxels of a slice are named, how often they were, and its scale when the round began."""

    turn: Turn = field(default_factory=Turn)
    count: int = 0
    scale: SliceScale | None = None

    @property
    def doubled(self) -> bool:
        """Whether there have been 1, 2, 4, 8, ... rounds."""
        return self.count & (self.count - 1) == 0


@dataclass(slots=True)
class Naming:
    """Names the voxels of one slice after another.

    given: the model of the config; the one that a user's labels made takes its place. unseen: matter whose hump was
    hardly measured: classes with it and without it cannot be told apart.
    """

    axis: RadialAxis
    implied: Implied
    given: AnyClassifier
    clusters: Clusters
    teaching: Teaching
    unseen: list[str] = field(init=False)
    _rounds: dict[int, Round] = field(default_factory=dict)
    _looked: dict[int, Looked] = field(default_factory=dict)
    _choice: Aside[bool] = field(default_factory=lambda: Aside("classes"))

    def __post_init__(self) -> None:
        """What the axis shows does not change while a run lasts."""
        self.unseen = hardly_measured(self.axis)

    @classmethod
    def from_config(cls, config: ClassificationConfig, axis: RadialAxis, implied: Implied) -> Self | None:
        """Load the model; None where the config has none.

        Raises
        ------
        ConfigError, StoreError
            as `load_classifier`.
        """
        if config.model is None:
            return None
        return cls(axis, implied, load_classifier(config.model), Clusters(config.clusters), Teaching())

    @property
    def classifier(self) -> AnyClassifier:
        """What names the voxels now."""
        return self.given if self.teaching.taught is None else self.teaching.taught.classifier

    def description(self) -> Iterator[str]:
        """Lines on what names a voxel, and what it cannot tell."""
        yield f"model: {self.given.name}, sha256 {self.given.told['sha256'][:12]}"
        for matter in self.unseen:
            low, high = HUMPS[matter]
            yield (
                f"warning: classes: less than half of {matter}'s hump, q of {low:g} to {high:g} 1/Å, lies in the "
                f"patterns, so voxels with {matter} and without it can hardly be told apart"
            )

    def teach(self, labels: Labels, folder: Path) -> None:
        """Learn from clusters that a user has named; the model goes into the folder."""
        self.teaching.take(labels, folder)

    def turn(self) -> bool:
        """Go on with what is learnt from labels; True when another model names the voxels from now on."""
        chosen = self._choice.taken() is not None
        return self.teaching.turn(self._samples) or chosen

    def blank(self, shape: tuple[int, ...]) -> Arrays:
        """The maps of a slice of that shape (y, x) of which nothing is known."""
        planes: Arrays = {name: np.full(shape, -1, dtype=np.int8) for name in ("class_index", "cluster_index")}
        planes["class_probability"] = np.full((len(self.classifier.classes), *shape), np.nan, dtype=np.float32)
        return planes

    def live(self, s: int, voxels: Voxels, before: Arrays, budget: float) -> Arrays:
        """Maps of a slice in which as many rows are named as there is time for, in seconds; the others as before."""
        values, inside = self._values(voxels), voxels.inside
        progress, chosen = self._rounds.setdefault(s, Round()), not self.given.due(fitted=False)
        rows = progress.turn.choose(len(inside), budget) if chosen else np.arange(len(inside))
        begun = bool(chosen and rows[0] == 0)
        if progress.scale is None or begun:
            progress.scale = self.given.scale(values)
            progress.count += 1
            self.clusters.take(s, Sample.of(values[inside], progress.scale))
            self.clusters.find()
        again = begun and progress.doubled  # as data come, others may be the best for them
        looked = Looked(values, inside, progress.scale, self._allowed(before, inside, progress.scale, again))
        if not self._choice.busy and self.given.due(looked.implied is not None, again):
            self._choice.begin(partial(self._choose, looked))
        planes = {name: before[name].copy() for name in self.blank(inside.shape)}
        if not chosen:  # clusters alone
            self._number(looked, slice(None), planes)
            return planes
        with progress.turn.timed(len(rows)):
            self._name(looked, rows, planes)
        return planes

    def look(self, s: int, voxels: Voxels, fitted: Arrays) -> None:
        """Keep what the final naming needs of a slice, whose fits are in these maps."""
        values, inside = self._values(voxels), voxels.inside
        scale = self.given.scale(values)
        self._looked[s] = Looked(values, inside, scale, self._allowed(fitted, inside, scale))
        self.clusters.take(s, Sample.of(values[inside], scale))

    def conclude(self) -> Iterator[tuple[int, Arrays]]:
        """The final maps of the slices that were looked at, from these and the labels alone."""
        self.clusters.find()
        self.teaching.conclude(self._samples)
        for s in sorted(self._looked):
            looked = self._looked.pop(s)
            if self.given.due(looked.implied is not None):
                self._choose(looked)
            planes = self.blank(looked.inside.shape)
            self._name(looked, np.arange(len(looked.inside)), planes)
            yield s, planes

    def settle(self) -> None:
        """Forget what live updates found, so that the final result comes from the complete set alone."""
        self._choice.awaited()
        self._rounds.clear()
        self._looked.clear()
        labels = self.teaching.labels
        self.clusters = Clusters(self.clusters.method, None if labels is None else labels.partition)
        self.given.settle()

    def told(self) -> dict[str, Any]:
        """What the metadata say of model and clusters; `cluster_partition` is what labels refer to."""
        partition = self.clusters.partition
        return {
            "model": {**self.given.told, **self.teaching.told, "unseen": self.unseen},
            "clusters": self.clusters.told(),
            "cluster_partition": None if partition is None else partition.as_dict(),
        }

    @property
    def _samples(self) -> list[Sample]:
        return [self.clusters.samples[s] for s in sorted(self.clusters.samples)]

    def _allowed(self, fitted: Arrays, inside: Mask, scale: SliceScale, again: bool = False) -> Mask | None:
        """What the fits in these maps allow, where somebody wants to know."""
        return self.implied.classes(fitted, inside, scale) if self.given.due(fitted=True, again=again) else None

    def _choose(self, looked: Looked) -> bool:
        """Let the models look at a slice, which takes longer than an update."""
        self.given.look(looked.values, looked.scale, looked.implied)
        return True

    def _values(self, voxels: Voxels) -> Floats:
        """Patterns (y, x, bins) on the q grid."""
        inside = voxels.through(partial(self.given.values, axis=self.axis))
        values = np.full((*voxels.inside.shape, inside.shape[1]), np.nan, np.float32)
        values[voxels.inside] = inside
        return values

    def _name(self, looked: Looked, rows: npt.NDArray[np.intp], planes: Arrays) -> None:
        """Name the voxels of some rows, in place."""
        for run in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1):
            first, last = int(run[0]), int(run[-1]) + 1
            above = max(first - REACH, 0)  # a voxel is seen with its neighbours
            prediction = self.classifier.judge(looked.values[above : last + REACH], looked.scale)
            here = slice(first - above, last - above)
            planes["class_index"][first:last] = prediction.index[here]
            planes["class_probability"][:, first:last] = np.moveaxis(prediction.probability[here], -1, 0)
            self._number(looked, slice(first, last), planes)

    def _number(self, looked: Looked, rows: slice, planes: Arrays) -> None:
        """Say which clusters the voxels of some rows are of, in place."""
        inside, values = looked.inside[rows], looked.values[rows]
        planes["cluster_index"][rows][inside] = self.clusters.index(values[inside], looked.scale.level)
