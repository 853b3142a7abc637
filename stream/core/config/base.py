"""What every section shares: unknown keys refused, names that are safe as Tiled keys and file names, ranges."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict


class Section(BaseModel):
    """A section of the config; frozen, and a key it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


def _safe_name(name: str) -> str:
    allowed = name and all(c.isascii() and (c.isalnum() or c in "._-") for c in name)
    if not allowed or name in {".", ".."}:
        raise ValueError("must be made of letters, digits, '.', '_' and '-'")
    return name


def _ascending(value: tuple[float, float]) -> tuple[float, float]:
    if not value[1] > value[0]:
        raise ValueError("must be [low, high] with low < high")
    return value


Name = Annotated[str, AfterValidator(_safe_name)]
Range = Annotated[tuple[float, float], AfterValidator(_ascending)]
