"""What a Bluesky start document tells of a scan: its axes, its grid, its sample.

Under the key ``xrdct`` a plan may say it outright: ``scan`` (the `scan` section of the config), ``axes`` (which motor
is slice, angle, position), ``frame`` (the data key with the detector's frame number), ``monitor`` (the data key of
the incident intensity). Of any other plan the usual keys are read: ``motors`` (slowest first), ``shape``, ``extents``,
``snaking``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stream.core.config.scan import AxisName
from stream.core.errors import ConfigError

MICROMETRES: dict[str, float] = {"um": 1.0, "µm": 1.0, "μm": 1.0, "micron": 1.0, "microns": 1.0, "mm": 1e3, "m": 1e6,
                                 "nm": 1e-3}  # fmt: skip
"""Of a length unit."""
DEGREES: dict[str, float] = {"rad": 57.29577951308232, "mrad": 0.05729577951308232}


def own_words(start: Mapping[str, Any], key: str) -> Any:
    """What the plan says for us under ``xrdct``, None where it says nothing."""
    told = start.get("xrdct")
    return told.get(key) if isinstance(told, Mapping) else None


def motors_of_axes(start: Mapping[str, Any], moving: Sequence[AxisName]) -> dict[AxisName, str]:
    """Which motor is which axis; `moving` are the axes with more than one point, slowest first.

    Motors are taken in the order of the plan, slowest first; the names of the axes' own motors have precedence.
    """
    told = own_words(start, "axes")
    if isinstance(told, Mapping):
        return {axis: str(told[axis]) for axis in ("slice", "angle", "position") if axis in told}
    motors = [str(motor) for motor in start.get("motors") or ()]
    return dict(zip(moving, motors, strict=False)) if len(motors) == len(moving) else {}


def in_grid_units(axis: AxisName, unit: str | None) -> float:
    """What a reading in `unit` is multiplied by to be in µm, or degrees; 1 for an unknown unit."""
    known = DEGREES if axis == "angle" else MICROMETRES
    return known.get(str(unit).strip(), 1.0)


def scan_section(start: Mapping[str, Any], order: Sequence[AxisName]) -> dict[str, Any]:
    """Keys of the `scan` section that a start document tells: the grid, the sample.

    Parameters
    ----------
    order
        the config's, slowest axis first: that of the motors where the document does not name the axes.

    Raises
    ------
    ConfigError
        where it tells no grid.
    """
    told = own_words(start, "scan")
    grid = dict(told) if isinstance(told, Mapping) else _grid(start, order)
    sample = sample_of(start)
    return {**({"sample": sample} if sample else {}), **grid}


def sample_of(start: Mapping[str, Any]) -> str:
    """The sample's name, empty where there is none."""
    sample = start.get("sample_name", start.get("sample"))
    name = sample.get("name", "") if isinstance(sample, Mapping) else sample
    return str(name) if name else ""


def _grid(start: Mapping[str, Any], order: Sequence[AxisName]) -> dict[str, Any]:
    shape, extents = start.get("shape"), start.get("extents")
    uid = start.get("uid")
    if not isinstance(shape, Sequence) or not isinstance(extents, Sequence) or len(shape) != len(extents):
        raise ConfigError(f"the start document {uid} tells no grid: it needs shape and extents, or xrdct.scan")
    named = motors_of_axes(start, order[-len(shape) :])
    motors = [str(motor) for motor in start.get("motors") or ()]
    axes = {motor: axis for axis, motor in named.items()}
    section: dict[str, Any] = {}
    names: list[AxisName] = []
    for motor, count, extent in zip(motors, shape, extents, strict=False):
        axis = axes.get(motor)
        if axis is None:
            raise ConfigError(f"the start document {uid} moves {motor!r}, which is none of slice, angle, position")
        low, high = (float(edge) for edge in extent)
        step = (high - low) / (count - 1) if count > 1 else 1.0
        section[f"{axis}s"] = {"start": low, "step": step, "count": int(count)}
        names.append(axis)
    section["order"] = [*(axis for axis in order if axis not in names), *names]
    snaking = start.get("snaking")
    section["snake"] = bool(isinstance(snaking, Sequence) and snaking and snaking[-1])
    return section
