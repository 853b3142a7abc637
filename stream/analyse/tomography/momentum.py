"""SIRT with Nesterov's momentum, for sixty-four versions of one sinogram, each with ray weights of its own.

Thirty iterations do what a few hundred of plain SIRT do (Beck & Teboulle, SIAM J. Imaging Sci. 2, 183 (2009)): for
questions put to the sinogram, such as where its axis is. Results are reconstructed by plain SIRT.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from stream.analyse.tomography.projector import Floats, Projector

_GRAZING = 1e-3  # of a step: less path than this is numerical noise


def left_over(projector: Projector, versions: Floats, weights: Floats, after: Sequence[int]) -> Iterator[Floats]:
    """What reconstructions leave unexplained, b - A x, after each of the given numbers of iterations.

    A voxel's step is that of a voxel seen by every ray: one that few rays see moves slowly, so that a sample does
    not flow out of the scanned range where nothing contradicts it.

    Parameters
    ----------
    versions : (angle, position, version) finite, LANES of them
    weights : of the same shape, 0..1
    """
    row, column = projector.row_sums, projector.column_sums(np.ones(projector.rays))
    crossing, seen = row > _GRAZING * abs(projector.step_um), column > 0
    scale = weights * (crossing / np.where(crossing, row, 1)).astype(np.float32)[..., None]
    size = (seen / np.where(seen, column, 1)).astype(np.float32)[..., None]
    volume = projector.volume_block()
    ahead, update = volume.copy(), volume.copy()
    rest = np.empty_like(versions)
    momentum = 1.0
    for n in range(1, max(after) + 1):
        np.subtract(versions, projector.forward(ahead, rest), out=rest)
        rest *= scale
        projector.back(rest, update)
        update *= size
        update += ahead
        np.maximum(update, 0, out=update)
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        np.subtract(update, volume, out=ahead)
        ahead *= np.float32((momentum - 1) / following)
        ahead += update
        volume, update, momentum = update, volume, following
        if n in after:
            yield versions - projector.forward(volume)
