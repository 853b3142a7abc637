"""Which projections of the patterns Tiled does not hold yet."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stream.core.errors import StoreError

BLOCK = 8 * 1024 * 1024  # bytes of one request, about

Stretch = tuple[int, slice]
"""A slice, and neighbouring angles of it."""


@dataclass(slots=True)
class Projections:
    """Follows DIR/patterns.f4, float32 of `shape` (slice, angle, position, bin), NaN where not measured.

    filled says that Tiled reads NaN where nothing was written; where it does not, projections that were not
    measured are sent too.
    """

    file: Path
    shape: tuple[int, int, int, int]
    filled: bool
    _frames: npt.NDArray[np.int64] = field(init=False)
    _sums: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        """Tiled holds nothing."""
        self._frames = np.full(self.shape[:2], 0 if self.filled else -1, dtype=np.int64)
        self._sums = np.full(self.shape[:2], -1, dtype=np.int64)

    @property
    def blank(self) -> bool:
        """True while Tiled reads zeros somewhere, which are no intensities."""
        return bool((self._frames < 0).any())

    def grown(self, frames: npt.NDArray[np.integer]) -> list[Stretch]:
        """Projections with another number of frames than Tiled has; frames has the shape (slice, angle)."""
        return list(self._stretches(frames != self._frames))

    def differing(self, frames: npt.NDArray[np.integer]) -> list[Stretch]:
        """Projections whose values differ from what Tiled has; reads the whole file."""
        differs = frames != self._frames
        patterns = self._patterns()
        for i, angle in np.argwhere(frames > 0):
            differs[i, angle] |= zlib.crc32(patterns[i, angle].tobytes()) != self._sums[i, angle]
        return list(self._stretches(differs))

    def read(self, stretch: Stretch, frames: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
        """The patterns as they stand, shape (1, angles, position, bin)."""
        i, angles = stretch
        block = np.array(self._patterns()[i, angles])
        block[frames[stretch] == 0] = np.nan
        return block[np.newaxis]

    def wrote(self, stretch: Stretch, block: npt.NDArray[np.float32], frames: npt.NDArray[np.integer]) -> None:
        """Note what the server acknowledged."""
        self._frames[stretch] = frames[stretch]
        self._sums[stretch] = [zlib.crc32(projection.tobytes()) for projection in block[0]]

    def _patterns(self) -> npt.NDArray[np.float32]:
        try:
            return np.memmap(self.file, dtype="<f4", mode="r", shape=self.shape)
        except (OSError, ValueError) as error:
            raise StoreError(f"{self.file} does not hold patterns of the shape {self.shape}: {error}") from error

    def _stretches(self, wanted: npt.NDArray[np.bool_]) -> Iterator[Stretch]:
        longest = max(1, BLOCK // (self.shape[2] * self.shape[3] * 4))
        for i, row in enumerate(wanted):
            edges = np.flatnonzero(np.diff(np.concatenate([[False], row, [False]])))
            for first, end in edges.reshape(-1, 2):
                for start in range(first, end, longest):
                    yield i, slice(start, min(start + longest, end))
