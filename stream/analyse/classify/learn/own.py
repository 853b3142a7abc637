"""A classifier from the labelled voxels of a user's own run: small, made in a few seconds, and calibrated.

A support vector machine of a voxel by itself: a run has too few voxels for what looks at neighbours. It is shown
foreign patterns, too, so that there are some that it does not know.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, ClassVar

import numpy as np
import numpy.typing as npt

from stream.analyse.classify.labels import Labelled, check_counts
from stream.analyse.classify.learn.families import calibrate_scores, reduction, support_vectors
from stream.analyse.classify.learn.foreign import UNFAMILIAR, with_foreign
from stream.analyse.classify.learn.layers import Layer
from stream.analyse.classify.learn.model import Model
from stream.analyse.classify.learn.pinned import pinned
from stream.analyse.classify.learn.score import Judged, choose_threshold
from stream.analyse.classify.manifest import MANIFEST, Entry, Golden, Manifest
from stream.analyse.classify.preprocess import features
from stream.analyse.classify.sample import Sample
from stream.core.files import replace_file

Floats = npt.NDArray[np.float32]
NAME, SEED = "own", 11
SUPPORT = 2400  # voxels that the machine learns from, as many of each class
STRANGERS = 400  # foreign patterns that are made, at least
FOLDS, CHUNKS = 3, 12  # each class in as many chunks of neighbours, which are left out in turn
GOLDEN = 49  # voxels
LIKELY = 0.5  # unknown is at least what is more probably unfamiliar than all classes together: few voxels tell no tail
SPARE = 0.01  # of the q grid that a later slice may lack: a model of one range knows no other


@dataclass(frozen=True, slots=True)
class Own:
    """What was learnt.

    right: share of the labelled voxels, each left out once, that are named as the user does.
    voxels: how many were labelled.
    """

    name: ClassVar[str] = NAME
    model: Model
    threshold: float
    right: float
    voxels: int
    golden: Floats
    least_known: float


def learn(parts: Sequence[tuple[Sample, Labelled]]) -> Own:
    """Learn from samples of slices and the classes of their voxels, -1 where there is none; same in, same bits out.

    Raises
    ------
    UsageError
        where there are too few voxels of a class.
    """
    check_counts([labels for _, labels in parts])
    known = [(features(sample.values, sample.scale)[labels >= 0], labels[labels >= 0]) for sample, labels in parts]
    inputs = np.concatenate([*(rows for rows, _ in known), made := strangers([sample for sample, _ in parts])])
    labels = np.concatenate([*(labels for _, labels in known), np.full(len(made), UNFAMILIAR, np.int8)])
    layer = reduction(inputs, SEED)
    vectors = inputs @ layer.kernel[0, 0] + layer.bias
    model, probability = calibrated(layer, vectors, labels)
    judged = judged_as(probability, labels)
    threshold = max(choose_threshold(judged), LIKELY)
    ends = inputs[:, -3:-1].astype(np.float64)
    return Own(
        model=model,
        threshold=threshold,
        right=float(judged[judged.familiar].right(threshold).mean()),
        voxels=int(judged.familiar.sum()),
        golden=np.ascontiguousarray(inputs[np.linspace(0, len(inputs) - 1, GOLDEN).astype(int)][:, None]),
        least_known=round(max(float((ends[:, 1] - ends[:, 0]).min()) - SPARE, 0.0), 3),
    )


def strangers(samples: Sequence[Sample]) -> Floats:
    """Features (n, features) of the samples' voxels with something foreign in them."""
    rng = np.random.default_rng(SEED)
    samples = [sample for sample in samples if len(sample.values)]
    made: list[Floats] = []
    while sum(map(len, made)) < STRANGERS:
        for sample in samples:
            inside = np.zeros((len(sample.values), 1), np.int8)
            values, labels = with_foreign(rng, sample.values[:, None], inside, sample.scale.level)
            made.append(features(values[labels == UNFAMILIAR], sample.scale))
    return np.concatenate(made)


def calibrated(layer: Layer, vectors: Floats, labels: Labelled) -> tuple[Model, npt.NDArray[np.float64]]:
    """The model of all voxels, and what models that had not seen them say of each, (n, classes + 1).

    Scores become probabilities by what is said of voxels left out (Platt 1999), in their own frequency.
    """
    fold = folds(labels)
    scores: npt.NDArray[np.float64] | None = None
    for out in range(FOLDS):
        left = fold == out
        found = Model([layer], support_vectors(vectors[~left], labels[~left], SEED, SUPPORT)).scores(vectors[left])
        scores = np.zeros((len(labels), found.shape[1])) if scores is None else scores
        scores[left] = found
    assert scores is not None
    model = Model([layer], support_vectors(vectors, labels, SEED, SUPPORT))
    calibrate_scores(model, scores, labels)
    return model, model.probabilities(scores)


def folds(labels: Labelled) -> npt.NDArray[np.int64]:
    """(n,) the fold of each voxel: neighbours stay together, and each class is in every fold."""
    fold = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        of = np.flatnonzero(labels == label)
        fold[of] = np.arange(len(of)) * CHUNKS // len(of) % FOLDS
    return fold


def judged_as(probability: npt.NDArray[np.float64], labels: Labelled) -> Judged:
    """As of one complete scan."""
    zeros = np.zeros(len(labels), np.int64)
    return Judged(probability, labels, zeros, zeros, np.ones(len(labels), np.bool_))


def write(own: Own, folder: Path) -> Entry:
    """Write ``own.onnx``, its golden input and a manifest of it alone into a folder; what the manifest says.

    Raises
    ------
    StoreError
        where they cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    golden = io.BytesIO()
    np.save(golden, own.golden)
    entry, content = pinned(
        NAME, "svm", own.model, own.golden,
        threshold=own.threshold, least_known=own.least_known, accuracy=own.right,
    )  # fmt: skip
    kept = Golden(file="golden.npy", sha256=hashlib.sha256(golden.getvalue()).hexdigest())
    manifest = Manifest(default=NAME, golden=kept, models=(entry,))
    text = manifest.model_dump_json(indent=1).encode() + b"\n"
    # the manifest last: it says that the others are there
    for name, written in ((entry.file, content), (kept.file, golden.getvalue()), (MANIFEST, text)):
        replace_file(folder / name, partial(put, written))
    return entry


def put(content: bytes, file: IO[bytes]) -> None:
    """Write all of it."""
    file.write(content)
