"""Answers: JSON without NaN, and one array as JSON, npy, PNG, CSV or TIFF."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import orjson
from fastapi import HTTPException
from fastapi.responses import Response
from pydantic import BaseModel, Field

from stream.dashboard.colours import Limits
from stream.dashboard.planes import as_csv, as_npy, as_png, as_tiff

Format = Literal["json", "npy", "png", "csv", "tiff"]
META_HEADER = "X-Braggstream"
MEDIA_TYPES = {
    "npy": "application/octet-stream",
    "csv": "text/csv; charset=utf-8",
    "png": "image/png",
    "tiff": "image/tiff",
}
FORMS: dict[int | str, dict[str, Any]] = {
    200: {"content": {kind.partition(";")[0]: {"schema": {"format": "binary"}} for kind in MEDIA_TYPES.values()}}
}
"""Of an array, besides JSON: for the schema of the interface."""
OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


class Refusal(BaseModel):
    """Every answer that is no success."""

    detail: str = Field(description="why, in one sentence")


REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Refusal, "description": "a Host header that is not this machine's, or a body that does not parse"},
    401: {"model": Refusal, "description": "the key is missing or wrong"},
    404: {"model": Refusal, "description": "no such scan, map, slice, voxel, or not yet"},
    413: {"model": Refusal, "description": "a body that is too large"},
    422: {"model": Refusal, "description": "a value that cannot be used, named"},
    503: {"model": Refusal, "description": "a file of the run cannot be read"},
}


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
    if form == "png":
        body = as_png(array, palette, limits, meta)
    elif form == "tiff":
        body = as_tiff(array, meta)
    else:
        body = as_csv(array) if form == "csv" else as_npy(array)
    return Response(body, media_type=MEDIA_TYPES[form], headers={META_HEADER: json.dumps(meta)})
