"""Spectra on their way: STINS as an Xspress3 of MAX IV sends it, without compression and message numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import zmq

from stream.core.config import FluorescenceConfig
from stream.simulate.sockets import Context, Outlet
from stream.simulate.wire.series import FRAME_TIME, to_json


@dataclass(frozen=True, slots=True)
class SpectraOutlet:
    """Where spectra go, and the number of the first; publish is PUB in the place of PUSH, connect to one that binds."""

    endpoint: str
    first_frame: int = 0
    publish: bool = False
    connect: bool = False

    @classmethod
    def from_config(cls, section: FluorescenceConfig, endpoint: str | None) -> SpectraOutlet:
        """Where the run of a config expects them, unless `endpoint` says otherwise."""
        address = endpoint or section.endpoint
        return cls(address, section.first_frame or 0, section.socket == "sub", section.bind)

    def open(self, context: Context, secret: bytes | None = None) -> Outlet:
        """The socket; any number of spectra may wait in it, so that frames never wait for spectra."""
        kind = zmq.XPUB if self.publish else zmq.PUSH
        return Outlet(context, kind, self.endpoint, 0, connect=self.connect, secret=secret)


def spectra_message(frame: int, counts: npt.NDArray[np.uint32], told: Mapping[str, Any]) -> list[bytes]:
    """Counts (element, channel) of a frame."""
    header = {"htype": "image", "frame": frame, "shape": list(counts.shape), "exptime": FRAME_TIME}
    return [to_json({**header, "type": counts.dtype.name, "compression": "none", **told}), counts.tobytes()]


def spectra_border(kind: str) -> list[bytes]:
    """The start or the end of a series."""
    return [to_json({"htype": "header", "filename": ""} if kind == "start" else {"htype": "series_end"})]
