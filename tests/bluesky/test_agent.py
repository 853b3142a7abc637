"""What the agent asks for next."""

from __future__ import annotations

import numpy as np
import pytest

from stream.bluesky.agent import NextProjection
from stream.core.config.scan import ScanConfig
from stream.core.errors import MessageError
from stream.core.scan import ScanGrid

GRID = ScanGrid.from_config(ScanConfig.model_validate({
    "name": "x", "angles": {"start": 0.0, "step": 10.0, "count": 18}, "positions": {"count": 3},
    "slices": {"start": 0.0, "step": 5.0, "count": 2}}))  # fmt: skip


def test_gaps_are_halved() -> None:
    agent = NextProjection(GRID)
    agent.tell((0.0, 0.0), np.nan)
    agent.tell((5.0, 0.0), np.nan)
    _, points = agent.ask(4)
    assert set(points[:2]) == {(0.0, 90.0), (5.0, 90.0)}
    assert {angle for _, angle in points[2:]} <= {40.0, 50.0, 130.0, 140.0}


def test_the_slice_that_still_changes_goes_first() -> None:
    agent = NextProjection(GRID)
    for angle in (0.0, 90.0):
        agent.tell((0.0, angle), 0.30)
        agent.tell((5.0, angle), 0.01)
    _, points = agent.ask(4)
    assert {at for at, _ in points} == {0.0}
    assert agent.report() == {"projections": [2, 2], "class_change": [0.30, 0.01]}


def test_every_projection_once_and_then_none() -> None:
    agent = NextProjection(GRID)
    _, points = agent.ask(100)
    assert len(points) == len(set(points)) == 36
    with pytest.raises(MessageError, match="nearest grid point"):
        agent.tell((7.6, 0.0), 0.1)
