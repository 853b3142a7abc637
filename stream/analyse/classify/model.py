"""Classes of voxels by a pretrained ONNX model, loaded only from bytes whose hash is known."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from stream.analyse.classify.contents import Mask
from stream.analyse.classify.faults import faulty
from stream.analyse.classify.graph import check_graph
from stream.analyse.classify.manifest import CLASSES, Entry
from stream.analyse.classify.preprocess import QGrid, SliceScale, feature_count, features, scale_of, to_q_grid
from stream.core.axis import RadialAxis
from stream.core.errors import ConfigError, StoreError

Floats = npt.NDArray[np.float32]
UNKNOWN = -1
REACH = 2  # voxels: how far a model looks about a voxel
BATCH = 4096  # voxels at a time: what the hidden layers need stays small


@dataclass(frozen=True, slots=True)
class Prediction:
    """index (y, x) into the classes, -1 unknown; probability (y, x, classes), NaN where there was nothing to judge.

    What `probability` lacks to one is the probability that the pattern is unfamiliar.
    """

    index: npt.NDArray[np.int8]
    probability: Floats


class Judge(ABC):
    """What names the voxels of a slice: one model or several."""

    @abstractmethod
    def values(self, patterns: Floats, axis: RadialAxis) -> Floats:
        """Patterns (..., axis.bins) on the models' q grid: a linear function where all have the same bins."""

    @abstractmethod
    def scale(self, values: Floats) -> SliceScale:
        """The scale of a slice from its voxels' `values`."""

    @abstractmethod
    def judge(self, values: Floats, scale: SliceScale) -> Prediction:
        """Classes of voxels by their `values`, (y, x, bins); each is seen with its neighbours, REACH voxels far."""

    def due(self, fitted: bool, again: bool = False) -> bool:
        """Whether to `look` at a slice, with the fit of its voxels or without, could change what names them.

        again: its data are others than those that were looked at.
        """
        return False

    def look(  # noqa: B027 - most take nothing
        self, values: Floats, scale: SliceScale, implied: Mask | None = None
    ) -> None:
        """Take what is wanted of a slice; `implied`: the classes (y, x, classes) that the fit allows its voxels."""

    def settle(self) -> None:  # noqa: B027 - most take nothing
        """Forget what was taken from the data."""

    def predict(self, patterns: Floats, axis: RadialAxis, scale: SliceScale | None = None) -> Prediction:
        """Classes of the voxels of a slice, or of a part of it.

        Parameters
        ----------
        patterns
            (y, x, axis.bins), any unit of intensity, NaN outside the field of view; a bin that is NaN in all of them
            was not measured.
        scale
            of the whole slice; None takes it from these patterns.

        Returns
        -------
        Unknown are patterns with a non-finite value, those with a detector's fault, those that are as probably
        unfamiliar as a model's threshold, and all of them where too little of the q grid was measured or the scale is
        not above zero.
        """
        values = self.values(patterns, axis)
        return self.judge(values, self.scale(values) if scale is None else scale)


class Classifier(Judge):
    """A model and what its manifest says of it.

    Attributes
    ----------
    name, sha256
        as published.
    classes
        labels in the order of `Prediction.index`.
    """

    def __init__(self, entry: Entry, content: bytes) -> None:
        self.name, self.sha256, self.classes = entry.name, entry.sha256, entry.classes
        self.accuracy = entry.accuracy
        self._entry = entry
        self._grid = QGrid(entry.q_low, entry.q_high, entry.q_bins)
        self._session = open_session(content, entry.name)
        shape = self._session.get_inputs()[0].shape
        wanted = feature_count(self._grid)
        if shape[2:] != [wanted]:
            raise StoreError(f"the model {entry.name} takes inputs of shape {shape}, not of {wanted} values each")

    @property
    def told(self) -> dict[str, Any]:
        """What the metadata say of it."""
        return {"name": self.name, "sha256": self.sha256}

    def values(self, patterns: Floats, axis: RadialAxis) -> Floats:
        """Patterns (..., axis.bins) on the model's q grid: a linear function where all have the same bins."""
        return to_q_grid(patterns, axis, self._grid)

    def scale(self, values: Floats) -> SliceScale:
        """The scale of a slice from its voxels' `values`."""
        return scale_of(values, self._grid)

    def judge(self, values: Floats, scale: SliceScale) -> Prediction:
        """Classes of voxels by their `values`, (y, x, bins); each is seen with its neighbours, REACH voxels far."""
        index = np.full(values.shape[:2], UNKNOWN, np.int8)
        probability = np.full((*values.shape[:2], len(self.classes)), np.nan, np.float32)
        if scale.level > 0 and np.isfinite(scale.brightest).mean() >= self._entry.min_known:
            inputs = features(values, scale, self._grid)
            known = inputs[..., -1] > 0
            found = self.run(inputs)[known]
            found[faulty(values[known], scale)] = np.eye(len(self.classes) + 1)[-1]
            probability[known] = found[:, :-1]
            index[known] = np.where(found[:, -1] < self._entry.threshold, found[:, :-1].argmax(axis=1), UNKNOWN)
        return Prediction(index, probability)

    def run(self, inputs: Floats) -> Floats:
        """The bare model: (y, x, features) to probabilities (y, x, classes + 1)."""
        found = np.empty((*inputs.shape[:2], len(self.classes) + 1), np.float32)
        rows = max(BATCH // max(inputs.shape[1], 1), 2 * REACH)

        def part(at: int) -> None:
            first = max(at - REACH, 0)
            near = {self._entry.input: inputs[first : at + rows + REACH]}
            found[at : at + rows] = self._session.run([self._entry.output], near)[0][at - first : at - first + rows]

        list(_pool().map(part, range(0, len(inputs), rows)))
        return found


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="classes")


def models_folder() -> Path:
    """The models that come with the package: `stream/_models` of a wheel, else `models` beside the package."""
    package = Path(__file__).resolve().parents[2]
    packed = package / "_models"
    return packed if packed.is_dir() else package.parent / "models"


def load_model(folder: Path, entry: Entry) -> Classifier:
    """A model of a folder.

    Raises
    ------
    ConfigError
        if the file cannot be read, or knows other classes.
    StoreError
        if the file is not the one of the manifest, or not one that may be loaded.
    """
    if entry.classes != CLASSES:
        raise ConfigError(
            f"the model {entry.name} has the classes {', '.join(entry.classes)}, not {', '.join(CLASSES)}"
        )
    content = pinned_bytes(folder / entry.file, entry.sha256)
    check_graph(content, entry.name)
    return Classifier(entry, content)


def pinned_bytes(path: Path, sha256: str) -> bytes:
    """The bytes of a file, which must have this hash."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"the model {path} cannot be read: {error.strerror}") from None
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise StoreError(f"the model {path} has the SHA-256 {found}, its manifest says {sha256}: not loaded")
    return content


def open_session(content: bytes, name: str) -> onnxruntime.InferenceSession:
    """A session on one thread: the same bytes in, the same bits out."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - onnxruntime's errors share no public base class
        raise StoreError(f"the model {name} is not one that onnxruntime can run: {error}") from None
