"""The vocabulary of the pipeline: what a detector says, and what the stages hand to each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from stream.core.errors import MessageError

Algorithm = Literal["raw", "lz4", "lz4-hdf5", "bslz4"]
Parts = Sequence[bytes | memoryview]
"""The parts of one multipart message, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedArray:
    """An array as it travels: nothing is decompressed yet.

    shape
        (rows, columns), slow axis first whatever the protocol says.
    dtype
        of the decoded elements, byte order included.
    algorithm
        ``raw``, ``lz4`` (one bare block), ``lz4-hdf5`` (filter 32004) or ``bslz4`` (filter 32008).
    element_size
        bytes that the bit shuffle works on; 0 where there is none.
    data
        the compressed bytes, a view of the message.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    algorithm: Algorithm
    element_size: int
    data: bytes | memoryview


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesStart:
    """A detector series begins.

    settings holds the detector's own configuration with its own keys (empty where it sent none), appendix
    what the control system attached: a mapping when it parses as one. Wavelength is in Å, pixel sizes in m,
    shape is (rows, columns); each is None where the header does not tell. number is the detector's own count of
    its series, message that of its messages; None where it keeps none.
    """

    series: str
    number: int | None = None
    message: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    appendix: Mapping[str, Any] | str | bytes | None = None
    channels: tuple[str, ...] = ()
    shape: tuple[int, int] | None = None
    wavelength: float | None = None
    pixel_size: tuple[float, float] | None = None
    saturation: int | None = None
    mask: Mapping[str, EncodedArray] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One exposure. channels maps a threshold's name to its pixels; V1 has the one channel ``""``.

    real_time is the live exposure in seconds, None where it is not told; number and message as in `SeriesStart`.
    """

    series: str
    frame: int
    number: int | None = None
    message: int | None = None
    channels: Mapping[str, EncodedArray]
    real_time: float | None = None
    appendix: Mapping[str, Any] | str | bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesEnd:
    """A detector series is over."""

    series: str
    number: int | None = None
    message: int | None = None


Event = SeriesStart | Image | SeriesEnd


@dataclass(frozen=True, slots=True, kw_only=True)
class Armed:
    """A monitor or encoder begins a series of readings; message is its own count of its messages."""

    message: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """Rows of a monitor or encoder: values[key] has shape (rows,), and row k belongs to frame first + k."""

    first: int
    values: Mapping[str, npt.NDArray[np.float64]]
    message: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disarmed:
    """A monitor's series of readings is over."""

    message: int | None = None


MonitorEvent = Armed | Readings | Disarmed


class Decoder(Protocol):
    """Bytes of one message in, one event out; no sockets, no state between messages."""

    def __call__(self, parts: Parts) -> Event:
        """Decode one message.

        Raises
        ------
        MessageError
            for anything that is not a well-formed message of this protocol; never another exception.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """One integrated frame, before the monitor.

    sums, norms, variances have shape (bins,): corrected counts, the weights they are divided by, and the
    Poisson variance of the sums. A bin with norm 0 was reached by no valid pixel.
    """

    sums: npt.NDArray[np.float32]
    norms: npt.NDArray[np.float32]
    variances: npt.NDArray[np.float32]


class Integrate(Protocol):
    """The integration seam: pixels in, pattern out; CPU, OpenCL and CUDA stand behind it."""

    def __call__(self, image: npt.NDArray[Any]) -> Pattern:
        """Integrate one (rows, columns) image of unsigned integers."""
        ...

    def many(self, arrays: Sequence[EncodedArray]) -> list[Pattern | MessageError]:
        """Integrate images as they were sent, each on its own account: an error stands in its pattern's place."""
        ...

    def for_series(self, mask: npt.NDArray[np.bool_] | None, saturation: int | None) -> Integrate:
        """The same axis with what a series' header tells: more masked pixels, the largest valid count."""
        ...
