"""How many voxels reconstruction alone leaves right: what a model of its voxels can be measured against.

A voxel's class is decided by what it holds. Here the rays tell that outright, as lengths of their paths without noise,
scatter, texture or a misplaced axis; what is still named wrongly is what so few rays and so coarse voxels blur.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from stream.analyse.classify.contents import classify
from stream.analyse.tomography.projector import Projector
from stream.analyse.tomography.sirt import reconstruct
from stream.simulate.training.samples import Sample
from stream.simulate.training.slices import Beam, draw_scan, true_paths

ITERATIONS = 100  # the default of a run


def ceiling(phantoms: Iterable[int], seed: int, largest: int) -> float:
    """Share of the voxels of these phantoms' complete scans that their reconstructed contents name rightly."""
    right = []
    for number in phantoms:
        _, sample, beam = draw_scan(number, seed, largest)
        labels = sample.labels
        right.append((named_by_paths(sample, beam) == labels)[labels >= 0])
    return float(np.concatenate(right).mean())


def named_by_paths(sample: Sample, beam: Beam) -> npt.NDArray[np.int8]:
    """Class of each voxel, (y, x), by its contents as SIRT has them from the true paths of the scan's rays."""
    rays = (true_paths(sample, beam) @ sample.contents).astype(np.float32)
    contents, _ = reconstruct(Projector(beam.angles, sample.positions, 0.0), rays, np.ones(rays.shape[:2]), ITERATIONS)
    crystalline, carbon, glass = np.moveaxis(contents.astype(np.float64), -1, 0)
    return classify(crystalline, carbon, glass)
