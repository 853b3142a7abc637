"""Section `integration`: from image to pattern."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from stream.core.axis import Unit
from stream.core.config.base import Range, Section

Method = Annotated[Literal["no", "bbox", "full"], BeforeValidator(lambda v: "no" if v is False else v)]


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

    @field_validator("range")
    @classmethod
    def _from_the_beam(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and value[0] < 0:
            raise ValueError("must not begin below 0, where the beam is")
        return value

    @field_validator("filter")
    @classmethod
    def _whole_pixels(cls, value: Filter | None, info: ValidationInfo) -> Filter | None:
        method = info.data.get("method", "no")
        if value is not None and method != "no":
            raise ValueError(
                f"needs integration.method no, which is {method!r}: a share of a pixel has no rank in a ring"
            )
        return value
