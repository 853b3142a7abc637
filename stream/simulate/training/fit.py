"""A small neural network on the voxels of a dataset, fitted, stopped and calibrated by phantom."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from stream.simulate.training.dataset import UNFAMILIAR, Dataset

HIDDEN = (64, 32)
PENALTY = 1.0  # L2; chosen among 1e-4 .. 30 by the loss on phantoms left out: less of it learns the phantoms by heart
BATCH, EPOCHS = 512, 10
REJECTED = 0.005  # share of familiar voxels (of the phantoms that calibrate) which the threshold may turn to unknown
THRESHOLD_LIMIT = 0.5  # a class that is more probable than all others together is always told


@dataclass(frozen=True, slots=True)
class Split:
    """Numbers of the phantoms to learn from, to stop and calibrate by, and to test with."""

    train: range
    calibrate: range
    test: range

    @classmethod
    def of(cls, phantoms: int) -> Split:
        """Two thirds, a sixth, a sixth."""
        first, second = phantoms * 4 // 6, phantoms * 5 // 6
        return cls(range(first), range(first, second), range(second, phantoms))


@dataclass(frozen=True, slots=True)
class Fitted:
    """A calibrated pipeline of scaler and network, the probability below which it is unsure, and the temperature."""

    pipeline: Pipeline
    threshold: float
    temperature: float
    epochs: int


def fit(data: Dataset, split: Split, seed: int) -> Fitted:
    """Fit on the split's first part; epochs, temperature and threshold come from its second."""
    train = data[np.isin(data.phantom, split.train)]
    calibrate = data[np.isin(data.phantom, split.calibrate)]
    scaler = StandardScaler().fit(train.inputs)
    network, epochs = fit_network(scaler, train, calibrate, seed)
    pipeline = make_pipeline(scaler, network)
    temperature = calibrate_temperature(pipeline, calibrate)
    network.coefs_[-1] = network.coefs_[-1] / temperature
    network.intercepts_[-1] = network.intercepts_[-1] / temperature
    return Fitted(pipeline, choose_threshold(pipeline, calibrate), temperature, epochs)


def fit_network(scaler: Any, train: Dataset, calibrate: Dataset, seed: int) -> tuple[MLPClassifier, int]:
    """The network after the epoch with the smallest loss on phantoms not learnt from, and that epoch."""
    network = MLPClassifier(HIDDEN, alpha=PENALTY, batch_size=min(BATCH, len(train.labels)), random_state=seed)
    inputs, unseen = scaler.transform(train.inputs), scaler.transform(calibrate.inputs)
    best, losses = network, []
    for _ in range(EPOCHS):
        network.partial_fit(inputs, train.labels, classes=np.arange(UNFAMILIAR + 1))
        losses.append(log_loss(network.predict_proba(unseen), calibrate.labels))
        if losses[-1] == min(losses):
            best = copy.deepcopy(network)
    return best, int(np.argmin(losses)) + 1


def log_loss(probability: npt.NDArray[np.float64], labels: npt.NDArray[np.int8]) -> float:
    """Mean negative logarithm of the probability given to the truth."""
    return float(-np.log(np.clip(probability[np.arange(len(labels)), labels], 1e-12, 1)).mean())


def calibrate_temperature(pipeline: Pipeline, data: Dataset) -> float:
    """T that, dividing the logits, gives the least loss (Guo et al. 2017, ICML)."""
    logits = np.log(np.clip(pipeline.predict_proba(data.inputs), 1e-12, 1))

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        scaled -= np.logaddexp.reduce(scaled, axis=1, keepdims=True)
        return float(-scaled[np.arange(len(scaled)), data.labels].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-1.0, 1.5), method="bounded").x))


def choose_threshold(pipeline: Pipeline, data: Dataset) -> float:
    """The probability of the best class that REJECTED of the familiar voxels do not reach."""
    familiar = pipeline.predict_proba(data.inputs[data.labels < UNFAMILIAR])[:, :UNFAMILIAR]
    return round(min(float(np.quantile(familiar.max(axis=1), REJECTED)), THRESHOLD_LIMIT), 3)
