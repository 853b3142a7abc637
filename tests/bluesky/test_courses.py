"""How plans go through their grids: exposures are where the documents say, and all documents are event-model's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.beamline import KEYS
from helpers.hutch import Hutch
from ophyd_async.core import TriggerInfo

from stream.bluesky.plans import align_axis, calibrate, xrd_raster, xrdct_scan
from stream.core.documents import KeptDocuments
from stream.core.errors import UsageError

ANGLES = {"start": 0.0, "step": 20.0, "count": 9}
POSITIONS = {"start": -4.0, "step": 2.0, "count": 5}
SLICES = {"start": 1.0, "step": 5.0, "count": 2}


@pytest.fixture
def hutch(tmp_path: Path) -> Iterator[Hutch]:
    made = Hutch(tmp_path / "documents")
    yield made
    made.close()


@pytest.mark.parametrize("fly", [False, True])
@pytest.mark.parametrize(
    "section",
    [
        {"angles": ANGLES, "positions": POSITIONS, "snake": True},
        {"angles": ANGLES, "positions": POSITIONS, "order": ["slice", "position", "angle"]},
        {"angles": {**ANGLES, "sequence": "interlaced:3"}, "positions": POSITIONS, "slices": SLICES,
         "order": ["position", "slice", "angle"]},
        {"angles": {**ANGLES, "sequence": "golden"}, "positions": POSITIONS},
    ],
    ids=["by-position", "by-angle", "interlaced", "golden"],
)  # fmt: skip
def test_a_tomography_in_any_order(hutch: Hutch, section: dict[str, Any], fly: bool) -> None:
    motors, fast = hutch.motors, section.get("order", ["position"])[-1]

    def plan(detector: Any, flyer: Any) -> Any:
        height = motors["slice"] if "slices" in section else None
        keys = {"flyer": flyer, "seconds": 0.002} if fly else KEYS
        return xrdct_scan([detector], motors["angle"], motors["position"], height=height, **section, **keys)

    made = hutch.measure(plan, section, fast if fly else None)
    assert made.seen == list(range(made.grid.size)), "each point once, in the order of the visit"


def test_a_sweep_that_is_interrupted_is_flown_again(hutch: Hutch) -> None:
    section = {"angles": ANGLES, "positions": POSITIONS}

    def plan(detector: Any, flyer: Any) -> Any:
        return xrdct_scan(
            [detector], hutch.motors["angle"], hutch.motors["position"], **section, flyer=flyer, seconds=0.1
        )

    made = hutch.measure(plan, section, "position", complete={3, 9}, collect={5})
    assert len(made.seen) > made.grid.size


def test_exposures_that_overlap_are_sent_one_after_the_other(hutch: Hutch) -> None:
    """As when a plan pauses behind a trigger and goes back to it at once, or gives up a sweep amid an exposure."""
    detector, made = hutch.detector({"angles": ANGLES, "positions": POSITIONS})

    async def overlapping() -> int:
        await detector.stage()
        await asyncio.gather(detector.trigger(), detector.trigger())
        given_up = asyncio.ensure_future(detector.expose({"position": 4.0}))
        while len(made.seen) < 3:
            await asyncio.sleep(0)
        given_up.cancel()  # its frame is on its way
        await detector.prepare(TriggerInfo(number_of_events=1))
        await detector.trigger()
        await asyncio.wait_for(detector.complete(), 5.0)
        return await detector.get_index()

    try:
        assert hutch.engine._loop is not None
        sent = asyncio.run_coroutine_threadsafe(overlapping(), hutch.engine._loop).result(20.0)
    finally:
        detector.close()
    assert sent == len(made.seen) == 4
    assert [hutch.take().get("image_id") for _ in range(5)] == [None, 0, 1, 2, 3]


def test_a_plan_that_is_interrupted_at_a_hundred_points(hutch: Hutch) -> None:
    """Wherever it pauses it goes back to its last point, and each point has one frame that counts: the last."""
    section = {"angles": ANGLES, "positions": {**POSITIONS, "count": 6}}
    rng = np.random.default_rng(11)
    kinds = ("trigger", "save", "create", "set", "read")
    pauses = {kind: set(rng.choice(np.arange(3, 54), 20, replace=False).tolist()) for kind in kinds}

    def plan(detector: Any, _: Any) -> Any:
        return xrdct_scan([detector], hutch.motors["angle"], hutch.motors["position"], **section, **KEYS)

    made = hutch.measure(plan, section, **pauses)
    assert len(made.seen) >= made.grid.size + 60


def test_other_plans(hutch: Hutch) -> None:
    x, z, rot = hutch.motors["position"], hutch.motors["slice"], hutch.motors["angle"]
    raster = {"mode": "raster", "positions": POSITIONS, "slices": SLICES}
    plans = {
        "axis": (lambda d, _: align_axis([d], rot, x, POSITIONS, **KEYS),
                 {"angles": {"start": 0.0, "step": 30.0, "count": 7}, "positions": POSITIONS}, None),
        "raster": (lambda d, _: xrd_raster([d], x, z, POSITIONS, SLICES, **KEYS), raster, None),
        "flown": (lambda d, f: xrd_raster([d], x, z, POSITIONS, SLICES, True, f),
                  {**raster, "snake": True}, "position"),
        "calibrate": (lambda d, _: calibrate([d], x, z, POSITIONS, SLICES, "CeO2", **KEYS), raster, None),
    }  # fmt: skip
    for name, (plan, section, fast) in plans.items():
        hutch.path = hutch.path.with_name(name)
        hutch.measure(plan, section, fast)
    start = next(KeptDocuments(hutch.path.with_name("calibrate")).new()).content
    assert start["sample"]["name"] == "CeO2"


def test_a_golden_rotation_is_made_step_by_step_and_cannot_be_flown(hutch: Hutch) -> None:
    section = {
        "angles": {**ANGLES, "sequence": "golden"},
        "positions": POSITIONS,
        "slices": SLICES,
        "order": ["slice", "position", "angle"],
    }

    def plan(detector: Any, flyer: Any) -> Any:
        motors = hutch.motors
        keys = KEYS if flyer is None else {"flyer": flyer}
        return xrdct_scan([detector], motors["angle"], motors["position"], height=motors["slice"], **section, **keys)

    made = hutch.measure(plan, section)
    assert made.seen == list(range(made.grid.size))
    with pytest.raises(UsageError, match="cannot be flown"):
        hutch.measure(plan, section, "angle")
