"""A set of grid points that takes a byte for each of the grid, however many it holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableSet
from typing import Any


class Slots(MutableSet[int]):
    """Slots below `size`; a set of 720,000 Python integers would grow to 54 MB within an hour at 200 frames/s."""

    def __init__(self, size: int) -> None:
        self._held = bytearray(size)
        self._count = 0

    @classmethod
    def _from_iterable(cls, it: Iterable[Any]) -> Any:
        """What `-` and `&` give is a plain set."""
        return set(it)

    def __contains__(self, slot: object) -> bool:
        return isinstance(slot, int) and 0 <= slot < len(self._held) and bool(self._held[slot])

    def __iter__(self) -> Iterator[int]:
        return (slot for slot, held in enumerate(self._held) if held)

    def __len__(self) -> int:
        return self._count

    def add(self, value: int) -> None:
        """Hold a slot."""
        self._count += not self._held[value]
        self._held[value] = 1

    def discard(self, value: int) -> None:
        """Hold it no more."""
        self._count -= self._held[value]
        self._held[value] = 0
