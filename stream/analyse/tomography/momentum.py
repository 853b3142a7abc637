"""SIRT with Nesterov's momentum, for some versions of one sinogram, each with ray weights of its own.

Thirty iterations do what a few hundred of plain SIRT do (Beck & Teboulle, SIAM J. Imaging Sci. 2, 183 (2009)): for
questions put to the sinogram, such as where its axis is. Results are reconstructed by plain SIRT.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numba
import numpy as np

from stream.analyse.tomography.projector import Floats, Projector

_FLAGS = {"contract", "nsz"}
_GRAZING = 1e-3  # of a step: less path than this is numerical noise


@numba.njit(nogil=True, fastmath=_FLAGS, cache=True)
def _unexplained(rays, versions, scale, a0, a1):  # type: ignore[no-untyped-def]
    """Turn A x in `rays` into R W (b - A x)."""
    for a in range(a0, a1):
        for p in range(rays.shape[1]):
            for c in range(rays.shape[2]):
                rays[a, p, c] = scale[a, p, c] * (versions[a, p, c] - rays[a, p, c])


@numba.njit(nogil=True, fastmath=_FLAGS, cache=True)
def _leap(volume, ahead, update, size, share, i0, i1):  # type: ignore[no-untyped-def]
    """Take the step from where the momentum has led, and be led on."""
    for i in range(i0, i1):
        for j in range(volume.shape[1]):
            for c in range(volume.shape[2]):
                x = max(ahead[i, j, c] + size[i, j] * update[i, j, c], np.float32(0))
                ahead[i, j, c] = x + share * (x - volume[i, j, c])
                volume[i, j, c] = x


def left_over(projector: Projector, versions: Floats, weights: Floats, after: Sequence[int]) -> Iterator[Floats]:
    """What reconstructions leave unexplained, b - A x, after each of the given numbers of iterations.

    A voxel's step is that of a voxel seen by every ray: one that few rays see moves slowly, so that a sample does
    not flow out of the scanned range where nothing contradicts it.

    Parameters
    ----------
    versions : (angle, position, version) finite, as many as a block has channels
    weights : of the same shape, 0..1
    """
    row, column = projector.row_sums, projector.column_sums(np.ones(projector.rays))
    crossing, seen = row > _GRAZING * abs(projector.step_um), column > 0
    scale = weights * (crossing / np.where(crossing, row, 1)).astype(np.float32)[..., None]
    size = (seen / np.where(seen, column, 1)).astype(np.float32)
    volume, ahead, update = (projector.volume_block(versions.shape[2]) for _ in range(3))
    rest = projector.sinogram_block(versions.shape[2])

    def descend(a0: int, a1: int) -> None:
        projector.forward_block(ahead, rest, a0, a1)
        _unexplained(rest, versions, scale, a0, a1)

    def go_on(i0: int, i1: int) -> None:
        projector.back_block(rest, update, i0, i1)
        _leap(volume, ahead, update, size, share, i0, i1)

    momentum = 1.0
    for n in range(1, max(after) + 1):
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        share = np.float32((momentum - 1) / following)
        projector.over_angles(descend)
        projector.over_rows(go_on)
        momentum = following
        if n in after:
            yield versions - projector.forward(volume)
