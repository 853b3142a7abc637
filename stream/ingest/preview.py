"""The latest detector frame, reduced, for eyes: written about once a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from stream.core.files import replace_file

EVERY = 1.0
MAX_SIDE = 512


@dataclass(slots=True)
class Preview:
    """Keeps `path` current; cheap to call for every frame."""

    path: Path
    mask: npt.NDArray[np.bool_]
    _due: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def offer(self, frame: int, image: Callable[[], npt.NDArray[Any]]) -> None:
        """Write the image when the last one is older than a second; reduced by the maximum of each block."""
        with self._lock:
            now = time.monotonic()
            if now < self._due:
                return
            self._due = now + EVERY
        arrays = reduce_frame(image(), self.mask)
        replace_file(self.path, lambda file: np.savez(file, frame=frame, **arrays))


def reduce_frame(image: npt.NDArray[Any], mask: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """The frame with at most 512 pixels a side: float32, NaN where nothing is valid; and its figures."""
    factor = -(-max(image.shape) // MAX_SIDE)
    rows, columns = (-(-side // factor) for side in image.shape)
    reduced = np.full((rows, columns), np.nan, dtype=np.float32)
    native = image.astype(image.dtype.newbyteorder("="), copy=False)
    masked, saturated = reduce_blocks(native, mask, factor, int(np.iinfo(image.dtype).max), reduced)
    known = np.isfinite(reduced)
    maximum = float(reduced[known].max()) if known.any() else np.nan
    return {"image": reduced, "factor": factor, "maximum": maximum, "saturated": saturated, "masked": masked}


@numba.njit(nogil=True, cache=True)
def reduce_blocks(image, mask, factor, largest, reduced):  # type: ignore[no-untyped-def]
    """Put the maximum of each block of factor × factor pixels into `reduced`; returns the masked and the saturated.

    All ones is no count: a gap, or a pixel that the detector masks; all ones minus 1 is a saturated pixel.
    """
    masked = saturated = 0
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            count = image[row, column]
            if mask[row, column] or count == largest:
                masked += 1
            elif count == largest - 1:
                saturated += 1
            elif not reduced[row // factor, column // factor] >= count:
                reduced[row // factor, column // factor] = count
    return masked, saturated


def warm_up() -> None:
    """Compile for every dtype, so that no frame waits for it."""
    for dtype in (np.uint8, np.uint16, np.uint32):
        reduce_frame(np.zeros((2, 2), dtype), np.zeros((2, 2), bool))
