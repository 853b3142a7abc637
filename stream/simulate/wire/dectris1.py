"""DECTRIS Stream V1 (SIMPLON 1.8, "legacy")."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from stream.simulate.wire.pixels import Pixels, compress
from stream.simulate.wire.series import DATE, DEAD_TIME, FRAME_TIME, Series, to_json


class DectrisV1:
    """DECTRIS Stream V1, header_detail basic, with header and image appendix."""

    def __init__(self, series: Series) -> None:
        self.series = series

    def start(self) -> list[bytes]:
        s = self.series
        rows, columns = s.pixel_mask.shape
        config = {
            "auto_summation": True,
            "beam_center_x": 0.0,
            "beam_center_y": 0.0,
            "bit_depth_image": 8 * np.dtype(s.dtype).itemsize,
            "bit_depth_readout": 16,
            "compression": "bslz4",
            "count_time": FRAME_TIME - DEAD_TIME,
            "countrate_correction_applied": False,
            "data_collection_date": DATE,
            "description": "braggstream virtual detector",
            "detector_distance": 0.0,
            "detector_number": "V-00-0001",
            "detector_readout_time": DEAD_TIME,
            "detector_translation": [0.0, 0.0, 0.0],
            "flatfield_correction_applied": True,
            "frame_time": FRAME_TIME,
            "nimages": s.frames,
            "ntrigger": 1,
            "number_of_excluded_pixels": int(np.count_nonzero(s.pixel_mask)),
            "photon_energy": s.energy,
            "pixel_mask_applied": True,
            "sensor_material": "Si",
            "sensor_thickness": 0.00045,
            "software_version": "1.8.0",
            "threshold_energy": s.energy / 2,
            "trigger_mode": "exts",
            "wavelength": s.wavelength,
            "x_pixel_size": s.pixel_size[1],
            "x_pixels_in_detector": columns,
            "y_pixel_size": s.pixel_size[0],
            "y_pixels_in_detector": rows,
        }
        head = {"header_detail": "basic", "htype": "dheader-1.0", "series": s.number}
        return [to_json(head), to_json(config), to_json(s.appendix)]

    def image(self, frame: int, pixels: Pixels, appendix: Mapping[str, Any]) -> list[bytes]:
        blob = compress(pixels)
        layout = to_json(
            {
                "encoding": f"bs{8 * pixels.itemsize}-lz4<",
                "htype": "dimage_d-1.0",
                "shape": list(pixels.shape[::-1]),
                "size": len(blob),
                "type": pixels.dtype.name,
            }
        )
        begin = round(frame * FRAME_TIME * 1e9)
        live = round((FRAME_TIME - DEAD_TIME) * 1e9)
        digest = hashlib.md5(layout, usedforsecurity=False).hexdigest()  # of part 2, as the detector does
        number = frame + self.series.first_frame
        head = {"frame": number, "hash": digest, "htype": "dimage-1.0", "series": self.series.number}
        times = {"htype": "dconfig-1.0", "real_time": live, "start_time": begin, "stop_time": begin + live}
        return [to_json(head), layout, blob, to_json(times), to_json(appendix)]

    def end(self) -> list[bytes]:
        return [to_json({"htype": "dseries_end-1.0", "series": self.series.number})]
