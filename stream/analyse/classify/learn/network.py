"""A convolutional network trained in NumPy: Adam (Kingma and Ba 2015) on crops of slices, turned and mirrored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from stream.analyse.classify.learn.example import Example
from stream.analyse.classify.learn.layers import Layer, apply, patches, unpatch

Floats = npt.NDArray[np.float32]
CROP = 32  # voxels a side
GROUP = 4  # crops a step
RATE, DECAY = 2e-3, 1e-4  # of the first step, falling as a cosine; and how the weights shrink beside it
MEMORY = (0.9, 0.999)


@dataclass(slots=True)
class Adam:
    """Moments of the gradient of each array."""

    arrays: list[Floats]
    steps: int = 0
    first: list[Floats] = field(init=False)
    second: list[Floats] = field(init=False)

    def __post_init__(self) -> None:
        """Begin with nothing."""
        self.first = [np.zeros_like(array) for array in self.arrays]
        self.second = [np.zeros_like(array) for array in self.arrays]

    def step(self, gradients: Sequence[Floats], rate: float) -> None:
        """Move the arrays, in place."""
        self.steps += 1
        one, two = (1 - memory**self.steps for memory in MEMORY)
        for array, gradient, m, v in zip(self.arrays, gradients, self.first, self.second, strict=True):
            m += (1 - MEMORY[0]) * (gradient - m)
            v += (1 - MEMORY[1]) * (gradient * gradient - v)
            shrink = DECAY * array if array.ndim > 1 else 0
            array -= np.float32(rate) * (m / np.float32(one) / (np.sqrt(v / np.float32(two)) + 1e-8) + shrink)


def new_layers(rng: np.random.Generator, inputs: int, shape: Sequence[tuple[int, int]]) -> list[Layer]:
    """Layers of (side, outputs), random as He et al. (2015) have it; all but the last are rectified."""
    layers = []
    for number, (side, outputs) in enumerate(shape, 1):
        deviation = np.sqrt(2 / (side * side * inputs))
        kernel = (rng.standard_normal((side, side, inputs, outputs)) * deviation).astype(np.float32)
        layers.append(Layer(kernel, np.zeros(outputs, np.float32), relu=number < len(shape)))
        inputs = outputs
    return layers


def train(layers: list[Layer], fixed: Sequence[Layer], examples: Sequence[Example], seed: int, epochs: int) -> None:
    """Fit the layers, which follow the `fixed` ones, to the labels of the examples; in place."""
    rng = np.random.default_rng([seed, 17])
    adam = Adam([array for layer in layers for array in (layer.kernel, layer.bias)])
    total = epochs * -(-len(examples) // GROUP)
    for _ in range(epochs):
        order = rng.permutation(len(examples))
        for at in range(0, len(order), GROUP):
            rate = RATE * (0.5 + 0.5 * np.cos(np.pi * adam.steps / total))
            sums: list[Floats] = [np.zeros_like(array) for array in adam.arrays]
            voxels = 0
            for number in order[at : at + GROUP]:
                inputs, labels = crop(rng, examples[number])
                for summed, part in zip(sums, gradients(layers, apply(fixed, inputs), labels), strict=True):
                    summed += part
                voxels += int((labels >= 0).sum())
            adam.step([part / np.float32(max(voxels, 1)) for part in sums], rate)


def crop(rng: np.random.Generator, example: Example) -> tuple[Floats, npt.NDArray[np.int8]]:
    """A part of a slice, turned and mirrored at random."""
    rows, columns = example.labels.shape
    y, x = rng.integers(max(rows - CROP, 0) + 1), rng.integers(max(columns - CROP, 0) + 1)
    turns, mirrored = int(rng.integers(4)), rng.random() < 0.5

    def part(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        turned = np.rot90(array[y : y + CROP, x : x + CROP], turns)
        return np.ascontiguousarray(turned[::-1] if mirrored else turned)

    return part(example.inputs), part(example.labels)  # type: ignore[return-value]


def gradients(layers: Sequence[Layer], image: Floats, labels: npt.NDArray[np.int8]) -> list[Floats]:
    """Of the summed cross entropy of the labelled voxels, for each kernel and bias."""
    seen, images = [], [image]
    for layer in layers:
        seen.append(patches(images[-1], layer.side))
        flat = seen[-1] @ layer.kernel.reshape(-1, len(layer.bias)) + layer.bias
        images.append((np.maximum(flat, 0) if layer.relu else flat).reshape(*labels.shape, -1))
    truth = labels.ravel()
    scores = images[-1].reshape(truth.size, -1)
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    change = odds / odds.sum(axis=1, keepdims=True)
    change[np.arange(truth.size), truth] -= 1
    change[truth < 0] = 0
    found: list[Floats] = []
    for layer, patched, result in zip(reversed(layers), reversed(seen), reversed(images[1:]), strict=True):
        if layer.relu:
            change = change * (result.reshape(truth.size, -1) > 0)
        found[:0] = [(patched.T @ change).reshape(layer.kernel.shape), change.sum(axis=0)]
        if len(found) < 2 * len(layers):
            change = change @ layer.kernel.reshape(-1, len(layer.bias)).T
            if layer.side > 1:
                change = unpatch(change, labels.shape, layer.side).reshape(truth.size, -1)
    return found
