"""Samples that a drawn one becomes, whose voxels hold one thing each.

What a model reaches where no voxel is half this and half that is tested with them. Models learn from them, too, and
from such whose voxels have changed places: in drawn samples things have the shapes of things, and who looks at a
voxel's neighbours would take all matter to have them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from stream.simulate.sample import voxel_shares
from stream.simulate.training.samples import Sample

FARTHEST = 3  # voxels that a content moves, in y and in x
LEAST = 0.3  # of the contents move


def filled(sample: Sample, rng: np.random.Generator) -> Sample:
    """The sample with each voxel full of what most of it holds; nothing is drawn."""
    return full_of(sample, most(sample))


def scattered(sample: Sample, rng: np.random.Generator) -> Sample:
    """The sample filled, and then many voxels full of what another near them held."""
    held = most(sample)
    far = int(rng.integers(1, FARTHEST + 1))
    moved = rng.random(held.shape) < rng.uniform(LEAST, 1.0)
    from_y, from_x = (
        np.clip(at + np.where(moved, rng.integers(-far, far + 1, held.shape), 0), 0, len(held) - 1)
        for at in np.indices(held.shape)
    )
    return full_of(sample, held[from_y, from_x])


def most(sample: Sample) -> npt.NDArray[np.uint8]:
    """The material that most of each voxel holds, (y, x)."""
    return np.asarray(voxel_shares(sample.phantom)[0].argmax(axis=-1).astype(np.uint8))


def full_of(sample: Sample, materials: npt.NDArray[np.uint8]) -> Sample:
    """The sample with voxels of these materials, (y, x)."""
    phantom = sample.phantom
    fine = materials.repeat(phantom.oversampling, axis=0).repeat(phantom.oversampling, axis=1)
    return replace(sample, phantom=replace(phantom, labels=fine[None]))
