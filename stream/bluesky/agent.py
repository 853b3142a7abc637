"""Where to measure next, from what the maps lack: an optimizer as bluesky-adaptive (1.0 and later) asks it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
import numpy as np
import numpy.typing as npt
from bluesky.utils import MsgGenerator

from stream.bluesky.course import Scan
from stream.core.scan import ScanGrid

Floats = npt.NDArray[np.float64]
CHANGE = "class_change"
POLL, PATIENCE = 0.2, 10.0  # seconds


@dataclass
class NextProjection:
    """Suggests the projections of a grid that add most: slices whose maps still change, angles far from any measured.

    A suggestion is the number of a projection, ``_id``, and where the motors named `angle` (degrees) and `height` (µm;
    None where the grid has one slice) are to be. Ingested is by how much it changed the class map of its slice,
    ``class_change``, NaN where that is not known.
    """

    grid: ScanGrid
    angle: str
    height: str | None = None
    _measured: set[tuple[int, int]] = field(default_factory=set)
    _change: dict[int, float] = field(default_factory=dict)

    def suggest(self, num_points: int | None = None) -> list[dict[str, Any]]:
        """The next projections, best first, each as if those before it were measured; fewer where none is left."""
        measured, found = set(self._measured), []
        for _ in range(num_points or 1):
            worth = self._worth(measured)
            at, angle = (int(i) for i in np.unravel_index(int(np.argmax(worth)), worth.shape))
            if worth[at, angle] <= 0:
                break
            measured.add((at, angle))
            found.append(self._point(at, angle))
        return found

    def ingest(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Projections were measured, with these changes of the maps."""
        for point in points:
            at, angle = divmod(int(point["_id"]), len(self.grid.angles))
            self._measured.add((at, angle))
            self._change[at] = float(point[CHANGE])

    def get_best_points(self) -> list[tuple[int, dict[str, Any], dict[str, float]]]:
        """Measured projections, those of the slices that changed least first."""
        places = sorted(self._measured, key=lambda place: np.nan_to_num(self._change[place[0]], nan=np.inf))
        points = [(self._point(*place), {CHANGE: self._change[place[0]]}) for place in places]
        return [(point.pop("_id"), point, change) for point, change in points]

    def should_stop(self) -> tuple[bool, str | None]:
        """Once every projection is measured."""
        return len(self._measured) == len(self.grid.slices) * len(self.grid.angles), "every projection is measured"

    def _point(self, at: int, angle: int) -> dict[str, Any]:
        place = {self.angle: float(self.grid.angles[angle])}
        place |= {} if self.height is None else {self.height: float(self.grid.slices[at])}
        return {"_id": at * len(self.grid.angles) + angle, **place}

    def _worth(self, measured: set[tuple[int, int]]) -> Floats:
        """(slice, angle) gap that a projection would halve, in degrees, times the change of the slice's maps."""
        slices, angles, _ = self.grid.shape
        worth = np.zeros((slices, angles))
        for s in range(slices):
            known = np.array([angle for at, angle in measured if at == s], dtype=int)
            change = self._change.get(s, 1.0)
            gap = half_turn_gaps(self.grid.angles, self.grid.angles[known]) if known.size else np.full(angles, 180.0)
            worth[s] = gap * (1.0 if np.isnan(change) else max(change, 1e-3))
            worth[s, known] = 0
        return worth


def half_turn_gaps(angles: Floats, known: Floats) -> Floats:
    """Distance of each angle from the nearest known one, degrees; a half turn gives the same projection mirrored."""
    away = np.abs((angles[:, None] - known + 90) % 180 - 90)
    return np.asarray(away.min(axis=1))


@dataclass
class Projections:
    """What bluesky-adaptive acquires in its run, and evaluates: the whole line of each projection that is suggested."""

    scan: Scan
    _change: dict[int, float] = field(default_factory=dict)
    _known: float = 0.0  # frames that the maps knew when they were looked at last

    def __call__(
        self, suggestions: Sequence[Mapping[str, Any]], actuators: Sequence[Any], sensors: Any = None, md: Any = None
    ) -> MsgGenerator[list[int]]:
        """Measure line after line, and look at the maps behind each; their numbers."""
        scan = self.scan
        for suggestion in suggestions:
            yield from bps.checkpoint()
            yield from bps.mv(*(part for motor in actuators for part in (motor, suggestion[motor.name])))
            for place in scan.grid.positions.tolist():
                yield from bps.checkpoint()
                yield from bps.mv(scan.motors["position"], place)
                yield from bps.trigger_and_read([*scan.detectors, *scan.motors.values()])
            number = int(suggestion["_id"])
            self._change[number] = yield from self._look(number // len(scan.grid.angles))
        return [int(suggestion["_id"]) for suggestion in suggestions]

    def evaluate(self, uid: Sequence[int], suggestions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """By how much each changed the maps."""
        return [{"_id": number, CHANGE: self._change[number]} for number in uid]

    def _look(self, at: int) -> MsgGenerator[float]:
        """How the class map of slice `at` changed, once it knows another line; NaN where that takes too long."""
        device, due = self.scan.processor, self._known + len(self.scan.grid.positions)
        device.at = at
        deadline = time.monotonic() + PATIENCE
        while True:
            yield from bps.trigger(device, wait=True)
            reading = yield from bps.read(device)
            self._known = reading[f"{device.name}-used"]["value"]
            if self._known >= due:
                return float(reading[f"{device.name}-{CHANGE}"]["value"])
            if time.monotonic() > deadline:
                return float("nan")
            yield from bps.sleep(POLL)


def steered(scan: Scan, projections: int) -> MsgGenerator[str]:
    """A run of at most so many projections, each chosen when the one before is measured; returns its uid."""
    from bluesky_adaptive import optimize_in_run
    from bluesky_adaptive.protocols import OptimizationProblem

    actuators = [motor for axis, motor in scan.motors.items() if axis != "position"]
    height = scan.motors.get("slice")
    agent = NextProjection(scan.grid, scan.motors["angle"].name, None if height is None else height.name)
    measured = Projections(scan)
    problem = OptimizationProblem(agent, actuators, scan.detectors, measured.evaluate, measured)
    course = bpp.stub_wrapper(optimize_in_run(problem, projections))  # our run has the scan in its start document
    return str((yield from bpp.set_run_key_wrapper(scan.run(course), "optimize_in_run")))
