"""Which model names the voxels: one by its name, the best for the data at hand, or all of them by vote."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.analyse.classify.clusters import Clusters
from stream.analyse.classify.contents import Mask
from stream.analyse.classify.manifest import read_manifest
from stream.analyse.classify.model import (
    REACH,
    UNKNOWN,
    Classifier,
    Judge,
    Prediction,
    load_model,
    models_folder,
)
from stream.analyse.classify.preprocess import SliceScale
from stream.analyse.classify.sample import Sample
from stream.core.axis import RadialAxis

Floats = npt.NDArray[np.float32]
LOOKED_AT = 4096  # voxels that a choice is made by
TOLERATED = 0.1  # share of them on which the best by its card may contradict the vote, or the fit more than another


class Panel(Judge):
    """Several models in the place of one.

    Attributes
    ----------
    members
        the best by its card first; all know the same classes and the same q grid.
    """

    def __init__(self, members: list[Classifier]) -> None:
        self.members = sorted(members, key=lambda member: -member.accuracy)
        self.classes = self.members[0].classes

    def values(self, patterns: Floats, axis: RadialAxis) -> Floats:
        """Patterns on the models' q grid."""
        return self.members[0].values(patterns, axis)

    def scale(self, values: Floats) -> SliceScale:
        """The scale of a slice from its voxels' `values`."""
        return self.members[0].scale(values)


class Ensemble(Panel):
    """A vote: each model has one for its class, or for unknown; the sum of the probabilities settles a tie."""

    name = "ensemble"

    @property
    def told(self) -> dict[str, Any]:
        """What the metadata say of it."""
        members = [member.told for member in self.members]
        together = "".join(member.sha256 for member in self.members)
        return {"name": self.name, "sha256": hashlib.sha256(together.encode()).hexdigest(), "members": members}

    def judge(self, values: Floats, scale: SliceScale) -> Prediction:
        """Classes of voxels by their `values`, (y, x, bins)."""
        return vote([member.judge(values, scale) for member in self.members])


class Auto(Panel):
    """The best by its card; where it contradicts the vote of all models or the fit by much, the one that agrees best.

    That is the one with the largest sum of the share of voxels that it names as the vote does, of what its classes
    tell of the voxels' clusters, and of the share that it names as the fit's amounts allow: neither of these knows a
    model. It is chosen by the middle of the first slice that is looked at after `settle`, once more when first there
    is one with fits, and again where `due` is asked so. Agreement settles it only then: families that look at the same
    neighbourhood err alike, and would outvote a better one that does not.
    """

    def __init__(self, members: list[Classifier]) -> None:
        super().__init__(members)
        self.settle()

    @property
    def name(self) -> str:
        """Of the chosen one."""
        return self.chosen.name

    @property
    def told(self) -> dict[str, Any]:
        """What the metadata say of it, and why."""
        return {**self.chosen.told, "chosen": "auto", "reason": self.reason}

    def settle(self) -> None:
        """Forget the choice: until data come, it is the best by its card."""
        self.chosen = self.members[0]
        self.reason = f"the best by its card: {self.chosen.accuracy:.1%} of unseen voxels right; no data were seen yet"
        self._looked = self._fitted = False

    def due(self, fitted: bool, again: bool = False) -> bool:
        """Whether nothing was looked at yet, or this has fits and what was looked at had none, or is to be again."""
        return len(self.members) > 1 and (again or not self._looked or (fitted and not self._fitted))

    def judge(self, values: Floats, scale: SliceScale) -> Prediction:
        """Classes of voxels by their `values`, (y, x, bins)."""
        if self.due(fitted=False):
            self.look(values, scale)
        return self.chosen.judge(values, scale)

    def look(self, values: Floats, scale: SliceScale, implied: Mask | None = None) -> None:
        """Choose by the middle of a slice; `implied`: the classes (y, x, classes) that the fit allows."""
        rows = max(LOOKED_AT // values.shape[1], 2 * REACH + 1)
        middle = slice(max((len(values) - rows) // 2, 0), max((len(values) + rows) // 2, 1))
        found = [member.judge(values[middle], scale) for member in self.members]
        common = vote(found).index
        judged = np.isfinite(found[0].probability[..., 0])
        if not judged.any():
            return
        agreement = [float((each.index == common)[judged].mean()) for each in found]
        clusters = self._clusters(values[middle][judged], scale)
        alike = [shared_information(each.index[judged], clusters) for each in found]
        told = [
            f"{share:.1%} with the vote and {part:.2f} with clusters"
            for share, part in zip(agreement, alike, strict=True)
        ]
        fits = [0.0] * len(found)
        if implied is not None and (fitted := judged & implied[middle].any(axis=2)).any():
            fits = [share_allowed(each.index[fitted], implied[middle][fitted]) for each in found]
            told = [f"{words}, {share:.1%} with the fit" for words, share in zip(told, fits, strict=True)]
        contradicted = agreement[0] < 1 - TOLERATED or fits[0] < max(fits) - TOLERATED
        best = int(np.argmax(np.sum([agreement, alike, fits], axis=0))) if contradicted else 0
        card, self.chosen = self.members[0], self.members[best]
        if self.chosen is card:
            self.reason = f"the best by its card: {card.accuracy:.1%} of unseen voxels right; agrees {told[0]}"
        else:
            self.reason = f"agrees best: {told[best]}; {card.name}, the best by its card: {told[0]}"
        self.reason += f", of {len(self.members)} models on {int(judged.sum())} voxels"
        self._looked, self._fitted = True, implied is not None

    @staticmethod
    def _clusters(values: Floats, scale: SliceScale) -> npt.NDArray[np.int8]:
        """Cluster of each pattern (n, bins)."""
        clusters = Clusters()
        clusters.take(0, Sample.of(values, scale))
        clusters.find()
        return clusters.index(values, scale.level)


AnyClassifier = Classifier | Ensemble | Auto


def load_classifier(name: str = "auto") -> AnyClassifier:
    """A model by its name: `auto`, `ensemble`, one of the shipped ones, or a folder with a manifest of the user's own.

    Raises
    ------
    ConfigError
        if there is no such model, or its manifest is wrong.
    StoreError
        if a file is not the one of the manifest, or not one that may be loaded.
    """
    own = name not in {"auto", "ensemble"} and Path(name).is_dir()
    folder = Path(name) if own else models_folder()
    manifest = read_manifest(folder)
    if not own and name not in {"auto", "ensemble"}:
        return load_model(folder, manifest.entry(name))
    members = [load_model(folder, entry) for entry in manifest.models]
    return Ensemble(members) if name == "ensemble" else Auto(members)


def shared_information(one: npt.NDArray[np.int8], other: npt.NDArray[np.int8]) -> float:
    """Mutual information of two partitions of the same points over the mean of their entropies, 0..1.

    Strehl and Ghosh (2002, J. Mach. Learn. Res. 3, 583) with the arithmetic mean; 1 where neither parts anything.
    """
    both = np.unique(np.stack([one, other]), axis=1, return_counts=True)[1]
    together, first, second = (
        entropy(counts) for counts in (both, *(np.unique(each, return_counts=True)[1] for each in (one, other)))
    )
    return float(2 * (first + second - together) / (first + second)) if first + second > 0 else 1.0


def share_allowed(index: npt.NDArray[np.int8], allowed: Mask) -> float:
    """Share of voxels (n,) with a class that is one of those allowed, (n, classes)."""
    return float(
        ((index != UNKNOWN) & np.take_along_axis(allowed, index[:, None].astype(np.intp), axis=1)[:, 0]).mean()
    )


def entropy(counts: npt.NDArray[np.intp]) -> float:
    """Of a partition into parts of so many points, in nats."""
    shares = counts / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def vote(found: list[Prediction]) -> Prediction:
    """The class, or unknown, that most name; the mean probability breaks a tie and is what is told."""
    with np.errstate(invalid="ignore"):
        mean = np.stack([each.probability for each in found]).mean(axis=0, dtype=np.float32)
    unknown = mean.shape[-1]
    calls = np.stack([np.where(each.index == UNKNOWN, unknown, each.index) for each in found])
    counts = np.stack([(calls == label).sum(axis=0) for label in range(unknown + 1)], axis=-1).astype(np.float32)
    rest = np.nan_to_num(1 - mean.sum(axis=-1, keepdims=True), nan=1.0)
    best = (counts + np.concatenate([np.nan_to_num(mean), rest], axis=-1) / 2).argmax(axis=-1)
    return Prediction(np.where(best == unknown, UNKNOWN, best).astype(np.int8), mean)
