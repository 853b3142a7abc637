"""Classes of voxels by a pretrained ONNX model, loaded only from bytes whose hash is known."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from stream.analyse.classify.graph import check_graph
from stream.analyse.classify.manifest import CLASSES, Entry, read_manifest
from stream.analyse.classify.preprocess import QGrid, SliceScale, feature_count, features, scale_of, to_q_grid
from stream.core.axis import RadialAxis
from stream.core.errors import ConfigError, StoreError

Floats = npt.NDArray[np.float32]
UNKNOWN = -1
BATCH = 8192  # voxels at a time: what the hidden layers need stays small


@dataclass(frozen=True, slots=True)
class Prediction:
    """index (n,) into the classes, -1 unknown; probability (n, classes), NaN where there was nothing to judge.

    What a row of `probability` lacks to one is the probability that the pattern is unfamiliar.
    """

    index: npt.NDArray[np.int8]
    probability: Floats


class Classifier:
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
        self._entry = entry
        self._grid = QGrid(entry.q_low, entry.q_high, entry.q_bins)
        self._session = open_session(content, entry.name)
        shape = self._session.get_inputs()[0].shape
        wanted = feature_count(self._grid)
        if shape[1:] != [wanted]:
            raise StoreError(f"the model {entry.name} takes inputs of shape {shape}, not of {wanted} values each")

    def predict(self, patterns: Floats, axis: RadialAxis, scale: SliceScale | None = None) -> Prediction:
        """Classes of the voxels of a slice.

        Parameters
        ----------
        patterns
            (n, axis.bins), any unit of intensity; a bin that is NaN in all of them was not measured.
        scale
            `slice_scale` of the whole slice; None takes it from these patterns.

        Returns
        -------
        Unknown are patterns with a non-finite value, those whose best class is less probable than the manifest's
        threshold, and all of them where too little of the q grid was measured or the scale is not above zero.
        """
        values = self.values(patterns, axis)
        return self.judge(values, scale_of(values, self._grid) if scale is None else scale)

    def values(self, patterns: Floats, axis: RadialAxis) -> Floats:
        """Patterns (n, axis.bins) on the model's q grid: a linear function of them where all have the same bins."""
        return to_q_grid(patterns, axis, self._grid)

    def scale(self, values: Floats) -> SliceScale:
        """The scale of a slice from its voxels' `values`."""
        return scale_of(values, self._grid)

    def judge(self, values: Floats, scale: SliceScale) -> Prediction:
        """Classes of voxels by their `values`."""
        index = np.full(len(values), UNKNOWN, np.int8)
        probability = np.full((len(values), len(self.classes)), np.nan, np.float32)
        enough = np.isfinite(values).mean(axis=1) >= self._entry.min_known
        if scale.level > 0 and enough.any():
            probability[enough] = self.run(features(values[enough], scale))[:, :-1]
            best = probability[enough].argmax(axis=1)
            sure = probability[enough].max(axis=1) >= self._entry.threshold
            index[enough] = np.where(sure, best, UNKNOWN)
        return Prediction(index, probability)

    def run(self, inputs: Floats) -> Floats:
        """The bare model: (n, 2 · bins + 2) to probabilities (n, classes + 1)."""
        parts = [
            self._session.run([self._entry.output], {self._entry.input: inputs[start : start + BATCH]})[0]
            for start in range(0, len(inputs), BATCH)
        ]
        return np.concatenate(parts)


def models_folder() -> Path:
    """The models that come with the package: `stream/_models` of a wheel, else `models` beside the package."""
    package = Path(__file__).resolve().parents[2]
    packed = package / "_models"
    return packed if packed.is_dir() else package.parent / "models"


def load_classifier(name: str = "auto") -> Classifier:
    """A model by its name: `auto`, one of the shipped ones, or a folder with a manifest of the user's own.

    Raises
    ------
    ConfigError
        if there is no such model, or its manifest is wrong.
    StoreError
        if the file is not the one of the manifest, or not one that may be loaded.
    """
    own = name != "auto" and Path(name).is_dir()
    folder = Path(name) if own else models_folder()
    entry = read_manifest(folder).entry("auto" if own else name)
    if entry.classes != CLASSES:
        raise ConfigError(
            f"the model {entry.name} has the classes {', '.join(entry.classes)}, not {', '.join(CLASSES)}"
        )
    path = folder / entry.file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"the model {path} cannot be read: {error.strerror}") from None
    found = hashlib.sha256(content).hexdigest()
    if found != entry.sha256:
        raise StoreError(f"the model {path} has the SHA-256 {found}, its manifest says {entry.sha256}: not loaded")
    check_graph(content, entry.name)
    return Classifier(entry, content)


def open_session(content: bytes, name: str) -> onnxruntime.InferenceSession:
    """A session on one thread: the same bytes in, the same bits out."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - onnxruntime's errors share no public base class
        raise StoreError(f"the model {name} is not one that onnxruntime can run: {error}") from None
