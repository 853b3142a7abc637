"""Plans whose start documents tell the processor its scan; plain arguments, so that a queue server can run them.

Annotations are evaluated here and not put off: the queue server reads from them which arguments are devices.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bluesky.protocols import Flyable, NamedMovable, Readable
from bluesky.utils import MsgGenerator

from stream.bluesky.agent import steered
from stream.bluesky.course import Scan, flown, motors_of, section_of, stepped
from stream.bluesky.enough import Criterion, GoodEnough
from stream.core.config.scan import AxisName
from stream.core.scan import AXES


def xrdct_scan(
    detectors: Sequence[Readable[Any]],
    angle: NamedMovable[Any],
    position: NamedMovable[Any],
    angles: Mapping[str, Any],
    positions: Mapping[str, float],
    height: NamedMovable[Any] | None = None,
    slices: Mapping[str, float] | None = None,
    order: Sequence[str] = AXES,
    snake: bool = False,
    flyer: Flyable | None = None,
    seconds: float = 0.01,
    processor: NamedMovable[Any] | None = None,
    maps: bool = False,
    frame: str | None = None,
    monitor: str | None = None,
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[str]:
    """A tomography, step by step or on the fly; returns the run's uid.

    Parameters
    ----------
    detectors
        Read at each point, or triggered by the flyer; one of them sends its frames to the processor.
    angle, position, height
        Rotation (degrees), translation across the beam and along the axis (µm).
    angles, positions, slices
        As in the config's `scan` section; angles may carry ``sequence`` (linear, interlaced:N, golden).
    order
        Slowest axis first: angle last is a rotation at each position, position last a line at each angle.
    flyer
        Moves the last axis of `order` on and triggers the detectors at each point, prepared with a `Sweep`; without
        it the motors stop at each point. Golden-angle order is flown by position.
    seconds
        Of a frame on the fly, in which the axis moves from one point to the next.
    processor
        A `Processor`: the detector is armed once its run of this plan takes frames.
    maps
        Wait for the final maps, and tell in the stream ``maps`` where they are.
    frame, monitor
        Data keys of the detector's frame number and of the incident intensity.
    """
    told = {"frame": frame, "monitor": monitor, "fly": True if flyer is not None else None}
    section = section_of(angles, positions, slices, order, snake)
    scan = Scan(
        detectors=detectors, motors=motors_of(angle, position, height), section=section, processor=processor,
        maps=maps, told=told, md=md,
    )  # fmt: skip
    return (yield from scan.run(stepped(scan) if flyer is None else flown(scan, flyer, seconds)))


def xrd_raster(
    detectors: Sequence[Readable[Any]],
    position: NamedMovable[Any],
    height: NamedMovable[Any],
    positions: Mapping[str, float],
    slices: Mapping[str, float],
    snake: bool = False,
    flyer: Flyable | None = None,
    seconds: float = 0.01,
    processor: NamedMovable[Any] | None = None,
    maps: bool = False,
    frame: str | None = None,
    monitor: str | None = None,
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[str]:
    """A map without reconstruction, lines along `position`; returns the run's uid. Arguments as of `xrdct_scan`."""
    section = {**section_of({"values": [0.0]}, positions, slices, AXES, snake), "mode": "raster"}
    told = {"frame": frame, "monitor": monitor, "fly": True if flyer is not None else None}
    motors: dict[AxisName, NamedMovable[Any]] = {"slice": height, "position": position}
    scan = Scan(detectors=detectors, motors=motors, section=section, processor=processor, maps=maps, told=told, md=md)
    return (yield from scan.run(stepped(scan) if flyer is None else flown(scan, flyer, seconds)))


def xrdct_until(
    detectors: Sequence[Readable[Any]],
    processor: NamedMovable[Any],
    angle: NamedMovable[Any],
    position: NamedMovable[Any],
    angles: Mapping[str, Any],
    positions: Mapping[str, float],
    criterion: Criterion = "classes",
    agreement: float = 0.95,
    strain_error: float = 1e-4,
    times: int = 3,
    least: float = 0.25,
    seconds: float | None = None,
    snake: bool = False,
    maps: bool = False,
    frame: str | None = None,
    monitor: str | None = None,
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[str]:
    """A tomography that ends when its maps are good enough; returns the run's uid.

    Angles are visited in golden order unless they name another.

    Parameters
    ----------
    processor
        A `Processor`, waited for before the first frame and asked after each projection.
    criterion
        ``classes``: of each class, at least the share `agreement` of the voxels is sure to keep it until all
        projections are there (`Processor`'s ``settled``). ``strain``: the median error of the strain is at most
        `strain_error`. ``time``: only `seconds` counts.
    times
        Projections in a row for which it must hold.
    least
        Share of the projections that are measured whatever the maps say.
    seconds
        After which it ends in any case.
    """
    section = section_of({"sequence": "golden", **angles}, positions, None, AXES, snake)
    device: Any = processor
    scan = Scan(
        detectors=detectors, motors=motors_of(angle, position, None), section=section, processor=device, maps=maps,
        told={"frame": frame, "monitor": monitor}, md=md,
    )  # fmt: skip
    enough = GoodEnough(scan, criterion, agreement if criterion == "classes" else strain_error, times, least, seconds)
    return (yield from scan.run(stepped(scan, enough)))


def xrdct_adaptive(
    detectors: Sequence[Readable[Any]],
    processor: NamedMovable[Any],
    angle: NamedMovable[Any],
    position: NamedMovable[Any],
    angles: Mapping[str, Any],
    positions: Mapping[str, float],
    projections: int,
    height: NamedMovable[Any] | None = None,
    slices: Mapping[str, float] | None = None,
    maps: bool = False,
    frame: str | None = None,
    monitor: str | None = None,
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[str]:
    """A tomography of at most `projections`, each the one that its maps lack most; returns the run's uid.

    Slices whose class maps still change and angles far from any measured come first (`NextProjection`). It is
    bluesky-adaptive's ``optimize_in_run`` that asks. Other arguments as of `xrdct_scan` and `xrdct_until`.
    """
    section = section_of(angles, positions, slices, AXES, False)
    device: Any = processor
    scan = Scan(
        detectors=detectors, motors=motors_of(angle, position, height), section=section, processor=device, maps=maps,
        told={"frame": frame, "monitor": monitor}, md=md,
    )  # fmt: skip
    return (yield from steered(scan, projections))


def align_axis(
    detectors: Sequence[Readable[Any]],
    angle: NamedMovable[Any],
    position: NamedMovable[Any],
    positions: Mapping[str, float],
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
    return (
        yield from xrdct_scan(
            detectors, angle, position, angles, positions, processor=processor, frame=frame, monitor=monitor, md=md
        )
    )


def calibrate(
    detectors: Sequence[Readable[Any]],
    position: NamedMovable[Any],
    height: NamedMovable[Any],
    positions: Mapping[str, float],
    slices: Mapping[str, float],
    calibrant: str = "LaB6",
    processor: NamedMovable[Any] | None = None,
    frame: str | None = None,
    monitor: str | None = None,
    md: Mapping[str, Any] | None = None,
) -> MsgGenerator[str]:
    """A line standard moved through the beam, so that many of its grains count; returns the run's uid.

    ``braggstream calibrate CONFIG --image RUN --calibrant LaB6`` makes the instrument of the frames of this run.
    """
    named = {"sample": {"name": calibrant}, "calibrant": calibrant, **(md or {})}
    return (
        yield from xrd_raster(
            detectors, position, height, positions, slices, processor=processor, frame=frame, monitor=monitor, md=named
        )
    )
