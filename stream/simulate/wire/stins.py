"""MAX IV STINS ("stream1"): JSON headers without a word on detector or mask, messages counted for life."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stream.simulate.wire.pixels import Pixels, compress
from stream.simulate.wire.series import Series, to_json


class Stins:
    """STINS with metadata beside the header; an image's appendix is further keys of its header.

    A message's number is that of its making, so that what is lost on the way leaves a gap.
    """

    def __init__(self, series: Series) -> None:
        self.series = series

    def start(self) -> list[bytes]:
        header = {"htype": "header", "filename": "", "msg_number": self.series.message}
        return [to_json(header), to_json(self.series.appendix)]

    def image(self, frame: int, pixels: Pixels, appendix: Mapping[str, Any]) -> list[bytes]:
        header = {
            "htype": "image",
            "frame": frame + self.series.first_frame,
            "shape": list(pixels.shape),
            "type": pixels.dtype.name,
            "compression": "bslz4",
            "msg_number": self.series.message + 1 + frame,
            **appendix,
        }
        return [to_json(header), compress(pixels)]

    def end(self) -> list[bytes]:
        return [to_json({"htype": "series_end", "msg_number": self.series.message + 1 + self.series.frames})]
