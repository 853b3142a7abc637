"""The set of grid points does what Python's own does, in a byte for each of the grid."""

from __future__ import annotations

import random

import pytest

from stream.ingest.slots import Slots


def test_it_does_what_a_set_does() -> None:
    dice, slots, known = random.Random(2), Slots(40), set[int]()
    for _ in range(500):
        slot = dice.randrange(40)
        change = dice.choice(("add", "discard"))
        getattr(slots, change)(slot)
        getattr(known, change)(slot)
        assert len(slots) == len(known)
        assert set(slots) == slots - set() == known
        assert [slot in slots for slot in range(-1, 41)] == [slot in known for slot in range(-1, 41)]
    slots |= {3, 5}
    known |= {3, 5}
    assert set(range(40)) - slots == set(range(40)) - known
    assert dict.fromkeys(range(40)).keys() - slots == set(range(40)) - known
    with pytest.raises(IndexError):
        slots.add(40)
