"""A trained model, as it computes: layers, a head, and what turns scores into probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from stream.analyse.classify.learn.foreign import UNFAMILIAR
from stream.analyse.classify.learn.layers import Layer, Step, apply

Floats = npt.NDArray[np.float32]
OUTPUTS = UNFAMILIAR + 1
NEVER = -30.0  # the score of a class that calibration never saw
TINY = 1e-3  # added to votes: the logarithm of none must be finite
EQUAL = 1e-6  # added to distances: those that are the same must weigh something, and the last of others nearly nothing
BATCH = 4096


@dataclass(slots=True)
class Machine:
    """Decisions of a support vector machine between each two classes: exp(-gamma |x - s|²) @ dual + intercept."""

    support: Floats
    dual: Floats
    intercept: Floats
    gamma: float

    @classmethod
    def of(cls, machine: Any, gamma: float) -> Machine:
        """The same as a fitted `SVC`."""
        starts = np.concatenate([[0], np.cumsum(machine.n_support_)])
        classes = len(starts) - 1
        pairs = [(i, j) for i in range(classes) for j in range(i + 1, classes)]
        dual = np.zeros((starts[-1], len(pairs)))
        for column, (i, j) in enumerate(pairs):  # libsvm keeps, of a vector of class i, its weight against j in j - 1
            dual[starts[i] : starts[i + 1], column] = machine.dual_coef_[j - 1, starts[i] : starts[i + 1]]
            dual[starts[j] : starts[j + 1], column] = machine.dual_coef_[i, starts[j] : starts[j + 1]]
        return cls(
            machine.support_vectors_.astype(np.float32), dual.astype(np.float32),
            machine.intercept_.astype(np.float32), gamma,
        )  # fmt: skip

    @property
    def width(self) -> int:
        """How many scores."""
        return len(self.intercept)

    def __call__(self, vectors: Floats) -> npt.NDArray[np.float64]:
        """(n, d) to (n, pairs)."""
        return np.asarray(np.exp(-self.gamma * squares(vectors, self.support)) @ self.dual + self.intercept)


@dataclass(slots=True)
class Neighbours:
    """Logarithms of the votes of the nearest prototypes, which weigh less the farther they are.

    The weight of the i-th of k is d_k - d_i (Dudani 1976), so that nothing jumps where two change places.
    """

    prototypes: Floats
    votes: Floats
    nearest: int

    @property
    def width(self) -> int:
        """How many scores."""
        return int(self.votes.shape[1])

    def __call__(self, vectors: Floats) -> npt.NDArray[np.float64]:
        """(n, d) to (n, classes)."""
        distance = squares(vectors, self.prototypes)
        which = np.argpartition(distance, self.nearest - 1, axis=1)[:, : self.nearest]
        near = np.sqrt(np.take_along_axis(distance, which, axis=1))
        weight = near.max(axis=1, keepdims=True) - near + EQUAL
        weight /= weight.sum(axis=1, keepdims=True)
        return np.asarray(np.log((weight[..., None] * self.votes[which]).sum(axis=1) + np.float32(TINY)))


@dataclass(slots=True)
class Model:
    """Layers on a slice, a head on each voxel's vector, and the logistic regression of its scores."""

    layers: Sequence[Step]
    head: Machine | Neighbours | None = None
    weights: npt.NDArray[np.float64] = field(init=False)
    bias: npt.NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        """Not calibrated yet."""
        self.weights, self.bias = np.zeros((self.width, OUTPUTS)), np.full(OUTPUTS, NEVER)

    @property
    def width(self) -> int:
        """How many scores."""
        return self.head.width if self.head else self.reduced

    @property
    def reduced(self) -> int:
        """How many numbers the layers make of a voxel."""
        last = self.layers[-1]
        assert isinstance(last, Layer)
        return len(last.bias)

    def vectors(self, inputs: Floats) -> Floats:
        """(y, x, features) to (y, x, d): each voxel with its neighbours."""
        return apply(self.layers, inputs)

    def scores(self, vectors: Floats) -> npt.NDArray[np.floating]:
        """(n, d) to (n, width)."""
        if self.head is None:
            return vectors
        parts = [self.head(vectors[at : at + BATCH]) for at in range(0, max(len(vectors), 1), BATCH)]
        return np.concatenate(parts)

    def calibrated(self, vectors: Floats) -> npt.NDArray[np.float64]:
        """(n, d) to probabilities (n, classes + 1)."""
        return self.probabilities(self.scores(vectors))

    def probabilities(self, scores: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """(n, width) to probabilities (n, classes + 1)."""
        return np.asarray(softmax(scores @ self.weights + self.bias, axis=1))

    def probability(self, inputs: Floats) -> npt.NDArray[np.float64]:
        """(y, x, features) to (y, x, classes + 1)."""
        vectors = self.vectors(inputs)
        return self.calibrated(vectors.reshape(-1, vectors.shape[2])).reshape(*inputs.shape[:2], -1)


def squares(vectors: Floats, others: Floats) -> npt.NDArray[np.float64]:
    """Squared distances, (n, m); in double, since large lengths cancel."""
    one, two = vectors.astype(np.float64), others.astype(np.float64)
    lengths = (one**2).sum(axis=1)[:, None] + (two**2).sum(axis=1)
    return np.asarray(np.maximum(lengths - 2 * one @ two.T, 0))
