"""The share of `make fuzz` that every run of the tests does, and that the fuzzer finds what it looks for."""

from __future__ import annotations

import random

import pytest
from fuzz import Tally, seeds, share, take_capture, take_image, take_monitor
from helpers.mutate import mutated

MESSAGES = 20_000


def test_damaged_messages_of_every_format_are_taken_or_refused() -> None:
    tally = share(seed=622, first=0, last=MESSAGES)
    print(tally)
    assert tally.unexplained == []
    assert (tally.tried, tally.hangs) == (MESSAGES, 0)
    assert tally.valid + tally.rejected.total() == MESSAGES
    assert tally.valid > MESSAGES / 20, "hardly a message comes past the parsers: nothing behind them is tried"
    assert set(tally.rejected) == {"not-decodable", "truncated", "size", "shape", "dtype", "unknown-type"}


def test_a_message_of_a_seed_is_always_the_same() -> None:
    assert [mutated(parts, random.Random(9)) for _, parts in seeds()] == [
        mutated(parts, random.Random(9)) for _, parts in seeds()
    ]
    assert share(5, 0, 500).rejected == share(5, 0, 200).rejected + share(5, 200, 500).rejected


def test_all_decoders_have_messages_to_begin_with() -> None:
    assert {take for take, _ in seeds()} == {take_image, take_monitor, take_capture}


@pytest.mark.parametrize("error", [KeyError("x"), RecursionError(), MemoryError()])
def test_any_other_error_is_unexplained(error: Exception) -> None:
    def broken(_parts: object) -> None:
        raise error

    tally = Tally()
    tally.try_one("message 7", broken, [b"abc"])
    assert len(tally.unexplained) == 1
    assert "message 7" in tally.unexplained[0]
    assert "abc" in tally.unexplained[0]
