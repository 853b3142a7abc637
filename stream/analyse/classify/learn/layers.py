"""Convolutions on slices: what networks are made of, and projections of a voxel and its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from scipy.linalg import block_diag

Floats = npt.NDArray[np.float32]


@dataclass(slots=True)
class Layer:
    """kernel (k, k, in, out) with odd k, bias (out,); beyond the image is 0; relu: negative results become 0."""

    kernel: Floats
    bias: Floats
    relu: bool = False

    @property
    def side(self) -> int:
        """Voxels a side of the neighbourhood."""
        return len(self.kernel)

    def __call__(self, image: Floats) -> Floats:
        """(y, x, in) to (y, x, out)."""
        flat = patches(image, self.side) @ self.kernel.reshape(-1, len(self.bias)) + self.bias
        return (np.maximum(flat, 0) if self.relu else flat).reshape(*image.shape[:2], -1)


@dataclass(slots=True)
class Beside:
    """Each voxel's own numbers, and beside them some `columns` of its neighbourhood of `side` × `side` voxels."""

    columns: slice
    side: int

    def __call__(self, image: Floats) -> Floats:
        """(y, x, in) to (y, x, in + side · side · columns)."""
        around = patches(np.ascontiguousarray(image[..., self.columns]), self.side)
        return np.concatenate([image, around.reshape(*image.shape[:2], -1)], axis=2)


Step = Layer | Beside


def apply(layers: Sequence[Step], image: Floats) -> Floats:
    """One layer after another."""
    for layer in layers:
        image = layer(image)
    return image


def patches(image: Floats, side: int) -> Floats:
    """The neighbourhood of each voxel (y, x, in), as (y · x, side · side · in)."""
    if side == 1:
        return image.reshape(-1, image.shape[2])
    reach = side // 2
    padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)))
    windows = sliding_window_view(padded, (side, side), axis=(0, 1)).transpose(0, 1, 3, 4, 2)
    return np.ascontiguousarray(windows).reshape(image.shape[0] * image.shape[1], -1)


def unpatch(patched: Floats, shape: tuple[int, int], side: int) -> Floats:
    """The transpose of `patches`: (y, x, in) sums of what each voxel gave to its neighbourhoods."""
    rows, columns = shape
    reach = side // 2
    parts = patched.reshape(rows, columns, side, side, -1)
    padded = np.zeros((rows + 2 * reach, columns + 2 * reach, parts.shape[-1]), np.float32)
    for dy in range(side):
        for dx in range(side):
            padded[dy : dy + rows, dx : dx + columns] += parts[:, :, dy, dx]
    return padded[reach : reach + rows, reach : reach + columns]


def standard(inputs: Floats) -> Layer:
    """What gives inputs (n, features) mean 0 and deviation 1, and a voxel that is not known zeros.

    The last feature is 1 in known voxels and 0 in all features elsewhere: it carries the mean.
    """
    mean, deviation = inputs.mean(axis=0, dtype=np.float64), inputs.std(axis=0, dtype=np.float64)
    deviation = np.where(deviation > 1e-6, deviation, 1.0)
    mean[-1] = 0.0
    kernel = np.diag(1 / deviation)
    kernel[-1] -= mean / deviation
    return Layer(kernel[None, None].astype(np.float32), np.zeros(len(mean), np.float32))


def joined(first: Layer, second: Layer) -> Layer:
    """One layer that does what two do, where the first is linear, of one voxel, and without bias."""
    kernel = first.kernel[0, 0] @ second.kernel
    return Layer(kernel.astype(np.float32), second.bias, second.relu)


def side_by_side(one: Layer, other: Layer) -> Layer:
    """One layer of a voxel that does what two do, each to its share of the inputs."""
    kernel = block_diag(one.kernel[0, 0], other.kernel[0, 0])
    return Layer(kernel[None, None].astype(np.float32), np.concatenate([one.bias, other.bias]), one.relu)
