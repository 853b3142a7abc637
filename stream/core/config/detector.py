"""Sections `detector`, `fluorescence` and `monitors`: what arrives, and from where."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo, field_validator

from stream.core.config.base import KeyPlace, Section
from stream.core.config.scan import AxisName


def _address(value: str) -> str:
    tcp = re.fullmatch(r"tcp://.+:(\d+)", value)
    if not (1 <= int(tcp[1]) <= 65535 if tcp else re.fullmatch(r"(ipc|inproc)://.+", value)):
        raise ValueError("must be tcp://host:port, ipc://path or inproc://name")
    return value


Endpoint = Annotated[str, AfterValidator(_address)]
Element = Annotated[str, StringConstraints(pattern=r"^[A-Z][a-z]?$")]


class Curve(Section):
    """ZeroMQ's CURVE to a peer that is its server: the public key of the peer, and the secret key of ours."""

    server_key: KeyPlace
    secret_key: KeyPlace


class BlueskyCurve(Section):
    """ZeroMQ's CURVE where we are the server: our secret key, and the public keys of those who may send."""

    secret_key: KeyPlace
    client_keys: list[KeyPlace] = Field(min_length=1)


class FrameStream(Section):
    """Where frames of any kind come from."""

    endpoint: Endpoint
    curve: Curve | None = None
    format: Literal["auto", "dectris-1", "dectris-2", "stins", "array-1"] = "auto"
    socket: Literal["pull", "sub"] = "pull"
    bind: bool = False
    first_frame: int | None = 0
    monitor: str | None = None
    idle_timeout: float = Field(default=30.0, gt=0)
    queue_bytes: int = Field(default=256 * 1024 * 1024, ge=1024 * 1024)

    @field_validator("first_frame")
    @classmethod
    def _first_seen(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is None and info.data.get("format") != "array-1":
            raise ValueError("null, the first frame seen, needs format: array-1")
        return value


class DetectorConfig(FrameStream):
    """The diffraction detector: its frames and how they are read."""

    geometry: Path
    mask: Path | None = None
    transmission: str | None = None
    channel: str | None = None


class EnergyAxis(Section):
    """Energy of a channel's middle in keV: offset + step · channel."""

    offset: float = 0.0
    step: float = Field(default=0.01, gt=0)


class FluorescenceConfig(FrameStream):
    """The fluorescence detector: its spectra, and the elements whose lines are looked for.

    monitor is a key of the spectra's own headers; without it the intensity of the same diffraction frame counts.
    self_absorption says what it is corrected from: the beam behind the sample, or the amounts of the crystalline
    phases; side, on which side of the beam, by the sign of a position, the detector stands.
    """

    format: Literal["auto", "stins", "array-1"] = "auto"
    energy: EnergyAxis = EnergyAxis()
    elements: list[Element] = Field(min_length=1)
    self_absorption: Literal["transmission", "phases"] | None = None
    side: Literal["positive", "negative"] = "positive"

    @field_validator("elements")
    @classmethod
    def _once(cls, elements: list[str]) -> list[str]:
        if len(set(elements)) < len(elements):
            raise ValueError("names an element twice")
        return elements


class Column(Section):
    """A column of an encoder stream; scale · reading + offset is in the units of the grid."""

    column: str
    scale: float = 1.0
    offset: float = 0.0

    @field_validator("scale")
    @classmethod
    def _scales(cls, scale: float) -> float:
        if scale == 0:
            raise ValueError("must not be 0")
        return scale


class MonitorStream(Section):
    """A stream of readings beside the frames, joined to them by frame number.

    key is the reading that is the incident intensity, null where it has none; axes says which columns tell where a
    frame lies (scan.index: pcap), by default those called slice, angle and position.
    """

    endpoint: Endpoint
    curve: Curve | None = None
    format: Literal["maxiv-albaem", "maxiv-pcap"]
    key: str | None = None
    socket: Literal["sub", "pull"] = "sub"
    bind: bool = False
    first_frame: int = 0
    axes: dict[AxisName, Column] = Field(default={})

    @field_validator("axes", mode="before")
    @classmethod
    def _plain_name(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        return {axis: {"column": column} if isinstance(column, str) else column for axis, column in value.items()}
