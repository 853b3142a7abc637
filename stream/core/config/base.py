"""What every section shares: unknown keys refused, names that are safe as Tiled keys and file names, ranges."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo


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


def _place(value: str, info: ValidationInfo) -> str:
    kind, _, where = value.partition(":")
    if kind not in {"env", "file"} or not where:
        raise ValueError("must be env:NAME or file:PATH, so that no key is stored in a config or a result")
    folder: Path | None = info.context  # of the config file
    return f"file:{folder / where}" if kind == "file" and folder is not None else value


Name = Annotated[str, AfterValidator(_safe_name)]
Range = Annotated[tuple[float, float], AfterValidator(_ascending)]
KeyPlace = Annotated[str, AfterValidator(_place)]
"""Where a key is."""
