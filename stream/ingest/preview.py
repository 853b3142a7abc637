"""The latest detector frame, reduced, for eyes: written about once a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
    largest = np.iinfo(image.dtype).max
    masked = mask | (image == largest)  # all ones is no count: a gap, or a pixel that the detector masks
    saturated = (image == largest - 1) & ~masked
    invalid = masked | saturated
    factor = -(-max(image.shape) // MAX_SIDE)
    rows, columns = (-(-side // factor) for side in image.shape)
    padded = np.full((rows * factor, columns * factor), -1.0, dtype=np.float32)
    padded[: image.shape[0], : image.shape[1]] = np.where(invalid, -1.0, image)
    reduced = padded.reshape(rows, factor, columns, factor).max(axis=(1, 3))
    maximum = float(reduced.max())
    reduced[reduced < 0] = np.nan
    return {
        "image": reduced,
        "factor": factor,
        "maximum": maximum if maximum >= 0 else np.nan,
        "saturated": int(saturated.sum()),
        "masked": int(masked.sum()),
    }
