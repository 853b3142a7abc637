"""A slice with the classes of its voxels, as models learn from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream.analyse.classify.learn.foreign import Draw, with_foreign
from stream.analyse.classify.preprocess import features, scale_of


@dataclass(frozen=True, slots=True)
class Slice:
    """A reconstructed slice.

    Attributes
    ----------
    values
        (y, x, bins), patterns on the q grid; NaN where not measured and outside the field of view.
    labels
        (y, x), classes; -1 outside the field of view.
    complete
        False where a part of the rays was left out.
    """

    values: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int8]
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Example:
    """A slice as models see it.

    Attributes
    ----------
    inputs
        (y, x, features), as models take them.
    labels
        (y, x); -1 outside the field of view, the number of classes where something foreign is.
    phantom, complete
        the phantom's number; False where a part of the rays was left out.
    """

    inputs: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int8]
    phantom: int
    complete: bool


def clean_example(part: Slice, phantom: int = 0) -> Example:
    """A slice as it is."""
    return Example(features(part.values, scale_of(part.values)), part.labels, phantom, part.complete)


def foreign_example(rng: np.random.Generator, part: Slice, phantom: int = 0, draw: Draw | None = None) -> Example:
    """A slice with foreign spots; every other time they may be what is brightest in it."""
    scale = scale_of(part.values)
    values, labels = with_foreign(rng, part.values, part.labels, scale.level, draw)
    if rng.random() < 0.5:
        scale = scale_of(values)
    return Example(features(values, scale), labels, phantom, part.complete)
