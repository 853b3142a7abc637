"""When a scan is good enough, by what its processor reads after each projection."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from stream.bluesky import enough
from stream.bluesky.enough import Criterion, GoodEnough

NAN = float("nan")


def stops(values: list[float], criterion: Criterion, bound: float, **changes: Any) -> int | None:
    """The projection, of two positions each, after which it is enough; None if it never is."""
    processor = SimpleNamespace(name="p")
    grid = SimpleNamespace(positions=[0.0, 1.0], size=2 * len(values))
    limits = {"times": 2, "least": 0.25, "seconds": None, **changes}
    asked = GoodEnough(SimpleNamespace(processor=processor, grid=grid), criterion, bound, **limits)  # type: ignore[arg-type]
    for n, value in enumerate(values, 1):
        reading = {"p-settled": {"value": NAN}, "p-strain_error": {"value": NAN}}
        reading["p-settled" if criterion == "classes" else "p-strain_error"] = {"value": value}
        assert list(asked(2 * n - 1)) == [], "not within a projection"
        if answer(asked(2 * n), reading):
            return n
    return None


def answer(plan: Any, reading: dict[str, Any]) -> bool:
    """What a plan returns whose processor reads so."""
    given: Any = None
    while True:
        try:
            given = reading if plan.send(given).command == "read" else None
        except StopIteration as told:
            return bool(told.value)


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


def test_its_time_begins_with_the_first_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not while the maps of the run before are waited for."""
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(enough, "time", clock)
    scan = SimpleNamespace(processor=SimpleNamespace(name="p"), grid=SimpleNamespace(positions=[0.0], size=10))
    asked = GoodEnough(scan, "classes", 0.95, 3, 0.0, 60.0)  # type: ignore[arg-type]

    reading = {"p-settled": {"value": NAN}}
    clock.now = 100.0
    assert not answer(asked(1), reading)
    clock.now = 161.0
    assert answer(asked(2), reading)
