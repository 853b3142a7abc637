"""What every section shares: unknown keys refused, names that are safe as Tiled keys and file names, ranges."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic_core import PydanticCustomError


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


def only(*available: object) -> AfterValidator:
    """Refuse a value that the interface knows but this version does not do yet."""

    def check(value: object) -> object:
        if value not in available:
            choice = " or ".join(map(_shown, available))
            raise PydanticCustomError("unavailable", "not available in this version, only {choice}", {"choice": choice})
        return value

    return AfterValidator(check)


def _shown(value: object) -> str:
    """The value as YAML has it."""
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
