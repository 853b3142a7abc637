"""The instrument's line profile, as a line standard measured it."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stream.core.axis import Unit
from stream.core.bits import Mask, pack_mask, unpack_mask
from stream.core.config.load import LARGEST, plain_yaml
from stream.core.errors import ConfigError, FitError
from stream.core.files import read_text

Floats = npt.NDArray[np.float64]
Width = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class AxisOfRecord(BaseModel):
    """The axis the standard was integrated on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unit: Unit
    low: float
    high: float
    bins: int = Field(gt=0)


class Instrument(BaseModel):
    """The instrument's widths along 2θ, bins and the pixel's box (see `Response`) not included: a Voigt.

    σ² = w f² + u tan²θ and γ = y f + x tanθ (σ: standard deviation, γ: half width at half maximum, in degrees of 2θ).
    f is what is seen along 2θ of a length on a flat detector, as the beam's size and the pixels' blur are: cos²2θ
    (Δ2θ = Δr cos²2θ / L), and where it is tilted what `Response` says; tanθ goes with a spread in wavelength
    (Δ2θ = 2 tanθ Δλ/λ).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    calibrant: str
    wavelength: float = Field(gt=0, description="Å")
    pixel: float = Field(gt=0, allow_inf_nan=False, description="degrees; its box, known from the geometry")
    w: Width = Field(description="degrees²")
    u: Width = Field(description="degrees²")
    y: Width = Field(description="degrees")
    x: Width = Field(description="degrees")
    covariance: list[list[float]] = Field(description="of w, u, y, x")
    valid: tuple[float, float] = Field(description="2θ of the first and the last line measured, degrees")
    axis: AxisOfRecord
    unseen: str | None = Field(None, description="pixels without a count, as `pack_mask` has them, base64")

    @model_validator(mode="after")
    def _check(self) -> Instrument:
        """Refuse a profile without width and a malformed covariance."""
        if self.w + self.u + self.x + self.y <= 0:
            raise ValueError("w, u, y and x are all 0: a line has no width")
        covariance = np.asarray(self.covariance, dtype=np.float64)
        if covariance.shape != (4, 4) or not np.all(np.isfinite(covariance)):
            raise ValueError("covariance is not a finite 4 x 4 table")
        return self

    def widths(self, two_theta: npt.ArrayLike, seen: npt.ArrayLike | None = None) -> tuple[Floats, Floats]:
        """σ and γ in radians at 2θ in radians; `seen` is f there, None: that of a detector without tilt."""
        angle = np.asarray(two_theta, dtype=np.float64)
        flat, tangent = np.asarray(np.cos(angle) ** 2 if seen is None else seen), np.tan(angle / 2)
        sigma = np.sqrt(self.w * flat**2 + self.u * tangent**2)
        return np.deg2rad(sigma), np.deg2rad(self.y * flat + self.x * tangent)

    def extrapolated(self, two_theta: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether each 2θ (radians) lies outside the lines measured; the caller warns."""
        degrees = np.rad2deg(np.asarray(two_theta, dtype=np.float64))
        return np.asarray((degrees < self.valid[0]) | (degrees > self.valid[1]))

    def without(self, pixels: Mask) -> Instrument:
        """The same, knowing the pixels (rows, columns) of the detector that gave no count to the line standard."""
        return self.model_copy(update={"unseen": base64.b64encode(pack_mask(pixels)).decode()})

    def unseen_pixels(self, shape: tuple[int, int]) -> Mask | None:
        """Pixels that gave no count to the line standard, None where nothing is known of them.

        Raises
        ------
        FitError
            where they are those of a detector of another shape (rows, columns).
        """
        if self.unseen is None:
            return None
        try:
            return unpack_mask(base64.b64decode(self.unseen, validate=True), shape)
        except ValueError as error:
            raise FitError(f"the instrument's `unseen` cannot be used: {error}") from error

    def variations(self) -> list[Instrument]:
        """The instrument moved by 1σ along each principal axis of its covariance (those that move it)."""
        values, vectors = np.linalg.eigh(np.asarray(self.covariance))
        best = np.array([self.w, self.u, self.y, self.x])
        moved = []
        for value, vector in zip(values, vectors.T, strict=True):
            step = np.sqrt(max(value, 0.0)) * vector
            up, down = np.maximum(best + step, 0), np.maximum(best - step, 0)
            further = up if np.linalg.norm(up - best) >= np.linalg.norm(down - best) else down
            if np.any(further != best) and further.sum() > 0:
                moved.append(self.model_copy(update=dict(zip("wuyx", map(float, further), strict=True))))
        return moved


def load_instrument(path: str | Path) -> Instrument:
    """Read what `save_instrument` wrote.

    Raises
    ------
    ConfigError
        If the file is missing, is no YAML, or a key is wrong; the message names the key.
    """
    try:
        content = plain_yaml(read_text(Path(path), LARGEST))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"instrument {str(path)!r} cannot be read: {error}") from error
    try:
        return Instrument.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the file"
        raise ConfigError(
            f"instrument {str(path)!r}: {key}: {first['msg']}; braggstream calibrate writes it anew"
        ) from error


def save_instrument(instrument: Instrument, path: str | Path) -> None:
    """Write an instrument as YAML."""
    text = yaml.safe_dump(instrument.model_dump(mode="json"), sort_keys=False)
    Path(path).write_text(text, encoding="utf-8")
