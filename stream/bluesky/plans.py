"""Plans whose start documents tell the processor its scan; plain arguments, so that a queue server can run them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import bluesky.plan_stubs as bps
import bluesky.preprocessors as bpp
from bluesky.protocols import NamedMovable, Readable
from bluesky.utils import MsgGenerator

from stream.core.config.scan import AxisName, ScanConfig
from stream.core.scan import AXES, ScanGrid

Steps = Mapping[str, float]
"""start, step and count of an axis."""
Criterion = Literal["classes", "strain", "time"]


def xrdct_scan(
    detectors: Sequence[Readable[Any]],
    angle: NamedMovable[Any],
    position: NamedMovable[Any],
    angles: Mapping[str, Any],
    positions: Steps,
    height: NamedMovable[Any] | None = None,
    slices: Steps | None = None,
    order: Sequence[str] = AXES,
    snake: bool = False,
    processor: NamedMovable[Any] | None = None,
    frame: str | None = None,
    monitor: str | None = None,
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[str]:
    """A tomography, step by step; returns the run's uid.

    Parameters
    ----------
    detectors
        Read at each point; one of them sends its frames to the processor.
    angle, position, height
        Rotation (degrees), translation across the beam and along the axis (µm).
    angles, positions, slices
        As in the config's `scan` section; angles may carry ``sequence`` (linear, interlaced:N, golden).
    order
        Slowest axis first.
    processor
        A `Processor`: the detector is armed once its run of this plan takes frames.
    frame, monitor
        Data keys of the detector's frame number and of the incident intensity.
    """
    section = scan_of(angles, positions, slices, order, snake)
    motors = motors_of(angle, position, height)
    return (yield from _run(detectors, motors, section, processor, frame, monitor, md, _every_point))


def xrd_raster(
    detectors: Sequence[Readable[Any]],
    position: NamedMovable[Any],
    height: NamedMovable[Any],
    positions: Steps,
    slices: Steps,
    snake: bool = False,
    processor: NamedMovable[Any] | None = None,
    frame: str | None = None,
    monitor: str | None = None,
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[str]:
    """A map without reconstruction, lines along `position`; returns the run's uid. Arguments as of `xrdct_scan`."""
    section = {**scan_of({"values": [0.0]}, positions, slices, AXES, snake), "mode": "raster"}
    motors: dict[AxisName, NamedMovable[Any]] = {"slice": height, "position": position}
    return (yield from _run(detectors, motors, section, processor, frame, monitor, md, _every_point))


def xrdct_until(
    detectors: Sequence[Readable[Any]],
    processor: Any,
    angle: NamedMovable[Any],
    position: NamedMovable[Any],
    angles: Mapping[str, Any],
    positions: Steps,
    criterion: Criterion = "classes",
    below: float = 0.01,
    times: int = 3,
    least: float = 0.25,
    seconds: float | None = None,
    snake: bool = False,
    frame: str | None = None,
    monitor: str | None = None,
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[str]:
    """A tomography that ends when its maps are good enough; returns the run's uid.

    Parameters
    ----------
    processor
        A `Processor`, waited for before the first frame and asked after each projection.
    criterion, below, times
        ``classes``: the share of voxels that changed their class since the projection before is below `below` for
        `times` projections in a row. ``strain``: the median error of the strain is. ``time``: only `seconds` counts.
    least
        Share of the projections that are measured whatever the maps say.
    seconds
        After which it ends in any case.
    """
    section = scan_of({"sequence": "golden", **angles}, positions, None, AXES, snake)
    grid = grid_of(section)
    begun, good = time.monotonic(), 0

    def enough(done: int) -> MsgGenerator[bool]:
        nonlocal good
        if done % len(grid.positions):
            return False
        yield from bps.trigger(processor, wait=True)
        reading = yield from bps.read(processor)
        key = {"classes": "class_change", "strain": "strain_error"}.get(criterion)
        value = reading[f"{processor.name}-{key}"]["value"] if key else float("nan")
        good = good + 1 if value < below else 0
        late = seconds is not None and time.monotonic() - begun > seconds
        return late or (good >= times and done >= least * grid.size)

    motors = motors_of(angle, position, None)
    return (yield from _run(detectors, motors, section, processor, frame, monitor, md, enough))


def align_axis(
    detectors: Sequence[Readable[Any]],
    angle: NamedMovable[Any],
    position: NamedMovable[Any],
    positions: Steps,
    count: int = 7,
    processor: NamedMovable[Any] | None = None,
    frame: str | None = None,
    monitor: str | None = None,
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[str]:
    """A coarse tomography of `count` projections over a half turn, whose run finds the rotation axis.

    Returns the run's uid; the axis is ``center_um`` in its metadata, with ``center_from: data``.
    """
    angles = {"start": 0.0, "step": 180.0 / (count - 1), "count": count}  # both ends: mirror images of each other
    section = scan_of(angles, positions, None, AXES, False)
    motors = motors_of(angle, position, None)
    return (yield from _run(detectors, motors, section, processor, frame, monitor, md, _every_point))


def scan_of(
    angles: Mapping[str, Any], positions: Steps, slices: Steps | None, order: Sequence[str], snake: bool
) -> dict[str, Any]:
    """The config's `scan` section."""
    section = {"angles": dict(angles), "positions": dict(positions), "order": list(order), "snake": snake}
    return section if slices is None else {**section, "slices": dict(slices)}


def grid_of(section: Mapping[str, Any]) -> ScanGrid:
    """The grid of a `scan` section; pydantic's ValidationError where it is none."""
    return ScanGrid.from_config(ScanConfig.model_validate({"name": "plan", **section}))


def motors_of(
    angle: NamedMovable[Any], position: NamedMovable[Any], height: NamedMovable[Any] | None
) -> dict[AxisName, NamedMovable[Any]]:
    """Motors by axis."""
    motors: dict[AxisName, NamedMovable[Any]] = {"angle": angle, "position": position}
    return motors if height is None else {"slice": height, **motors}


def _every_point(_: int) -> MsgGenerator[bool]:
    """Never enough."""
    yield from bps.null()
    return False


def _run(
    detectors: Sequence[Readable[Any]],
    motors: Mapping[AxisName, NamedMovable[Any]],
    section: Mapping[str, Any],
    processor: NamedMovable[Any] | None,
    frame: str | None,
    monitor: str | None,
    md: Mapping[str, Any] | None,
    enough: Callable[[int], MsgGenerator[bool]],
) -> MsgGenerator[str]:
    """Every point of the grid in its order, a checkpoint before each, until it is enough."""
    grid = grid_of(section)
    names = {axis: motor.name for axis, motor in motors.items()}
    plan = uuid.uuid4().hex
    own = {"plan": plan, "scan": dict(section), "axes": names, "frame": frame, "monitor": monitor}
    start = {"motors": list(names.values()), **(md or {}),
             "xrdct": {key: value for key, value in own.items() if value is not None}}  # fmt: skip
    coordinates = dict(zip(AXES, (grid.slices, grid.angles, grid.positions), strict=True))

    def points() -> MsgGenerator[None]:
        for n in range(grid.size):
            point = dict(zip(AXES, grid.at(n), strict=True))
            yield from bps.checkpoint()
            moves = [part for axis, motor in motors.items() for part in (motor, float(coordinates[axis][point[axis]]))]
            yield from bps.mv(*moves)
            yield from bps.trigger_and_read([*detectors, *motors.values()])
            if (yield from enough(n + 1)):
                return

    # the start document first: staging arms the detector, whose frames need a processor that knows the scan
    def armed() -> MsgGenerator[None]:
        if processor is not None:
            yield from bps.abs_set(processor, plan, wait=True)
        yield from bpp.stage_wrapper(points(), [*detectors, *motors.values()])

    return str((yield from bpp.run_wrapper(armed(), md=start)))
