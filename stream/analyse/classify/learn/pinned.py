"""A learnt model as bytes, and what the manifest says of them."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from stream.analyse.classify.learn.model import Model
from stream.analyse.classify.learn.onnx_graph import INPUT, OPSET, OUTPUT, to_bytes
from stream.analyse.classify.manifest import CLASSES, Entry
from stream.analyse.classify.preprocess import Q_GRID

DIGITS = 7


def pinned(
    name: str,
    family: str,
    model: Model,
    golden: npt.NDArray[np.float32],
    *,
    threshold: float,
    least_known: float,
    accuracy: float,
) -> tuple[Entry, bytes]:
    """The entry of a model, and its ONNX file, which is to be called ``<name>.onnx``.

    golden: (y, x, features) inputs whose output is kept.
    """
    content = to_bytes(model)
    found = model.probability(golden).reshape(golden.shape[0] * golden.shape[1], -1)
    entry = Entry(
        name=name,
        family=family,
        file=f"{name}.onnx",
        sha256=hashlib.sha256(content).hexdigest(),
        opset=OPSET,
        input=INPUT,
        output=OUTPUT,
        classes=CLASSES,
        q_low=Q_GRID.low,
        q_high=Q_GRID.high,
        q_bins=Q_GRID.bins,
        threshold=threshold,
        min_known=least_known,
        accuracy=round(accuracy, 4),
        golden_output=tuple(tuple(round(float(x), DIGITS) for x in row) for row in found),
    )
    return entry, content
