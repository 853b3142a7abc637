"""When a scan is good enough, by what its processor reads after each projection."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from stream.bluesky.enough import Criterion, GoodEnough

NAN = float("nan")


def stops(values: list[float], criterion: Criterion, bound: float, **changes: Any) -> int | None:
    """The projection, of two positions each, after which it is enough; None if it never is."""
    processor = SimpleNamespace(name="p")
    grid = SimpleNamespace(positions=[0.0, 1.0], size=2 * len(values))
    limits = {"times": 2, "least": 0.25, "seconds": None, **changes}
    enough = GoodEnough(SimpleNamespace(processor=processor, grid=grid), criterion, bound, **limits)  # type: ignore[arg-type]
    for n, value in enumerate(values, 1):
        reading = {"p-settled": {"value": NAN}, "p-strain_error": {"value": NAN}}
        reading["p-settled" if criterion == "classes" else "p-strain_error"] = {"value": value}
        assert list(enough(2 * n - 1)) == [], "not within a projection"
        asked = enough(2 * n)
        answer: Any = None
        while True:
            try:
                answer = reading if asked.send(answer).command == "read" else None
            except StopIteration as told:
                if told.value:
                    return n
                break
    return None


@pytest.mark.parametrize(
    ("values", "criterion", "bound", "stop"),
    [
        ([0.9, 0.96, 0.94, 0.96, 0.97, 0.98], "classes", 0.95, 5),
        ([0.96, 0.97, 0.97, 0.98], "classes", 0.95, 2),
        ([0.96, 0.96, 0.96, 0.96], "classes", 0.95, None),
        ([NAN, 3e-4, 9e-5, 9e-5, 8e-5], "strain", 1e-4, 5),
        ([1.0, 0.99, 0.98], "time", 0.0, None),
    ],
    ids=["in a row", "at once", "the same map", "strain", "time"],
)
def test_it_must_hold_for_maps_in_a_row(
    values: list[float], criterion: Criterion, bound: float, stop: int | None
) -> None:
    assert stops(values, criterion, bound) == stop


def test_its_bounds() -> None:
    values = [0.96, 0.97, 0.98, 0.99, 1.0, 0.96, 0.97, 0.98]
    assert stops(values, "classes", 0.95, least=0.5) == 4
    assert stops([0.1, 0.2], "classes", 0.95, seconds=-1.0) == 1
