"""Frames as a detector sends them: DECTRIS Stream V1 (JSON and blobs) and V2 (CBOR), MAX IV STINS (JSON and blobs)."""

from __future__ import annotations

from stream.core.errors import UsageError
from stream.simulate.wire.dectris1 import DectrisV1
from stream.simulate.wire.dectris2 import DectrisV2
from stream.simulate.wire.pixels import compress, retype
from stream.simulate.wire.series import Encoder, Series
from stream.simulate.wire.stins import Stins

__all__ = ["DectrisV1", "DectrisV2", "Encoder", "Series", "Stins", "compress", "make_encoder", "retype"]

_ENCODERS: dict[str, type[DectrisV1] | type[DectrisV2] | type[Stins]] = {
    "dectris-1": DectrisV1,
    "dectris-2": DectrisV2,
    "stins": Stins,
}


def make_encoder(name: str, series: Series) -> Encoder:
    """The encoder of a format.

    Raises
    ------
    UsageError
        naming the formats there are.
    """
    if name not in _ENCODERS:
        raise UsageError(f"the format {name!r} cannot be simulated; there are {', '.join(_ENCODERS)}")
    return _ENCODERS[name](series)
