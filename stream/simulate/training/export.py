"""A fitted pipeline as an ONNX file, with its manifest and card."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from skl2onnx import to_onnx
from sklearn.pipeline import Pipeline

from stream.analyse.classify.manifest import CLASSES, MANIFEST, Entry, Manifest
from stream.analyse.classify.model import Classifier
from stream.analyse.classify.preprocess import Q_GRID
from stream.simulate.training.card import write_card
from stream.simulate.training.dataset import UNFAMILIAR, Dataset
from stream.simulate.training.fit import Fitted, Split

OPSET = {"": 17, "ai.onnx.ml": 3}
INPUT, OUTPUT = "X", "probabilities"
GOLDEN = 2  # rows of each class kept in the manifest
DIGITS = 7


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a model is made again: its name, the seed, the number of phantoms, voxels a side of the largest scan."""

    name: str
    seed: int
    phantoms: int
    largest: int

    @property
    def command(self) -> str:
        """The command that makes it."""
        return (
            f"python -m stream.simulate.training --name {self.name} --seed {self.seed} "
            f"--phantoms {self.phantoms} --largest {self.largest} models"
        )


def to_bytes(pipeline: Pipeline) -> bytes:
    """ONNX of a pipeline, its probabilities as one array."""
    model = to_onnx(
        pipeline,
        np.zeros((1, pipeline.n_features_in_), np.float32),
        options={id(pipeline): {"zipmap": False}},
        target_opset=OPSET,
    )
    return bytes(model.SerializeToString())


def write_model(folder: Path, recipe: Recipe, fitted: Fitted, data: Dataset, split: Split) -> Classifier:
    """Write ``<name>.onnx``, ``<name>.md`` and the manifest into a folder; returns the model as a run loads it.

    Other models of the manifest stay; the new one becomes the default.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = to_bytes(fitted.pipeline)
    test = data[np.isin(data.phantom, split.test)]
    golden = golden_rows(test)
    entry = Entry(
        name=recipe.name,
        file=f"{recipe.name}.onnx",
        sha256=hashlib.sha256(content).hexdigest(),
        opset=OPSET[""],
        input=INPUT,
        output=OUTPUT,
        classes=CLASSES,
        q_low=Q_GRID.low,
        q_high=Q_GRID.high,
        q_bins=Q_GRID.bins,
        threshold=fitted.threshold,
        min_known=least_known(data),
        golden_input=rows(golden),
        golden_output=rows(fitted.pipeline.predict_proba(golden)),
    )
    classifier = Classifier(entry, content)
    (folder / entry.file).write_bytes(content)
    write_manifest(folder, entry)
    write_card(folder / f"{recipe.name}.md", entry, recipe.command, fitted, split, test, classifier.run(test.inputs))
    return classifier


def write_manifest(folder: Path, entry: Entry) -> None:
    """Put the entry into the folder's manifest, as its default."""
    path = folder / MANIFEST
    kept = Manifest.model_validate_json(path.read_bytes()).models if path.is_file() else ()
    models = (entry, *(other for other in kept if other.name != entry.name))
    path.write_text(Manifest(default=entry.name, models=models).model_dump_json(indent=1) + "\n", encoding="utf-8")


def golden_rows(test: Dataset) -> npt.NDArray[np.float32]:
    """A few inputs of every label, rounded to what the manifest keeps."""
    first = [np.flatnonzero(test.labels == label)[:GOLDEN] for label in range(UNFAMILIAR + 1)]
    return np.round(test.inputs[np.concatenate(first)], DIGITS)


def rows(values: npt.NDArray[np.floating]) -> tuple[tuple[float, ...], ...]:
    """Plain numbers."""
    return tuple(tuple(round(float(x), DIGITS) for x in row) for row in values)


def least_known(data: Dataset) -> float:
    """The smallest share of the q grid that was measured in any scan, less a bin or two."""
    first, last = data.inputs[:, -2:].T
    return round(float((last - first).min()) - 0.01, 3)
