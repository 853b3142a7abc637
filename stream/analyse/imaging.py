"""How patterns of rays become patterns of voxels: what the pipeline asks of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from stream.analyse.slices import Voxels
from stream.analyse.tomography.additive import Additive
from stream.scale.spread import HERE, Spread

Floats = npt.NDArray[np.float32]


class Imaging(Protocol):
    """The slices of a scan, from its patterns; tomography, or none for a raster."""

    volume: Floats
    """(slice, y, x, bin) patterns of the voxels, NaN where not known."""

    @property
    def told(self) -> dict[str, Any]:
        """What the metadata say of it."""

    def update(self, seconds: float) -> list[int]:
        """Take up new rays for about so long; the slices that changed, those with most to do first."""

    def refine(self, seconds: float) -> None:
        """What maps need not wait for, after an update, for about so long."""

    def voxels(self, s: int) -> Voxels:
        """The voxels of a slice as they stand."""

    def settle(self) -> None:
        """Forget what the order of arrival has left behind; `finals` follow."""

    def finals(self, spread: Spread = HERE) -> Iterator[tuple[Voxels, npt.NDArray[np.float64]]]:
        """Slice after slice from the complete, sorted set, written to `volume`: voxels, and the residual's trace."""

    def image(self, sinogram: Additive, usable: npt.NDArray[np.bool_], iterations: int) -> Floats:
        """(slice, y, x) another quantity, from the numbers of the usable rays (slice, angle, position).

        Several at once have a channel axis behind, in the sinogram as in the image; slices may be some of the scan's.
        """

    def seen(self, images: Floats) -> Floats:
        """What fits of the final voxels see of images (slice, y, x, channel) along the measured rays."""

    def coverage(self) -> Floats:
        """(slice, y, x) measured share of what is planned, 0..1; NaN outside the field of view."""

    def covered(self, usable: npt.NDArray[np.bool_]) -> Floats:
        """As `coverage`, of these rays (slice, angle, position)."""

    def residual(self) -> float | None:
        """The latest residual, relative; None where there is none."""
