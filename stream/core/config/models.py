"""The sections of the config, as interfaces.md of the documentation lists them; defaults included."""

from __future__ import annotations

import re
from ipaddress import ip_address
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from stream.core.axis import Unit
from stream.core.config.base import Name, Section, only
from stream.core.config.scan import AxisName, ScanConfig

RESERVED = (
    *("global", "coverage", "density", "transmission", "parallax_strain", "parallax_cell"),
    *("class_index", "class_probability", "cluster_index", "particle_index", "fit_quality"),
)
"""Sinograms and maps of every run, which no phase or region may be called."""

PHASE_MAPS = (
    *("phase", "fraction", "strain", "strain_error", "size"),
    *("a", "b", "c", "alpha", "beta", "gamma", "cell_volume"),
    *("mask", "c_over_a", "ratio_003_104", "splitting_018_110", "superlattice_020"),
)
"""Prefixes of the maps of each phase."""


def _ascending(value: tuple[float, float]) -> tuple[float, float]:
    if not value[1] > value[0]:
        raise ValueError("must be [low, high] with low < high")
    return value


def _address(value: str) -> str:
    tcp = re.fullmatch(r"tcp://.+:(\d+)", value)
    if not (1 <= int(tcp[1]) <= 65535 if tcp else re.fullmatch(r"(ipc|inproc)://.+", value)):
        raise ValueError("must be tcp://host:port, ipc://path or inproc://name")
    return value


Endpoint = Annotated[str, AfterValidator(_address)]
Range = Annotated[tuple[float, float], AfterValidator(_ascending)]
Method = Annotated[Literal["no", "bbox", "full"], BeforeValidator(lambda v: "no" if v is False else v)]


class DetectorConfig(Section):
    """Where the frames come from and how they are read."""

    endpoint: Endpoint
    geometry: Path
    format: Literal["auto", "dectris-1", "dectris-2", "stins", "array-1"] = "auto"
    socket: Literal["pull", "sub"] = "pull"
    bind: bool = False
    first_frame: int | None = 0
    mask: Path | None = None
    monitor: str | None = None
    transmission: str | None = None
    channel: str | None = None
    idle_timeout: float = Field(default=30.0, gt=0)
    queue_bytes: int = Field(default=256 * 1024 * 1024, ge=1024 * 1024)

    @field_validator("first_frame")
    @classmethod
    def _first_seen(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is None and info.data.get("format") != "array-1":
            raise ValueError("null, the first frame seen, needs format: array-1")
        return value


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


class Background(Section):
    """A frame without sample, and the readings of monitor and transmitted beam it was taken with."""

    file: Path
    monitor: float = Field(default=1.0, gt=0)
    transmission: float | None = Field(default=None, gt=0)


Share = Annotated[float, Field(ge=0, lt=1)]


class Filter(Section):
    """Which pixels of a ring are left out: beyond so many σ, or a share of the faintest and of the brightest."""

    sigma_clip: float | None = Field(default=None, gt=0)
    trimmed: tuple[Share, Share] | None = None

    @field_validator("trimmed")
    @classmethod
    def _leaves_some(cls, shares: tuple[float, float] | None) -> tuple[float, float] | None:
        if shares is not None and sum(shares) >= 1:
            raise ValueError("must be [low, high] whose sum is below 1")
        return shares

    @model_validator(mode="after")
    def _one(self) -> Filter:
        if (self.sigma_clip is None) == (self.trimmed is None):
            raise ValueError("one of sigma_clip and trimmed is needed")
        return self


class IntegrationConfig(Section):
    """Azimuthal integration, in pyFAI's terms."""

    unit: Unit = "2th_deg"
    bins: int = Field(default=1000, ge=10, le=100_000)
    range: Range | None = None
    method: Method = "no"
    polarization: float | None = Field(default=0.99, ge=-1, le=1)
    solid_angle: bool = True
    background: Background | None = None
    filter: Filter | None = None
    backend: Literal["auto", "cpu", "opencl", "cuda"] = "auto"

    @field_validator("background", mode="before")
    @classmethod
    def _plain_path(cls, value: object) -> object:
        return {"file": value} if isinstance(value, str | Path) else value

    @field_validator("filter")
    @classmethod
    def _whole_pixels(cls, value: Filter | None, info: ValidationInfo) -> Filter | None:
        method = info.data.get("method", "no")
        if value is not None and method != "no":
            raise ValueError(
                f"needs integration.method no, which is {method!r}: a share of a pixel has no rank in a ring"
            )
        return value


class Region(Section):
    """A window of the pattern with a sinogram and a map of its own."""

    name: Name
    range: Range


class Hump(Section):
    """The broad maximum of an amorphous phase, in the integration unit; width is the FWHM."""

    position: float = Field(gt=0)
    width: float = Field(gt=0)


class CrystallinePhase(Section):
    """A phase with a structure: a bundled name or a CIF file."""

    name: Name
    cif: str


class AmorphousPhase(Section):
    """A phase known by its hump."""

    name: Name
    hump: Hump


KINDS = ("a crystalline phase", "an amorphous phase")


def _kind(phase: object) -> str:
    """Told by the hump, so that what is wrong with a phase is said of the right kind."""
    amorphous = "hump" in phase if isinstance(phase, dict) else isinstance(phase, AmorphousPhase)
    return KINDS[amorphous]


Phase = Annotated[
    Annotated[CrystallinePhase, Tag(KINDS[False])] | Annotated[AmorphousPhase, Tag(KINDS[True])], Discriminator(_kind)
]


class ReconstructionConfig(Section):
    """Progressive and final SIRT."""

    iterations: int = Field(default=100, ge=1, le=10_000)
    center: Literal["auto"] | float = "auto"
    update_every: float = Field(default=1.0, ge=0.1)
    channels: str = Field(default="full", pattern=r"^(full|basis:[1-9]\d{0,2})$")
    parallax: bool = False

    @field_validator("center", mode="before")
    @classmethod
    def _auto_or_number(cls, value: object) -> object:
        if value != "auto" and (isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value)):
            raise ValueError("must be auto, or a motor position in micrometres")
        return value

    @property
    def rank(self) -> int | None:
        """Coefficients that the final result is reconstructed in; None for every channel."""
        return None if self.channels == "full" else int(self.channels.removeprefix("basis:"))


class ClassificationConfig(Section):
    """Which classifier names the voxels; null switches it off."""

    model: str | None = "auto"


class StrainConfig(Section):
    """Which phase the strain is read from, and the shape of the sample's broadening."""

    phase: str | None = None
    profile: Literal["lorentzian", "gaussian", "fit"] = "lorentzian"
    shape_factor: float = Field(default=0.9, gt=0)


class RecordingConfig(Section):
    """Whether the raw messages are kept."""

    frames: bool = True


class PublishConfig(Section):
    """The Tiled server: embedded, or the facility's by URL."""

    tiled: str = "embedded"
    port: int | None = Field(default=None, ge=1, le=65535)
    api_key: str = "env:TILED_API_KEY"

    @field_validator("tiled")
    @classmethod
    def _known(cls, value: str) -> str:
        if value != "embedded" and not re.match(r"^https?://", value):
            raise ValueError("must be embedded or a URL that starts with http:// or https://")
        return value


class DashboardConfig(Section):
    """The page and the HTTP interface."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=1, le=65535)
    api_key: str = "env:BRAGGSTREAM_KEY"

    @property
    def loopback(self) -> bool:
        """True when only this machine can reach the page."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


class BlueskyConfig(Section):
    """Where Bluesky documents arrive."""

    endpoint: Annotated[Endpoint | None, only(None)] = None


class Config(Section):
    """The whole config of a run."""

    scan: ScanConfig
    detector: DetectorConfig
    monitors: list[MonitorStream] = Field(default=[])
    fluorescence: Annotated[dict[str, Any] | None, only(None)] = None
    bluesky: BlueskyConfig = BlueskyConfig()
    integration: IntegrationConfig = IntegrationConfig()
    regions: list[Region] = Field(default=[])
    phases: list[Phase] = Field(default=[])
    instrument: Path | None = None
    reconstruction: ReconstructionConfig = ReconstructionConfig()
    classification: ClassificationConfig = ClassificationConfig()
    strain: StrainConfig = StrainConfig()
    recording: RecordingConfig = RecordingConfig()
    publish: PublishConfig = PublishConfig()
    dashboard: DashboardConfig = DashboardConfig()

    @model_validator(mode="after")
    def _names(self) -> Config:
        phases, regions = [phase.name for phase in self.phases], [region.name for region in self.regions]
        names = [*RESERVED, *(f"{prefix}_{phase}" for prefix in PHASE_MAPS for phase in phases), *phases, *regions]
        twice = [name for name in phases + regions if names.count(name) > 1]
        if twice:
            raise ValueError(f"phases and regions: the name {twice[0]!r} is taken")
        return self

    @model_validator(mode="after")
    def _strain_phase(self) -> Config:
        crystalline = [phase.name for phase in self.phases if isinstance(phase, CrystallinePhase)]
        if self.strain.phase is not None and self.strain.phase not in crystalline:
            raise ValueError(f"strain.phase is {self.strain.phase!r}: there is no such crystalline phase in phases")
        return self

    @model_validator(mode="after")
    def _one_incident_intensity(self) -> Config:
        keys = [stream.key for stream in self.monitors if stream.key is not None]
        keys += [self.detector.monitor] if self.detector.monitor is not None else []
        if len(keys) > 1:
            raise ValueError(
                f"monitors and detector.monitor: {keys[0]!r} and {keys[1]!r} are both incident intensities"
            )
        return self

    @model_validator(mode="after")
    def _sees_the_beam(self) -> Config:
        background, key = self.integration.background, self.detector.transmission
        if background is not None and (background.transmission is None) != (key is None):
            raise ValueError(
                f"integration.background.transmission is {background.transmission} and detector.transmission {key!r}: "
                "the frame without sample and those with it need the same readings"
            )
        return self

    @model_validator(mode="after")
    def _reconstructs(self) -> Config:
        if self.scan.mode == "raster" and self.reconstruction.parallax:
            raise ValueError("reconstruction.parallax is true: scan.mode is 'raster', and nothing is reconstructed")
        if self.reconstruction.parallax and self.reconstruction.rank is not None:
            raise ValueError(
                f"reconstruction.parallax is true: it needs channels full, not {self.reconstruction.channels!r}"
            )
        return self

    @model_validator(mode="after")
    def _one_encoder(self) -> Config:
        found = len(self.encoders)
        if self.scan.index == "pcap" and found != 1:
            raise ValueError(
                f"scan.index is 'pcap': one of monitors must be the encoders' (maxiv-pcap, with axes), {found} are"
            )
        return self

    @property
    def encoders(self) -> list[MonitorStream]:
        """Streams that tell positions: those whose axes are named, else those that could have them."""
        streams = [stream for stream in self.monitors if stream.format == "maxiv-pcap"]
        return [stream for stream in streams if stream.axes] or streams

    @model_validator(mode="after")
    def _ports(self) -> Config:
        if self.publish.tiled == "embedded" and self.tiled_port in {self.dashboard.port, 65536}:
            raise ValueError(f"publish.port is {self.publish.port}: the embedded Tiled needs a port of its own")
        return self

    @property
    def tiled_port(self) -> int:
        """Port of the embedded Tiled."""
        return self.publish.port or self.dashboard.port + 1
