"""Colour maps for pictures, from the same table as the page's."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

Limits = tuple[float, float]
STATIC = Path(__file__).parent / "static"
DISCRETE = frozenset({"classes", "reasons"})


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = orjson.loads((STATIC / "colours.json").read_bytes())
    return table


def _rgb(colours: list[str]) -> npt.NDArray[np.uint8]:
    return np.array([list(bytes.fromhex(colour[1:])) for colour in colours], dtype=np.uint8)


def lookup(palette: str) -> npt.NDArray[np.uint8]:
    """256 colours, shape (256, 3), interpolated between the anchors of the table."""
    anchors = _rgb(_table()["sequential"][palette]).astype(np.float64)
    at = np.linspace(0, len(anchors) - 1, 256)
    return np.stack([np.interp(at, np.arange(len(anchors)), anchors[:, i]) for i in range(3)], axis=1).astype(np.uint8)


def discrete(palette: str) -> npt.NDArray[np.uint8]:
    """Colours of whole numbers, shape (n, 3), safe for the colour-blind: Okabe and Ito's, and Tol's for masks."""
    return _rgb([*_table()["classes"].values(), *_table()["others"]] if palette == "classes" else _table()["reasons"])


def autoscale(plane: npt.NDArray[Any]) -> Limits:
    """1st and 99th percentile of what is finite."""
    finite = plane[np.isfinite(plane)]
    if not finite.size:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(finite, [1, 99]))
    return (low, high) if high > low else (low, low + 1.0)


def paint(plane: npt.NDArray[Any], palette: str, limits: Limits | None = None) -> npt.NDArray[np.uint8]:
    """RGBA picture of a plane, shape (rows, columns, 4); what is masked (NaN, class -1) is transparent."""
    if palette in DISCRETE:
        colours = discrete(palette)
        seen = plane >= 0
        index = np.where(seen, plane, 0).astype(np.intp) % len(colours)
    else:
        colours = lookup(palette)
        seen = np.isfinite(plane)
        low, high = limits or autoscale(plane)
        values = np.clip(np.where(seen, plane, low).astype(np.float64), low, high)
        index = np.rint((values - low) / (high - low) * 255).astype(np.intp)
    alpha = np.where(seen, 255, 0).astype(np.uint8)
    return np.concatenate([colours[index], alpha[..., None]], axis=-1)
