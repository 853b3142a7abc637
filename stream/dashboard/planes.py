"""A plane as the bytes of a file: npy, CSV, TIFF or PNG."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from stream.dashboard.colours import Limits, paint

Told = Mapping[str, Any]


def as_npy(array: npt.NDArray[Any]) -> bytes:
    """numpy's own format, whatever the shape and type."""
    out = io.BytesIO()
    np.save(out, np.ascontiguousarray(array), allow_pickle=False)
    return out.getvalue()


def as_csv(plane: npt.NDArray[Any]) -> bytes:
    """Rows of (y, x) between commas; what is masked is nan, or -1 in whole numbers."""
    out = io.BytesIO()
    np.savetxt(out, plane, delimiter=",", fmt="%d" if plane.dtype.kind in "iu" else "%.8g")
    return out.getvalue()


def as_tiff(array: npt.NDArray[Any], told: Told, step: tuple[float, float] | None = None) -> bytes:
    """A TIFF in float32, (y, x) or (z, y, x), that ImageJ opens with its scale; `told` is its Info, as JSON.

    step: µm between two pixels, and between two planes.
    """
    scale: dict[str, Any] = {} if step is None else {"resolution": (1 / step[0], 1 / step[0]), "resolutionunit": "NONE"}
    unit = {} if step is None else {"unit": "um", "spacing": step[1]}
    info = orjson.dumps(dict(told), option=orjson.OPT_SERIALIZE_NUMPY).decode()
    out = io.BytesIO()
    values = np.ascontiguousarray(array, dtype=np.float32)
    tifffile.imwrite(out, values, imagej=True, metadata={"Info": info, **unit}, **scale)
    return out.getvalue()


def as_png(plane: npt.NDArray[Any], palette: str, limits: Limits | None, told: Told) -> bytes:
    """A picture of (y, x) in the page's colours, what is masked transparent; `told` goes into its text."""
    text = PngInfo()
    text.add_text("Description", orjson.dumps(dict(told), option=orjson.OPT_SERIALIZE_NUMPY).decode())
    out = io.BytesIO()
    Image.fromarray(paint(plane, palette, limits)).save(out, format="png", pnginfo=text)
    return out.getvalue()
