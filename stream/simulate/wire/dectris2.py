"""DECTRIS Stream V2 ("cbor")."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import cbor2
import numpy as np

from stream.simulate.wire.pixels import Pixels, compress
from stream.simulate.wire.series import DATE, DEAD_TIME, FRAME_TIME, Series

TICKS = 50_000_000  # per second, denominator of the times
ARRAY_TAGS = {1: 64, 2: 69, 4: 70}  # RFC 8746, little endian
SELF_DESCRIBED, MULTI_DIM, COMPRESSED, DATE_TIME = 55799, 40, 56500, 0


class DectrisV2:
    """DECTRIS Stream V2, one channel `threshold_1`, appendices as JSON text."""

    CHANNEL = "threshold_1"

    def __init__(self, series: Series) -> None:
        self.series = series

    def start(self) -> list[bytes]:
        s = self.series
        rows, columns = s.pixel_mask.shape
        return self._message(
            "start",
            arm_date=cbor2.CBORTag(DATE_TIME, DATE),
            beam_center_x=0.0,
            beam_center_y=0.0,
            channels=[self.CHANNEL],
            count_time=FRAME_TIME - DEAD_TIME,
            countrate_correction_enabled=False,
            detector_description="braggstream virtual detector",
            detector_serial_number="V-00-0001",
            detector_translation=[0.0, 0.0, 0.0],
            flatfield_enabled=True,
            frame_time=FRAME_TIME,
            image_dtype=s.dtype,
            image_size_x=columns,
            image_size_y=rows,
            incident_energy=s.energy,
            incident_wavelength=s.wavelength,
            number_of_images=s.frames,
            pixel_mask={self.CHANNEL: _array(s.pixel_mask)},
            pixel_mask_enabled=True,
            pixel_size_x=s.pixel_size[1],
            pixel_size_y=s.pixel_size[0],
            saturation_value=int(np.iinfo(s.dtype).max) - 1,
            sensor_material="Si",
            sensor_thickness=0.00045,
            threshold_energy={self.CHANNEL: s.energy / 2},
            user_data=json.dumps(s.appendix),
            virtual_pixel_interpolation_enabled=False,
        )

    def image(self, frame: int, pixels: Pixels, appendix: Mapping[str, Any]) -> list[bytes]:
        begin = round(frame * FRAME_TIME * TICKS)
        live = round((FRAME_TIME - DEAD_TIME) * TICKS)
        return self._message(
            "image",
            image_id=frame + self.series.first_frame,
            data={self.CHANNEL: _array(pixels)},
            real_time=[live, TICKS],
            series_date=cbor2.CBORTag(DATE_TIME, DATE),
            start_time=[begin, TICKS],
            stop_time=[begin + live, TICKS],
            user_data=json.dumps(dict(appendix)),
        )

    def end(self) -> list[bytes]:
        return self._message("end")

    def _message(self, kind: str, **content: Any) -> list[bytes]:
        head = {"type": kind, "series_id": self.series.number, "series_unique_id": self.series.unique_id}
        return [cbor2.dumps(cbor2.CBORTag(SELF_DESCRIBED, {**head, **content}))]


def _array(pixels: Pixels) -> cbor2.CBORTag:
    """MultiDimArray of a compressed TypedArray."""
    blob = cbor2.CBORTag(COMPRESSED, ["bslz4", pixels.itemsize, compress(pixels)])
    return cbor2.CBORTag(MULTI_DIM, [list(pixels.shape), cbor2.CBORTag(ARRAY_TAGS[pixels.itemsize], blob)])
