"""The sections of the config, as interfaces.md of the documentation lists them; defaults included."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from stream.core.axis import Unit
from stream.core.config.base import Name, Section, later
from stream.core.config.scan import ScanConfig

RESERVED = {"global", "coverage", "density", "transmission", "slice", "angle", "position", "x", "y"}

Endpoint = Annotated[str, Field(pattern=r"^(tcp|ipc|inproc)://.+")]
Range = Annotated[tuple[float, float], Field(description="[low, high]")]
Method = Annotated[Literal["no", "bbox", "full"], BeforeValidator(lambda v: "no" if v is False else v)]


def _ascending(value: tuple[float, float] | None) -> tuple[float, float] | None:
    if value is not None and not value[1] > value[0]:
        raise ValueError("must be [low, high] with low < high")
    return value


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

    @model_validator(mode="after")
    def _available(self) -> DetectorConfig:
        later(self.transmission, (None,), "transmission")
        return self


class Background(Section):
    """A frame without sample, and the monitor reading it was taken with."""

    file: Path
    monitor: float = Field(default=1.0, gt=0)


class IntegrationConfig(Section):
    """Azimuthal integration, in pyFAI's terms."""

    unit: Unit = "2th_deg"
    bins: int = Field(default=1000, ge=10, le=100_000)
    range: Range | None = None
    method: Method = "no"
    polarization: float | None = Field(default=0.99, ge=-1, le=1)
    solid_angle: bool = True
    background: Background | None = None
    filter: dict[str, Any] | None = None
    backend: Literal["auto", "cpu", "opencl", "cuda"] = "auto"

    _range = field_validator("range")(_ascending)

    @field_validator("background", mode="before")
    @classmethod
    def _plain_path(cls, value: object) -> object:
        return {"file": value} if isinstance(value, str | Path) else value

    @model_validator(mode="after")
    def _available(self) -> IntegrationConfig:
        later(self.method, ("no",), f"method {self.method!r}")
        later(self.filter, (None,), "filter")
        later(self.backend, ("auto", "cpu"), f"backend {self.backend!r}")
        return self


class Region(Section):
    """A window of the pattern with a sinogram and a map of its own."""

    name: Name
    range: Range

    _range = field_validator("range")(_ascending)


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


Phase = CrystallinePhase | AmorphousPhase


class ReconstructionConfig(Section):
    """Progressive and final SIRT."""

    iterations: int = Field(default=100, ge=1, le=10_000)
    center: Literal["auto"] | float = "auto"
    update_every: float = Field(default=1.0, ge=0.1)
    channels: str = Field(default="full", pattern=r"^(full|basis:[1-9]\d*)$")
    parallax: bool = False

    @model_validator(mode="after")
    def _available(self) -> ReconstructionConfig:
        later(self.channels, ("full",), f"channels {self.channels!r}")
        later(self.parallax, (False,), "parallax correction")
        return self


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

    endpoint: Endpoint | None = None

    @model_validator(mode="after")
    def _available(self) -> BlueskyConfig:
        later(self.endpoint, (None,), "a Bluesky endpoint")
        return self


class Config(Section):
    """The whole config of a run."""

    scan: ScanConfig
    detector: DetectorConfig
    monitors: list[dict[str, Any]] = Field(default=[])
    fluorescence: dict[str, Any] | None = None
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

    @field_validator("monitors")
    @classmethod
    def _no_monitors(cls, value: list[Any]) -> list[Any]:
        later(len(value), (0,), "a monitor stream")
        return value

    @field_validator("fluorescence")
    @classmethod
    def _no_fluorescence(cls, value: object) -> object:
        later(value, (None,), "fluorescence")
        return value

    @model_validator(mode="after")
    def _names(self) -> Config:
        names = [p.name for p in self.phases] + [r.name for r in self.regions]
        twice = sorted({n for n in names if names.count(n) > 1 or n in RESERVED})
        if twice:
            raise ValueError(f"phases and regions: the name {twice[0]!r} is taken twice")
        crystalline = [p.name for p in self.phases if isinstance(p, CrystallinePhase)]
        if self.strain.phase is not None and self.strain.phase not in crystalline:
            raise ValueError(f"strain.phase is {self.strain.phase!r}, which is not a crystalline phase of phases")
        return self

    @property
    def tiled_port(self) -> int:
        """Port of the embedded Tiled."""
        return self.publish.port or self.dashboard.port + 1
