"""The `scan` section: names, grid, and the order in which the grid is visited."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from stream.core.config.base import Name, Section

AxisName = Literal["slice", "angle", "position"]
MAX_POINTS = 10_000_000
"""Of the grid: a hundred times the scan it is built for, and a size at which its own tables are still small."""


class Steps(Section):
    """Equidistant values start, start + step, …"""

    start: float = 0.0
    step: float = 1.0
    count: int = Field(gt=0, le=MAX_POINTS)

    @field_validator("step")
    @classmethod
    def _moves(cls, step: float) -> float:
        if step == 0:
            raise ValueError("must not be 0")
        return step

    def points(self) -> list[float]:
        """The values, in the order of the config."""
        return [self.start + i * self.step for i in range(self.count)]


class Angles(Section):
    """Rotation angles in degrees: equidistant or listed, and the order in which they are visited."""

    start: float | None = None
    step: float | None = None
    count: int | None = Field(default=None, gt=0, le=MAX_POINTS)
    values: list[float] | None = Field(default=None, min_length=1)
    sequence: str = "linear"

    @field_validator("sequence")
    @classmethod
    def _known_sequence(cls, sequence: str) -> str:
        if sequence in {"linear", "golden"} or re.fullmatch(r"interlaced:[1-9]\d*", sequence):
            return sequence
        raise ValueError("must be linear, golden or interlaced:N")

    @model_validator(mode="after")
    def _one_form(self) -> Angles:
        stepped = [value is not None for value in (self.start, self.step, self.count)]
        if any(stepped) if self.values is not None else not all(stepped):
            raise ValueError("needs either start, step and count, or values")
        if self.step == 0:
            raise ValueError("step must not be 0")
        return self

    @property
    def size(self) -> int:
        """Number of angles."""
        return len(self.values) if self.values is not None else self.count or 0

    def points(self) -> list[float]:
        """The values, in the order of the config, not of the visit."""
        if self.values is not None:
            return self.values
        return [(self.start or 0.0) + i * (self.step or 0.0) for i in range(self.size)]


class ScanConfig(Section):
    """What is scanned, and in which order; angles in degrees, positions and slices in µm.

    A raster scan has one angle, 0 where none is named.
    """

    name: Name
    sample: str = ""
    mode: Literal["tomography", "raster"] = "tomography"
    angles: Angles
    positions: Steps
    slices: Steps = Steps(count=1)
    order: tuple[AxisName, AxisName, AxisName] = ("slice", "angle", "position")
    snake: bool = False
    series: Literal["scan", "slice", "line"] = "scan"
    index: Literal["order", "appendix", "bluesky", "pcap"] = "order"

    @property
    def points(self) -> int:
        """Number of grid points."""
        return self.slices.count * self.angles.size * self.positions.count

    @property
    def series_frames(self) -> int:
        """Frames of one detector series."""
        if self.series == "line":
            sizes = {"slice": self.slices.count, "angle": self.angles.size, "position": self.positions.count}
            return sizes[self.order[2]]
        return self.points // (self.slices.count if self.series == "slice" else 1)

    @model_validator(mode="before")
    @classmethod
    def _one_angle(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and raw.get("mode") == "raster" and raw.get("angles") is None:
            return {**raw, "angles": {"values": [0.0]}}
        return raw

    @field_validator("order")
    @classmethod
    def _permutation(cls, order: tuple[str, str, str]) -> tuple[str, str, str]:
        if set(order) != {"slice", "angle", "position"}:
            raise ValueError("must name slice, angle and position once each")
        return order

    @model_validator(mode="after")
    def _fits(self) -> ScanConfig:
        if self.mode == "raster" and self.angles.size != 1:
            raise ValueError(f"mode is 'raster', which has one angle, but angles has {self.angles.size}")
        if self.points > MAX_POINTS:
            raise ValueError(
                f"the grid of slices, angles and positions has {self.points} points, more than {MAX_POINTS}"
            )
        if self.series == "slice" and self.order[0] != "slice":
            raise ValueError(f"series is 'slice', but order is {list(self.order)}: slice must be the slowest axis")
        return self
