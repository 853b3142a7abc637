"""How a plan goes through a grid: from point to point, or in sweeps along its fastest axis."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np
import numpy.typing as npt
from bluesky.protocols import NamedMovable
from bluesky.utils import MsgGenerator
from ophyd_async.core import DetectorTrigger, TriggerInfo

from stream.core.config.scan import AxisName, ScanConfig
from stream.core.errors import UsageError
from stream.core.scan import AXES, ScanGrid

MAIN = "primary"
MAPS = "maps"
FLUSH = 0.5  # seconds between two documents of a sweep
LEAST = 3
"""Points of a sweep: two of any order have a common step."""

Enough = Callable[[int], MsgGenerator[bool]]
"""Asked after each point, with the number of points so far."""


@dataclass(frozen=True)
class Sweep:
    """What a flyer is prepared with: points that an axis passes at constant speed, a detector exposing at each.

    first is the middle of the first exposure, in the motor's units; step has the sign of the movement; speed is in
    units a second.
    """

    first: float
    step: float
    count: int
    speed: float

    @property
    def points(self) -> npt.NDArray[np.float64]:
        """Middles of the exposures."""
        return self.first + self.step * np.arange(self.count, dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class Scan:
    """What is scanned, and with what; section is the config's `scan`, told goes under ``xrdct`` besides."""

    detectors: Sequence[Any]
    motors: Mapping[AxisName, NamedMovable[Any]]
    section: Mapping[str, Any]
    processor: Any = None
    maps: bool = False
    told: Mapping[str, Any]
    md: Mapping[str, Any] | None = None

    @cached_property
    def grid(self) -> ScanGrid:
        """The grid of the section; pydantic's ValidationError where it is none."""
        return ScanGrid.from_config(ScanConfig.model_validate({"name": "plan", **self.section}))

    @cached_property
    def places(self) -> npt.NDArray[np.float64]:
        """(point, axis) µm and degrees in the order of the visit; axes as in AXES."""
        grid = self.grid
        index = np.unravel_index(grid.visit, grid.shape)
        return np.stack([axis[i] for axis, i in zip((grid.slices, grid.angles, grid.positions), index, strict=True)], 1)

    @property
    def fastest(self) -> AxisName:
        """The axis that a flyer moves."""
        named = self.section.get("order", AXES)[-1]
        return next(axis for axis in AXES if axis == named)

    def run(self, course: MsgGenerator[None]) -> MsgGenerator[str]:
        """One run: the start document, the processor's readiness, the course, the maps if they are asked for.

        The start document comes first: staging arms the detector, whose frames need a processor that knows the scan.
        """
        plan, names = uuid.uuid4().hex, {axis: motor.name for axis, motor in self.motors.items()}
        own = {"plan": plan, "scan": dict(self.section), "axes": names, **self.told}
        start = {"motors": list(names.values()), **(self.md or {}),
                 "xrdct": {key: value for key, value in own.items() if value is not None}}  # fmt: skip

        def armed() -> MsgGenerator[None]:
            if self.processor is not None:
                yield from bps.abs_set(self.processor, plan, wait=True)
            yield from bpp.stage_wrapper(course, [*self.detectors, *self.motors.values()])
            if self.maps:
                yield from point_at_maps(self.processor)

        return str((yield from bpp.run_wrapper(armed(), md=start)))


def stepped(scan: Scan, enough: Enough | None = None) -> MsgGenerator[None]:
    """Every point of the grid in its order, a checkpoint before each, until it is enough."""
    for n, place in enumerate(scan.places):
        where = dict(zip(AXES, place.tolist(), strict=True))
        yield from bps.checkpoint()
        yield from bps.mv(*(part for axis, motor in scan.motors.items() for part in (motor, where[axis])))
        yield from bps.trigger_and_read([*scan.detectors, *scan.motors.values()])
        if enough is not None and (yield from enough(n + 1)):
            return


def flown(scan: Scan, flyer: Any, seconds: float) -> MsgGenerator[None]:
    """Sweep after sweep along the fastest axis, a checkpoint before each: one that was cut short is flown again.

    A frame takes `seconds`, in which the axis moves on by the distance of neighbouring points of the grid.
    """
    fast = AXES.index(scan.fastest)
    slow = {axis: motor for axis, motor in scan.motors.items() if axis != scan.fastest}
    speed = float(np.diff(np.unique(scan.places[:, fast])).min()) / seconds
    declared = False
    for points in sweeps(scan.places, fast):
        where = dict(zip(AXES, points[0].tolist(), strict=True))
        armed = TriggerInfo(trigger=DetectorTrigger.EXTERNAL_EDGE, livetime=seconds, number_of_events=len(points))
        yield from bps.checkpoint()
        if slow:
            yield from bps.mv(*(part for axis, motor in slow.items() for part in (motor, where[axis])))
        step = float(points[1, fast] - points[0, fast])
        yield from bps.prepare(flyer, Sweep(where[scan.fastest], step, len(points), speed), wait=True)
        for detector in scan.detectors:
            yield from bps.prepare(detector, armed, wait=True)
        if not declared:
            yield from bps.declare_stream(*scan.detectors, name=MAIN, collect=True)
            declared = True
        yield from bps.kickoff_all(*scan.detectors, wait=True)
        yield from bps.kickoff(flyer, wait=True)
        yield from bps.collect_while_completing([flyer, *scan.detectors], scan.detectors, FLUSH, MAIN)


def sweeps(places: npt.NDArray[np.float64], fast: int) -> Iterator[npt.NDArray[np.float64]]:
    """The points (point, axis) in their order, cut where another axis moves, or the fastest one by another step.

    Raises
    ------
    UsageError
        where points have no neighbour to be passed with, as in golden order.
    """
    steps = np.diff(places, axis=0)
    alone = np.asarray(np.delete(steps, fast, axis=1).any(axis=1))
    begin = 0
    while begin < len(places):
        end = begin + 1
        while end < len(places) and not alone[end - 1] and np.isclose(steps[end - 1, fast], steps[begin, fast]):
            end += 1
        if end - begin < LEAST:
            raise UsageError(
                f"a sweep of {end - begin} points cannot be flown: the fastest axis jumps from one to another"
            )
        yield places[begin:end]
        begin = end


def point_at_maps(processor: Any) -> MsgGenerator[None]:
    """Wait for the final maps, and tell in a stream of their own where they are."""
    yield from bps.kickoff(processor, wait=True)
    yield from bps.complete(processor, wait=True)
    yield from bps.declare_stream(processor, name=MAPS, collect=True)
    yield from bps.collect(processor, name=MAPS)


def section_of(
    angles: Mapping[str, Any],
    positions: Mapping[str, float],
    slices: Mapping[str, float] | None,
    order: Sequence[str],
    snake: bool,
) -> dict[str, Any]:
    """The config's `scan` section."""
    section = {"angles": dict(angles), "positions": dict(positions), "order": list(order), "snake": snake}
    return section if slices is None else {**section, "slices": dict(slices)}


def motors_of(
    angle: NamedMovable[Any], position: NamedMovable[Any], height: NamedMovable[Any] | None
) -> dict[AxisName, NamedMovable[Any]]:
    """Motors by axis."""
    motors: dict[AxisName, NamedMovable[Any]] = {"angle": angle, "position": position}
    return motors if height is None else {"slice": height, **motors}
