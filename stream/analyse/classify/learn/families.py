"""The four families: what each learns from examples, over the same inputs.

They see a voxel with its neighbours: the reconstruction blurs a voxel over them, so that what they hold tells what it
holds. The convolutional network learns itself how to look at them, two are given a linear projection. The perceptron
sees all of the voxel's own pattern, and of its neighbours how much carbon, glass and lines they hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC

from stream.analyse.classify.learn.example import Example
from stream.analyse.classify.learn.foreign import UNFAMILIAR
from stream.analyse.classify.learn.layers import Beside, Layer, Step, apply, joined, patches, side_by_side, standard
from stream.analyse.classify.learn.model import Machine, Model, Neighbours
from stream.analyse.classify.learn.network import new_layers, train
from stream.analyse.classify.preprocess import EXTRA, SHARES

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int8]
OUTPUTS = UNFAMILIAR + 1
HELD = EXTRA - 3  # features that tell amounts: before the two ends and the last
COMPONENTS = 12  # principal ones, of a voxel's own features
SIDE = 5  # voxels a side of the neighbourhood
EPOCHS = 12  # of the convolutional network
HIDDEN = (128, 64)  # units of a perceptron
DECAY = 0.3  # L2 of its weights: less of it, and more passes, learn the phantoms by heart
PASSES, BATCH = 4, 512
LEARNT = 1_500_000  # voxels that it learns from, at most
SEEN = 100_000  # voxels that projections are made from
SUPPORT = 12_000  # voxels that the support vector machine learns from: its time grows with their square
PENALTY = 3.0  # C
PROTOTYPES, NEAREST = 6_000, 7
FOREIGN = 0.5  # of the prototypes: what is foreign differs more than what is known


def fit_cnn(examples: Sequence[Example], seed: int) -> Model:
    """Amounts and principal components, then two layers of 3 × 3 neighbours."""
    first = reduction(sample_inputs(examples, seed, SEEN // 2)[0], seed)
    layers = new_layers(np.random.default_rng(seed), len(first.bias), [(3, 48), (3, 32), (1, OUTPUTS)])
    train(layers, [first], examples, seed, EPOCHS)
    return Model([first, *layers])


def fit_mlp(examples: Sequence[Example], seed: int) -> Model:
    """Two perceptrons side by side; calibration weighs what they say.

    One sees the voxel alone, and knows what is foreign: who looks about takes a foreign voxel for what is around it.
    The other sees its neighbours' amounts, too, and tells one class from another.
    """
    first, beside = standard(sample_inputs(examples, seed, SEEN)[0]), Beside(SHARES, SIDE)
    inputs, labels = sample(examples, LEARNT, seed, lambda e: beside(first(e.inputs)))
    features, familiar = first.kernel.shape[3], labels < UNFAMILIAR
    alone = perceptron(inputs[:, :features], labels, seed)
    among = perceptron(inputs[familiar], labels[familiar], seed)
    around = ((0, 0), (0, 0), (0, inputs.shape[1] - features), (0, 0))
    alone[0].kernel = np.pad(alone[0].kernel, around)
    hidden = Layer(
        np.concatenate([alone[0].kernel, among[0].kernel], axis=3), np.hstack([alone[0].bias, among[0].bias]), relu=True
    )
    deeper = [side_by_side(one, other) for one, other in zip(alone[1:], among[1:], strict=True)]
    return Model([first, beside, hidden, *deeper])


def perceptron(inputs: Floats, labels: Labels, seed: int) -> list[Layer]:
    """One that tells the labels (n,) apart by standardised inputs (n, d); strong weight decay, few passes."""
    network = MLPClassifier(HIDDEN, alpha=DECAY, batch_size=BATCH, random_state=seed)
    for _ in range(PASSES):
        network.partial_fit(inputs, labels, classes=np.unique(labels))
    return [
        Layer(kernel[None, None].astype(np.float32), bias.astype(np.float32), relu=number < len(HIDDEN))
        for number, (kernel, bias) in enumerate(zip(network.coefs_, network.intercepts_, strict=True))
    ]


def fit_svm(examples: Sequence[Example], seed: int) -> Model:
    """Support vectors with a Gaussian kernel, over discriminants of the neighbourhood and the voxel's own numbers."""
    layers = projection(examples, seed, own=True)
    return Model(layers, support_vectors(*sample_vectors(examples, layers, seed, SEEN * 2), seed, SUPPORT))


def support_vectors(vectors: Floats, labels: Labels, seed: int, support: int) -> Machine:
    """A machine fitted to `support` of the voxels, as many of each class."""
    chosen = drawn(labels, seed, [support // OUTPUTS] * OUTPUTS)
    some = vectors[chosen]
    gamma = 1.0 / float(some.shape[1] * some.var())
    machine = SVC(C=PENALTY, gamma=gamma, decision_function_shape="ovo", cache_size=500)
    return Machine.of(machine.fit(some, labels[chosen]), gamma)


def fit_knn(examples: Sequence[Example], seed: int) -> Model:
    """Neighbours among prototypes, over discriminants of the neighbourhood and the voxel's own numbers.

    Discriminants alone leave out the directions in which foreign patterns lie.

    A prototype stands for the voxels nearest to it and votes as they are labelled, so that few do for many.
    """
    layers = projection(examples, seed, own=True)
    vectors, labels = sample_vectors(examples, layers, seed, SEEN * 3)
    known = round(PROTOTYPES * (1 - FOREIGN) / UNFAMILIAR)
    chosen = drawn(labels, seed, [*[known] * UNFAMILIAR, round(PROTOTYPES * FOREIGN)])
    prototypes = vectors[chosen]
    nearest = NearestNeighbors(n_neighbors=1).fit(prototypes).kneighbors(vectors, return_distance=False)[:, 0]
    votes = np.eye(OUTPUTS)[labels[chosen]]
    np.add.at(votes, (nearest, labels), 1.0)
    votes /= votes.sum(axis=1, keepdims=True)
    return Model(layers, Neighbours(prototypes, votes.astype(np.float32), min(NEAREST, len(prototypes))))


FAMILIES: dict[str, Callable[[Sequence[Example], int], Model]] = {
    "cnn": fit_cnn,
    "mlp": fit_mlp,
    "svm": fit_svm,
    "knn": fit_knn,
}


def reduction(inputs: Floats, seed: int) -> Layer:
    """Features to amounts and principal components, all of deviation 1."""
    first = standard(inputs)
    values = inputs @ first.kernel[0, 0]
    spectral = values.shape[1] - EXTRA
    components = PCA(COMPONENTS, random_state=seed).fit(values[:, :spectral])
    kernel = np.zeros((values.shape[1], COMPONENTS + HELD))
    kernel[:spectral, :COMPONENTS] = components.components_.T / np.sqrt(components.explained_variance_)
    kernel[spectral : spectral + HELD, COMPONENTS:] = np.eye(HELD)
    return joined(first, Layer(kernel[None, None].astype(np.float32), np.zeros(kernel.shape[1], np.float32)))


def projection(examples: Sequence[Example], seed: int, *, own: bool) -> list[Layer]:
    """Reduction, then linear discriminants of the neighbourhood, and where `own` the voxel's numbers beside them."""
    first = reduction(sample_inputs(examples, seed, SEEN // 2)[0], seed)
    around, labels = sample(examples, SEEN // 2, seed, lambda e: patches(first(e.inputs), SIDE))
    found = LinearDiscriminantAnalysis().fit(around, labels)
    scalings = found.scalings_[:, : OUTPUTS - 1]
    channels = first.kernel.shape[3]
    width = scalings.shape[1]
    kernel = np.zeros((SIDE * SIDE, channels, width + (channels if own else 0)))
    kernel[..., :width] = scalings.reshape(SIDE * SIDE, channels, width)
    bias = np.zeros(kernel.shape[2])
    bias[:width] = -found.xbar_ @ scalings
    if own:
        kernel[SIDE * SIDE // 2, :, width:] = np.eye(channels)
    shaped = kernel.reshape(SIDE, SIDE, channels, -1).astype(np.float32)
    return [first, Layer(shaped, bias.astype(np.float32))]


def sample_inputs(examples: Sequence[Example], seed: int, most: int) -> tuple[Floats, Labels]:
    """Features (n, features) of some voxels, and their labels."""
    return sample(examples, most, seed, lambda e: e.inputs)


def sample_vectors(examples: Sequence[Example], layers: Sequence[Step], seed: int, most: int) -> tuple[Floats, Labels]:
    """What the layers make of some voxels, (n, out), and their labels."""
    return sample(examples, most, seed, lambda e: apply(layers, e.inputs))


def drawn(labels: Labels, seed: int, each: Sequence[int]) -> npt.NDArray[np.intp]:
    """Places of so many voxels of each label, or of all that there are; calibration learns how often each occurs."""
    rng = np.random.default_rng([seed, 7])
    chosen = [rng.permutation(np.flatnonzero(labels == label))[:most] for label, most in enumerate(each)]
    return np.sort(np.concatenate(chosen))


def sample(
    examples: Sequence[Example], most: int, seed: int, view: Callable[[Example], Floats]
) -> tuple[Floats, Labels]:
    """Rows of `view`, (n, columns), for about as many labelled voxels, drawn evenly, and their labels."""
    rng = np.random.default_rng([seed, 5])
    share = min(1.0, most / sum(int((e.labels >= 0).sum()) for e in examples))
    rows, labels = [], []
    for example in examples:
        chosen = (example.labels.ravel() >= 0) & (rng.random(example.labels.size) < share)
        rows.append(view(example).reshape(chosen.size, -1)[chosen])
        labels.append(example.labels.ravel()[chosen])
    return np.concatenate(rows), np.concatenate(labels)


def calibrate(model: Model, examples: Sequence[Example], seed: int) -> None:
    """Turn scores into probabilities: multinomial logistic regression on examples not learnt from (Platt 1999)."""
    vectors, labels = sample_vectors(examples, model.layers, seed, SEEN // 2)
    calibrate_scores(model, model.scores(vectors), labels)


def calibrate_scores(model: Model, scores: npt.NDArray[np.floating], labels: Labels) -> None:
    """The same from the scores (n, width) of voxels not learnt from."""
    regression: Any = LogisticRegression(max_iter=5000).fit(scores, labels)
    for column, label in enumerate(regression.classes_):
        model.weights[:, label] = regression.coef_[column]
        model.bias[label] = regression.intercept_[column]
