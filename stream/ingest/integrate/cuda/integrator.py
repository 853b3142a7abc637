"""The integration seam on a CUDA device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from stream.core.axis import RadialAxis
from stream.core.errors import ConfigError, MessageError
from stream.core.messages import EncodedArray, Pattern
from stream.core.wire import decompress
from stream.ingest.integrate.blobs import DTYPES, Places, find_blocks
from stream.ingest.integrate.cpu import CpuIntegrator
from stream.ingest.integrate.cuda.card import Card
from stream.ingest.integrate.cuda.gather import Gather
from stream.ingest.integrate.cuda.launch import Batch
from stream.ingest.integrate.cuda.split import SplitOnCard
from stream.ingest.integrate.cuda.whole import WholeOnCard
from stream.ingest.integrate.geometry import Mask
from stream.ingest.integrate.outcome import outcomes
from stream.ingest.integrate.split import SplitPixels
from stream.ingest.integrate.whole import WholePixels

BATCH = 16
"""Frames that go to the card together at most."""


class OnCard(Protocol):
    """How the pixels go into the bins there; the streams of the card may use it side by side."""

    def reduce(self, batch: Batch, limit: int) -> tuple[list[Pattern], npt.NDArray[np.bool_]]:
        """Frames as they were sent: their patterns, and whether each is damaged."""
        ...

    def integrate(self, images: npt.NDArray[Any], limit: int) -> list[Pattern]:
        """Frames that are not compressed, (frames, pixels)."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class CudaIntegrator:
    """Integrates on a card as `cpu` does, whole pixels to the same bits; for many threads at once."""

    cpu: CpuIntegrator
    card: Card
    layout: OnCard
    _gather: Gather[tuple[EncodedArray, Places], Pattern | None] = field(init=False)

    def __post_init__(self) -> None:
        """Make batches of what the threads ask for."""
        object.__setattr__(self, "_gather", Gather(self._batch, self.card.streams, BATCH))

    @classmethod
    def create(cls, cpu: CpuIntegrator, card: Card) -> Self:
        """Send the layout to the card.

        Raises
        ------
        ConfigError
            for a layout that the kernels do not know.
        """
        layout = cpu.layout
        if isinstance(layout, WholePixels):
            return cls(cpu, card, WholeOnCard(card, layout))
        if isinstance(layout, SplitPixels):
            return cls(cpu, card, SplitOnCard(card, layout))
        raise ConfigError("integration.backend is 'cuda': it knows no integration.filter")

    @property
    def axis(self) -> RadialAxis:
        """See `CpuIntegrator`."""
        return self.cpu.axis

    def for_series(self, mask: Mask | None, saturation: int | None) -> Self:
        """See `Integrate`."""
        cpu = self.cpu.for_series(mask, saturation)
        return replace(self, cpu=cpu) if mask is None else self.create(cpu, self.card)

    def __call__(self, image: npt.NDArray[Any]) -> Pattern:
        """Integrate one (rows, columns) image that is not compressed.

        Raises
        ------
        MessageError
            for another shape or dtype.
        """
        pixels = self.cpu.flat(image).reshape(1, -1)
        with self.card.stream():
            (pattern,) = self.layout.integrate(pixels, self.cpu.largest_valid(pixels.dtype))
        return pattern

    def encoded(self, array: EncodedArray) -> Pattern:
        """Integrate one image as it was sent.

        What the kernels refuse, another compression or a damaged blob, the host decodes: it names the reason.

        Raises
        ------
        MessageError
            as `decompress`, and for another shape or dtype.
        """
        places = find_blocks(array) if tuple(array.shape) == self.cpu.shape else None
        pattern = None if places is None else self._gather((array, places))
        return self(decompress(array)) if pattern is None else pattern

    def many(self, arrays: Sequence[EncodedArray]) -> list[Pattern | MessageError]:
        """See `Integrate`."""
        return outcomes(self.encoded, arrays)

    def warm_up(self) -> None:
        """Run every kernel once, so that no frame waits for it."""
        for dtype in DTYPES:
            self(np.zeros(self.cpu.shape, dtype=dtype))

    def _batch(self, items: Sequence[tuple[EncodedArray, Places]]) -> list[Pattern | None]:
        """Patterns of frames, None where a blob is damaged; those of one dtype go together."""
        patterns: list[Pattern | None] = [None] * len(items)
        for dtype in {array.dtype for array, _ in items}:
            numbers = [n for n, (array, _) in enumerate(items) if array.dtype == dtype]
            arrays, places = zip(*(items[n] for n in numbers), strict=True)
            with self.card.stream():
                batch = Batch.of(self.card, arrays, places)
                found, damaged = self.layout.reduce(batch, self.cpu.largest_valid(dtype))
            for n, pattern, bad in zip(numbers, found, damaged, strict=True):
                patterns[n] = None if bad else pattern
        return patterns
