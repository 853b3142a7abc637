"""Labelled voxels of many simulated scans, kept apart by phantom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream.analyse.classify.manifest import CLASSES
from stream.analyse.classify.preprocess import Q_GRID, features, scale_of
from stream.simulate.training.foreign import add_foreign
from stream.simulate.training.samples import draw_sample
from stream.simulate.training.slices import draw_beam, reconstructed_slices

UNFAMILIAR = len(CLASSES)  # the label of foreign patterns
STAGES = 2  # reconstructions of a scan: the complete one, and one of a part of it
FOREIGN = 0.12  # foreign patterns added, as a share of a slice's voxels
FOREIGN_KINDS = 30  # at most, in a slice


@dataclass(frozen=True, slots=True)
class Dataset:
    """inputs (n, 2 · bins + 2) as models take them, labels (n,), phantom (n,), complete (n,): of a whole scan."""

    inputs: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int8]
    phantom: npt.NDArray[np.int32]
    complete: npt.NDArray[np.bool_]

    def __getitem__(self, chosen: npt.NDArray[np.bool_]) -> Dataset:
        """The chosen voxels."""
        return Dataset(self.inputs[chosen], self.labels[chosen], self.phantom[chosen], self.complete[chosen])


def make_dataset(phantoms: Iterable[int], seed: int, largest: int) -> Dataset:
    """Voxels of the phantoms with these numbers; each depends on (seed, number) alone.

    Parameters
    ----------
    largest
        voxels a side of the largest scan.
    """
    parts = [part for number in phantoms for part in phantom_voxels(number, seed, largest)]
    return Dataset(*(np.concatenate(column) for column in zip(*parts, strict=True)))


Part = tuple[npt.NDArray[np.float32], npt.NDArray[np.int8], npt.NDArray[np.int32], npt.NDArray[np.bool_]]


def phantom_voxels(number: int, seed: int, largest: int) -> list[Part]:
    """Columns of a `Dataset` for each reconstruction of one phantom."""
    rng = np.random.default_rng([seed, number])
    sample = draw_sample(rng, largest)
    parts = []
    for stage, whole in enumerate(reconstructed_slices(rng, sample, draw_beam(rng, sample.count), STAGES)):
        inside = whole.labels >= 0
        found, known = whole.values[inside], whole.labels[inside]
        chosen = rng.random(len(known)) < FOREIGN
        scale = scale_of(found)
        kinds = int(rng.integers(1, FOREIGN_KINDS + 1))
        foreign = add_foreign(rng, found[chosen], scale.level, Q_GRID.centers, kinds)
        values = np.concatenate([found, foreign])
        if stage > 0 and rng.random() < 0.5:  # what is foreign may also be what is brightest in the slice
            scale = scale_of(values)
        labels = np.concatenate([known, np.full(len(foreign), UNFAMILIAR, np.int8)])
        size = len(labels)
        phantom, complete = np.full(size, number, np.int32), np.full(size, stage == 0)
        parts.append((features(values, scale), labels, phantom, complete))
    return parts
