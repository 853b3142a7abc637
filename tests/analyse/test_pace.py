"""When live updates begin, by a clock that the test sets."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from stream.analyse import pace
from stream.analyse.pace import Pace


def test_a_line_that_will_be_complete_soon_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=100.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(pace, "time", clock)
    updates = Pace(np.arange(100), 10, 1.0)
    updates.take(range(9))
    updates.begin()
    clock.now = 101.0  # nothing is known of the lines' pace
    assert updates.due()
    updates.take([9])
    updates.begin()
    clock.now = 102.0
    updates.take(range(10, 20))
    assert updates.due()
    updates.begin()
    clock.now = 103.02  # a line takes a second, and this one is late
    assert not updates.due()
    clock.now = 103.04
    updates.take(range(20, 30))
    assert updates.due()
    updates.begin()
    clock.now = 104.5  # later than that it may never be complete
    assert not updates.due()
    clock.now = 104.55
    assert updates.due()
    updates.begin()
    clock.now = 107.04
    updates.take(range(30, 40))
    updates.begin()
    clock.now = 108.05  # a line takes four seconds by now
    assert updates.due()
