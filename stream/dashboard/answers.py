"""Answers: JSON without NaN, and one array as JSON, npy, PNG, CSV or TIFF."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import orjson
import tifffile
from fastapi import HTTPException
from fastapi.responses import Response
from PIL import Image

from stream.dashboard.colours import Limits, paint

Format = Literal["json", "npy", "png", "csv", "tiff"]
META_HEADER = "X-Braggstream"
OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def dumps(value: Any) -> bytes:
    """JSON in which every number that is not finite is null."""
    return orjson.dumps(value, option=OPTIONS)


class Json(Response):
    """A JSON answer."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Bytes of `content`."""
        return dumps(content)


def array_answer(
    array: npt.NDArray[Any],
    form: Format,
    meta: Mapping[str, Any],
    palette: str = "viridis",
    limits: Limits | None = None,
) -> Response:
    """One array in the format asked for; `meta` goes along, as keys of the JSON or as a header.

    Raises
    ------
    HTTPException
        422 when a picture or a table of something that is not a plane is asked for.
    """
    if form == "json":
        return Json({**meta, "shape": array.shape, "data": np.ascontiguousarray(array)})
    if array.ndim != 2 and form in {"png", "csv"}:
        raise HTTPException(422, f"an array of shape {array.shape} has no {form} form: ask for one plane of it")
    body, media_type = _ENCODERS[form](array) if form != "png" else (_png(array, palette, limits), "image/png")
    return Response(body, media_type=media_type, headers={META_HEADER: json.dumps(meta)})


def _npy(array: npt.NDArray[Any]) -> tuple[bytes, str]:
    out = io.BytesIO()
    np.save(out, np.ascontiguousarray(array), allow_pickle=False)
    return out.getvalue(), "application/octet-stream"


def _csv(array: npt.NDArray[Any]) -> tuple[bytes, str]:
    out = io.BytesIO()
    np.savetxt(out, array, delimiter=",", fmt="%d" if array.dtype.kind in "iu" else "%.8g")
    return out.getvalue(), "text/csv; charset=utf-8"


def _tiff(array: npt.NDArray[Any]) -> tuple[bytes, str]:
    out = io.BytesIO()
    tifffile.imwrite(out, np.ascontiguousarray(array))
    return out.getvalue(), "image/tiff"


def _png(array: npt.NDArray[Any], palette: str, limits: Limits | None) -> bytes:
    out = io.BytesIO()
    Image.fromarray(paint(array, palette, limits)).save(out, format="png")
    return out.getvalue()


_ENCODERS = {"npy": _npy, "csv": _csv, "tiff": _tiff}
