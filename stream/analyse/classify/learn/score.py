"""How right a model is: by class, by completeness, by coarseness, on what it never saw, and how far it knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream.analyse.classify.learn.example import Example
from stream.analyse.classify.learn.foreign import UNFAMILIAR
from stream.analyse.classify.learn.model import Model

REJECTED = 0.005  # share of a familiar complete scan's voxels that may turn to unknown,
SCANS = 0.85  # in this share of the scans: odd ones shall not decide for all
COARSE = 48  # voxels a side: scans with fewer are coarse


@dataclass(frozen=True, slots=True)
class Judged:
    """Voxels of several slices: probability (n, classes + 1), labels (n,), phantom, side and completeness of each."""

    probability: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int8]
    phantom: npt.NDArray[np.int64]
    side: npt.NDArray[np.int64]
    complete: npt.NDArray[np.bool_]

    def __getitem__(self, chosen: npt.NDArray[np.bool_]) -> Judged:
        """Some of them."""
        return Judged(*(getattr(self, name)[chosen] for name in self.__slots__))

    @property
    def familiar(self) -> npt.NDArray[np.bool_]:
        """Where nothing foreign is."""
        return self.labels < UNFAMILIAR

    def called(self, threshold: float) -> npt.NDArray[np.int8]:
        """The called class, -1 unknown."""
        known = self.probability[:, UNFAMILIAR] < threshold
        return np.where(known, self.probability[:, :UNFAMILIAR].argmax(axis=1), -1).astype(np.int8)

    def right(self, threshold: float) -> npt.NDArray[np.bool_]:
        """Which are called what they are; something foreign is to be called unknown."""
        return np.asarray(self.called(threshold) == np.where(self.familiar, self.labels, -1))

    def calibration_error(self, bins: int = 15) -> float:
        """Mean distance of the best class's probability from the share that is right, over equal bins of it."""
        best = self.probability[:, :UNFAMILIAR].max(axis=1)
        wrong = best - (self.probability[:, :UNFAMILIAR].argmax(axis=1) == self.labels)
        sums = np.bincount(np.minimum((best * bins).astype(int), bins - 1), weights=wrong, minlength=bins)
        return float(np.abs(sums).sum() / len(best))


def judge(model: Model, examples: Sequence[Example], share: float = 1.0) -> Judged:
    """What a model makes of the labelled voxels of examples, or of a share of them, evenly drawn."""
    rng = np.random.default_rng(len(examples))
    columns = []
    for example in examples:
        chosen = (example.labels >= 0) & (rng.random(example.labels.shape) < share)
        found = model.calibrated(model.vectors(example.inputs)[chosen])
        of = (example.phantom, len(chosen), example.complete)
        columns.append((found, example.labels[chosen], *(np.full(len(found), value) for value in of)))
    return Judged(*(np.concatenate(column) for column in zip(*columns, strict=True)))


def choose_threshold(judged: Judged) -> float:
    """The probability of being unfamiliar that no more than REJECTED of the voxels reach in SCANS of the scans."""
    familiar = judged[judged.familiar & judged.complete]
    each = [
        np.quantile(familiar.probability[familiar.phantom == number, UNFAMILIAR], 1 - REJECTED)
        for number in np.unique(familiar.phantom)
    ]
    return round(float(np.quantile(each, SCANS)), 4)
