"""What the agent asks for next, and what bluesky-adaptive makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky_adaptive.protocols import Optimizer, SupportsStoppingCriteria
from helpers.beamline import KEYS
from helpers.hutch import Exposures, Hutch
from ophyd_async.core import AsyncStatus, StandardReadable, StandardReadableFormat, soft_signal_r_and_setter

from stream.bluesky.agent import NextProjection
from stream.bluesky.plans import xrdct_adaptive
from stream.core.config.scan import ScanConfig
from stream.core.scan import ScanGrid

ANGLES = {"start": 0.0, "step": 10.0, "count": 18}
POSITIONS = {"start": -2.0, "step": 2.0, "count": 3}
SLICES = {"start": 0.0, "step": 5.0, "count": 2}
GRID = ScanGrid.from_config(
    ScanConfig.model_validate({"name": "x", "angles": ANGLES, "positions": POSITIONS, "slices": SLICES})
)


def told(at: float, angle: float, change: float) -> dict[str, float]:
    return {"_id": 18 * (at == 5.0) + round(angle / 10), "class_change": change}


def places(suggestions: list[dict[str, Any]]) -> list[tuple[float, float]]:
    return [(point["z"], point["rot"]) for point in suggestions]


def test_gaps_are_halved() -> None:
    agent = NextProjection(GRID, "rot", "z")
    agent.ingest([told(0.0, 0.0, np.nan), told(5.0, 0.0, np.nan)])
    points = places(agent.suggest(4))
    assert set(points[:2]) == {(0.0, 90.0), (5.0, 90.0)}
    assert {angle for _, angle in points[2:]} <= {40.0, 50.0, 130.0, 140.0}


def test_the_slice_that_still_changes_goes_first() -> None:
    agent = NextProjection(GRID, "rot", "z")
    agent.ingest([told(at, angle, change) for angle in (0.0, 90.0) for at, change in ((0.0, 0.30), (5.0, 0.01))])
    assert {at for at, _ in places(agent.suggest(4))} == {0.0}
    assert [point["z"] for _, point, _ in agent.get_best_points()] == [5.0, 5.0, 0.0, 0.0]


def test_every_projection_once_and_then_none() -> None:
    agent = NextProjection(GRID, "rot", "z")
    points = agent.suggest(100)
    assert len({point["_id"] for point in points}) == len(set(places(points))) == 36
    agent.ingest([{**point, "class_change": 0.1} for point in points])
    assert agent.should_stop()[0]
    assert agent.suggest() == []


class Looks(StandardReadable):
    """In the place of a processor: the lower slice has settled, the upper one has not."""

    def __init__(self, made: Exposures) -> None:
        self.made, self.plan, self.at, self.late = made, "", 0, False
        with self.add_children_as_readables(StandardReadableFormat.HINTED_SIGNAL):
            self.class_change, self._set = soft_signal_r_and_setter(float, float("nan"))
            self.used, self._set_used = soft_signal_r_and_setter(float, float("nan"))
        super().__init__(name="processor")

    @AsyncStatus.wrap
    async def set(self, plan: str) -> None:
        self.plan = plan

    @AsyncStatus.wrap
    async def trigger(self) -> None:
        """Every other time the maps lag behind what was measured, and have not changed."""
        late = not self.late
        self.late = late
        self._set_used(float(len(self.made.seen) - 3 * late))
        self._set(0.0 if late else (0.01, 0.5)[self.at])


@pytest.fixture
def hutch(tmp_path: Path) -> Any:
    made = Hutch(tmp_path / "documents")
    yield made
    made.close()


def test_bluesky_adaptive_measures_what_is_suggested(hutch: Hutch) -> None:
    """One run by its own plan: most projections go to the slice that still changes, none is measured twice."""
    agent = NextProjection(GRID, "rot", "z")
    assert isinstance(agent, Optimizer)
    assert isinstance(agent, SupportsStoppingCriteria)
    motors, (detector, made) = (
        hutch.motors,
        hutch.detector({"angles": ANGLES, "positions": POSITIONS, "slices": SLICES}),
    )
    processor = Looks(made)
    starts: list[dict[str, Any]] = []
    hutch.engine.subscribe(lambda _, document: starts.append(document), "start")
    try:
        hutch.engine(xrdct_adaptive(
            [detector], processor, motors["angle"], motors["position"], ANGLES, POSITIONS, 10,
            height=motors["slice"], slices=SLICES, **KEYS,
        ))  # fmt: skip
    finally:
        detector.close()
    (start,) = starts
    assert start["xrdct"]["plan"] == processor.plan
    slices, angles, _ = np.unravel_index(made.grid.visit[made.seen], made.grid.shape)
    lines = list(zip(slices[::3].tolist(), angles[::3].tolist(), strict=True))
    assert len(made.seen) == 30
    assert len(set(lines)) == 10
    assert sum(at == 1 for at, _ in lines) >= 8
    assert [(at, angle) for at, angle in zip(slices, angles, strict=True)] == [line for line in lines for _ in range(3)]
