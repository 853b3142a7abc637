"""Frames as a DECTRIS detector sends them: Stream V1 (JSON and blobs) and V2 (CBOR)."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from typing import Any, Literal, Protocol

import cbor2
import h5py
import hdf5plugin
import numpy as np
import numpy.typing as npt

from stream.core.errors import UsageError

Format = Literal["dectris-1", "dectris-2"]
Pixels = npt.NDArray[np.unsignedinteger[Any]]
ULID = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
TICKS = 50_000_000  # per second, denominator of V2's times
FRAME_TIME = 0.002
DATE = "2024-09-30T12:00:00.000+02:00"  # fixed: the same seed gives the same bytes
ARRAY_TAGS = {1: 64, 2: 69, 4: 70}  # RFC 8746, little endian
SELF_DESCRIBED, MULTI_DIM, COMPRESSED, DATE_TIME = 55799, 40, 56500, 0


def compress(pixels: Pixels) -> bytes:
    """Bitshuffle-LZ4 as in HDF5 filter 32008: the bytes of a chunk that the filter wrote."""
    with h5py.File(io.BytesIO(), "w") as file:
        data = file.create_dataset(
            "x", data=pixels, chunks=pixels.shape, compression=hdf5plugin.Bitshuffle(cname="lz4")
        )
        _, chunk = data.id.read_direct_chunk((0,) * pixels.ndim)
    return bytes(chunk)


class Encoder(Protocol):
    """Messages of one series; each is a list of parts."""

    def start(self) -> list[bytes]:
        """The series begins."""
        ...

    def image(self, frame: int, pixels: Pixels, appendix: Mapping[str, Any]) -> list[bytes]:
        """One exposure."""
        ...

    def end(self) -> list[bytes]:
        """The series is over."""
        ...


class Series:
    """What both protocols tell about a series.

    Parameters
    ----------
    frames
        announced number of images.
    pixel_mask
        (rows, columns) uint32, NeXus bits.
    wavelength
        in Å.
    pixel_size
        (rows, columns) in m.
    seed
        names the series.
    """

    def __init__(
        self,
        frames: int,
        pixel_mask: npt.NDArray[np.uint32],
        wavelength: float,
        pixel_size: tuple[float, float],
        seed: int,
    ) -> None:
        self.frames, self.pixel_mask, self.wavelength, self.pixel_size = frames, pixel_mask, wavelength, pixel_size
        self.number = 1 + seed % 65535
        digest = int.from_bytes(hashlib.sha256(f"braggstream {seed}".encode()).digest()[:16], "big")
        self.unique_id = "".join(ULID[digest >> 5 * i & 31] for i in range(25, -1, -1))
        self.appendix = {"source": "braggstream simulate", "seed": seed}

    @property
    def energy(self) -> float:
        """Photon energy in eV."""
        return 12398.419843320026 / self.wavelength


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
            "bit_depth_image": 16,
            "bit_depth_readout": 16,
            "compression": "bslz4",
            "count_time": FRAME_TIME - 1e-7,
            "countrate_correction_applied": False,
            "data_collection_date": DATE,
            "description": "braggstream virtual detector",
            "detector_distance": 0.0,
            "detector_number": "V-00-0001",
            "detector_readout_time": 1e-7,
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
        return [_json(head), _json(config), _json(s.appendix)]

    def image(self, frame: int, pixels: Pixels, appendix: Mapping[str, Any]) -> list[bytes]:
        blob = compress(pixels)
        layout = _json(
            {
                "encoding": f"bs{8 * pixels.itemsize}-lz4<",
                "htype": "dimage_d-1.0",
                "shape": list(pixels.shape[::-1]),
                "size": len(blob),
                "type": pixels.dtype.name,
            }
        )
        begin = round(frame * FRAME_TIME * 1e9)
        live = round((FRAME_TIME - 1e-7) * 1e9)
        digest = hashlib.md5(layout, usedforsecurity=False).hexdigest()  # of part 2, as the detector does
        head = {"frame": frame, "hash": digest, "htype": "dimage-1.0", "series": self.series.number}
        times = {"htype": "dconfig-1.0", "real_time": live, "start_time": begin, "stop_time": begin + live}
        return [_json(head), layout, blob, _json(times), _json(appendix)]

    def end(self) -> list[bytes]:
        return [_json({"htype": "dseries_end-1.0", "series": self.series.number})]


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
            count_time=FRAME_TIME - 1e-7,
            countrate_correction_enabled=False,
            detector_description="braggstream virtual detector",
            detector_serial_number="V-00-0001",
            detector_translation=[0.0, 0.0, 0.0],
            flatfield_enabled=True,
            frame_time=FRAME_TIME,
            image_dtype="uint16",
            image_size_x=columns,
            image_size_y=rows,
            incident_energy=s.energy,
            incident_wavelength=s.wavelength,
            number_of_images=s.frames,
            pixel_mask={self.CHANNEL: _array(s.pixel_mask)},
            pixel_mask_enabled=True,
            pixel_size_x=s.pixel_size[1],
            pixel_size_y=s.pixel_size[0],
            saturation_value=65534,
            sensor_material="Si",
            sensor_thickness=0.00045,
            threshold_energy={self.CHANNEL: s.energy / 2},
            user_data=json.dumps(s.appendix),
            virtual_pixel_interpolation_enabled=False,
        )

    def image(self, frame: int, pixels: Pixels, appendix: Mapping[str, Any]) -> list[bytes]:
        begin = round(frame * FRAME_TIME * TICKS)
        live = round((FRAME_TIME - 1e-7) * TICKS)
        return self._message(
            "image",
            image_id=frame,
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


def make_encoder(name: str, series: Series) -> Encoder:
    """The encoder of a format.

    Raises
    ------
    UsageError
        naming the formats there are.
    """
    encoders: dict[str, type[DectrisV1] | type[DectrisV2]] = {"dectris-1": DectrisV1, "dectris-2": DectrisV2}
    if name not in encoders:
        raise UsageError(f"the format {name!r} cannot be simulated; there are {', '.join(encoders)}")
    return encoders[name](series)


def _array(pixels: Pixels) -> cbor2.CBORTag:
    """MultiDimArray of a compressed TypedArray."""
    blob = cbor2.CBORTag(COMPRESSED, ["bslz4", pixels.itemsize, compress(pixels)])
    return cbor2.CBORTag(MULTI_DIM, [list(pixels.shape), cbor2.CBORTag(ARRAY_TAGS[pixels.itemsize], blob)])


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()
