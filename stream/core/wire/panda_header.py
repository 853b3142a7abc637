"""What a PandABox says of a capture before its rows: the XML header of the framed modes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from stream.core.errors import MessageError, Reject

LONGEST_HEADER = 1 << 15
SAMPLES = "SAMPLES"
"""The column that comes first without being named, in raw captures: over how many clock ticks a mean was taken."""

_MOST_ELEMENTS = 1_000
_TYPES = {"uint32": "<u4", "int32": "<i4", "uint64": "<u8", "int64": "<i8", "double": "<f8"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureField:
    """One column: ``COUNTER1.OUT`` captured as ``Value``, ``Min``, ``Max``, ``Mean``, …

    A raw number n stands for n · scale + offset in `units`, where a mean is first divided by its samples; a scaled
    capture has done that.
    """

    name: str
    capture: str
    dtype: np.dtype[Any]
    scale: float
    offset: float
    units: str

    @property
    def column(self) -> str:
        """Its name in the rows: one quantity may be captured in several ways."""
        return f"{self.name}.{self.capture}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureStart:
    """The box is armed. dtype is that of a row; times are the box's own texts, None where it tells none."""

    fields: tuple[CaptureField, ...]
    dtype: np.dtype[np.void]
    raw: bool
    missed: int
    arm_time: str | None
    start_time: str | None

    def scaled(self, rows: npt.NDArray[np.void]) -> dict[str, npt.NDArray[np.float64]]:
        """Rows as columns in the fields' units, each of shape (rows,).

        As pandablocks-client does it (`hdf.FrameProcessor`). A raw mean over no samples is NaN.
        """
        columns = {}
        for one in self.fields:
            values = rows[one.column].astype(np.float64)
            if self.raw:
                if one.capture == "Mean":
                    samples = rows[SAMPLES].astype(np.float64)
                    values = np.divide(values, samples, out=np.full_like(values, np.nan), where=samples > 0)
                values = values * one.scale + one.offset
            columns[one.column] = values
        return columns


def read_header(text: bytes) -> CaptureStart:
    """The header between ``<header>`` and ``</header>``.

    Raises
    ------
    MessageError
        DTYPE for an unknown type of number, SIZE where the fields do not make up a row, NOT_DECODABLE else.
    """
    root = _parse(text)
    data = root.find("data")
    if data is None:
        raise MessageError(Reject.NOT_DECODABLE, "the header of a capture has no data element")
    fields = tuple(_field(element) for element in root.iterfind("fields/field"))
    raw = data.get("process") == "Raw"
    return CaptureStart(
        fields=fields,
        dtype=_row(fields, _number(data, "sample_bytes")),
        raw=raw,
        missed=int(_number(data, "missed", "0")),
        arm_time=data.get("arm_time"),
        start_time=data.get("start_time"),
    )


def _parse(text: bytes) -> ElementTree.Element:
    """No declarations: without them XML has no entities that could expand or point elsewhere."""
    if b"<!" in text or b"<?" in text:
        raise MessageError(Reject.NOT_DECODABLE, "the header of a capture declares a document type or entities")
    if text.count(b"<") > _MOST_ELEMENTS:
        raise MessageError(Reject.SIZE, f"the header of a capture has more than {_MOST_ELEMENTS} elements")
    try:
        return ElementTree.fromstring(text.decode())  # noqa: S314 - refused above what makes XML dangerous
    except (ElementTree.ParseError, ValueError) as error:
        raise MessageError(Reject.NOT_DECODABLE, f"the header of a capture: {error}") from error


def _field(element: ElementTree.Element) -> CaptureField:
    kind = element.get("type", "")
    if kind not in _TYPES:
        raise MessageError(Reject.DTYPE, f"a capture's field is of type {kind[:20]!r}, not {', '.join(_TYPES)}")
    return CaptureField(
        name=_text(element, "name"),
        capture=_text(element, "capture"),
        dtype=np.dtype(_TYPES[kind]),
        scale=_number(element, "scale", "1"),
        offset=_number(element, "offset", "0"),
        units=element.get("units", ""),
    )


def _row(fields: tuple[CaptureField, ...], size: float) -> np.dtype[np.void]:
    """The row: the fields in order, before them the samples where `size` leaves room for them."""
    columns = [(one.column, one.dtype) for one in fields]
    told = sum(one.dtype.itemsize for one in fields)
    if size == told + 4:
        columns.insert(0, (SAMPLES, np.dtype("<u4")))
    elif size != told or not told:
        raise MessageError(Reject.SIZE, f"a capture's rows have {size:g} bytes, its fields {told}")
    if len({name for name, _ in columns}) != len(columns):
        raise MessageError(Reject.NOT_DECODABLE, "two fields of a capture have one name")
    return np.dtype(columns)


def _text(element: ElementTree.Element, key: str) -> str:
    value = element.get(key)
    if not value:
        raise MessageError(Reject.NOT_DECODABLE, f"a capture's {element.tag} has no {key}")
    return value


def _number(element: ElementTree.Element, key: str, default: str | None = None) -> float:
    """A finite number."""
    text = element.get(key, default) or ""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise MessageError(Reject.NOT_DECODABLE, f"a capture's {element.tag}: {key} is {text[:20]!r}, not a number")
    return value
