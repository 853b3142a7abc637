"""The seam between an image and the ways its pixels go into bins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy.typing as npt

from stream.core.axis import RadialAxis
from stream.core.messages import Pattern
from stream.ingest.integrate.batch import Blobs
from stream.ingest.integrate.geometry import Mask


class Layout(Protocol):
    """How the pixels of one detector go into the bins of one axis; may be used from many threads at once."""

    @property
    def axis(self) -> RadialAxis:
        """The bins."""
        ...

    def masked(self, mask: Mask) -> Layout:
        """The same bins without the pixels of `mask`, shape (pixels,)."""
        ...

    def pattern(self, pixels: npt.NDArray[Any], limit: Any) -> Pattern:
        """Integrate counts, shape (pixels,): integers or float64; those above `limit` and NaN are left out."""
        ...

    def patterns(self, blobs: Blobs, limit: int) -> Sequence[Pattern | None]:
        """Integrate frames as they were sent; None for what is damaged, or has to be decoded as a whole first."""
        ...
