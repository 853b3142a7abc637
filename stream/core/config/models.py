"""The whole config, as interfaces.md of the documentation lists it; defaults included."""

from __future__ import annotations

import re
from ipaddress import ip_address
from math import isfinite
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from stream.core.config.base import KeyPlace, Section
from stream.core.config.detector import BlueskyCurve, DetectorConfig, Endpoint, FluorescenceConfig, MonitorStream
from stream.core.config.integration import IntegrationConfig
from stream.core.config.phases import PHASE_MAPS, RESERVED, CrystallinePhase, Phase, Region
from stream.core.config.scan import ScanConfig


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
    """Which classifier names the voxels; null switches it off. How voxels are grouped that are alike."""

    model: str | None = "auto"
    clusters: Literal["k-means", "dbscan"] = "k-means"


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
    api_key: KeyPlace = "env:TILED_API_KEY"

    @field_validator("tiled")
    @classmethod
    def _known(cls, value: str) -> str:
        if value != "embedded" and not re.match(r"^https?://", value):
            raise ValueError("must be embedded or a URL that starts with http:// or https://")
        if re.search(r"[@?#]", value):
            raise ValueError("must have no user, password or query, which would be stored: the key is in api_key")
        return value


class DashboardConfig(Section):
    """The page and the HTTP interface."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=1, le=65535)
    api_key: KeyPlace = "env:BRAGGSTREAM_KEY"

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
    curve: BlueskyCurve | None = None


class Config(Section):
    """The whole config of a run."""

    scan: ScanConfig
    detector: DetectorConfig
    monitors: list[MonitorStream] = Field(default=[])
    fluorescence: FluorescenceConfig | None = None
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
    def _in_range(self) -> Config:
        limits = self.integration.range
        for region in self.regions:
            if limits is not None and (region.range[1] < limits[0] or region.range[0] > limits[1]):
                raise ValueError(
                    f"regions: {region.name!r} is {list(region.range)}, outside integration.range {list(limits)}"
                )
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
        if self.scan.mode == "tomography" and self.scan.positions.count < 3:
            raise ValueError(f"scan.positions.count is {self.scan.positions.count}: tomography needs at least three")
        if self.scan.mode == "raster" and self.reconstruction.parallax:
            raise ValueError("reconstruction.parallax is true: scan.mode is 'raster', and nothing is reconstructed")
        if self.reconstruction.parallax and self.reconstruction.rank is not None:
            raise ValueError(
                f"reconstruction.parallax is true: it needs channels full, not {self.reconstruction.channels!r}"
            )
        return self

    @model_validator(mode="after")
    def _axis_is_scanned(self) -> Config:
        center, points = self.reconstruction.center, self.scan.positions.points()
        if self.scan.mode == "tomography" and center != "auto" and not min(points) <= center <= max(points):
            raise ValueError(
                f"reconstruction.center is {center:g}: scan.positions go from {min(points):g} to {max(points):g}"
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

    @model_validator(mode="after")
    def _spectra_in_order(self) -> Config:
        if self.fluorescence is not None and self.scan.index != "order":
            raise ValueError(
                f"fluorescence needs scan.index 'order', not {self.scan.index!r}: spectra are joined by their number"
            )
        return self

    @model_validator(mode="after")
    def _knows_what_absorbs(self) -> Config:
        source = None if self.fluorescence is None else self.fluorescence.self_absorption
        if source is None:
            return self
        key = f"fluorescence.self_absorption is {source!r}"
        if self.scan.mode == "raster":
            raise ValueError(f"{key}: scan.mode is 'raster', and the depth in the sample is not known")
        if not any(isinstance(phase, CrystallinePhase) for phase in self.phases):
            raise ValueError(f"{key}: there is no crystalline phase in phases")
        if source == "transmission" and self.detector.transmission is None:
            raise ValueError(f"{key}: detector.transmission is null")
        for phase in self.phases:
            if source == "transmission" and not isinstance(phase, CrystallinePhase) and phase.formula is None:
                raise ValueError(f"{key}: phases: {phase.name!r} needs a formula")
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
