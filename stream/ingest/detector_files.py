"""A detector's own HDF5 files (DECTRIS filewriter, NeXus) as the DECTRIS V1 messages it would have streamed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import orjson

from stream.core.errors import StoreError
from stream.core.messages import Parts

SERIES = 1
_LZ4 = 2  # the compressor's number in the bit shuffle filter's options
_SETTINGS = {
    "wavelength": "entry/instrument/beam/incident_wavelength",
    "x_pixel_size": "entry/instrument/detector/x_pixel_size",
    "y_pixel_size": "entry/instrument/detector/y_pixel_size",
    "countrate_correction_count_cutoff": (
        "entry/instrument/detector/detectorSpecific/countrate_correction_count_cutoff"
    ),
}
"""Of the series' configuration, what the receiver uses."""


def read_frames(path: Path) -> Iterator[Parts]:
    """A header, an image for each stored frame, an end.

    The frames are those of ``/entry/data/data_000001``, … in order (links to other files are followed) or of
    ``/entry/data/data``, numbered from 0; one that was never written is left out, and its number with it. Pixels
    compressed by bitshuffle-LZ4 travel as they are stored, others as plain numbers.

    Raises
    ------
    StoreError
        naming the file, where it has no frames or one cannot be read.
    """
    try:
        with h5py.File(path, "r") as file:
            datasets = _datasets(path, file)
            yield [_json(htype="dheader-1.0", series=SERIES, header_detail="basic"), _configuration(file, datasets)]
            frame = 0
            for dataset in datasets:
                for row in range(len(dataset)):
                    if _is_written(dataset, row):
                        yield _image(dataset, row, frame)
                    frame += 1
            yield [_json(htype="dseries_end-1.0", series=SERIES)]
    except (OSError, RuntimeError, ValueError, KeyError) as error:  # h5py has no error of its own
        raise StoreError(f"{path} cannot be read: {' '.join(str(error).split())}") from error


def _datasets(path: Path, file: h5py.File) -> list[h5py.Dataset]:
    data = file.get("entry/data")
    names = list(data) if isinstance(data, h5py.Group) else []
    numbered = sorted(name for name in names if re.fullmatch(r"data_\d+", name))
    datasets = [data[name] for name in numbered or [name for name in names if name == "data"]]
    if not datasets or any(not isinstance(d, h5py.Dataset) or d.ndim != 3 for d in datasets):
        raise StoreError(f"{path} holds neither messages nor frames in /entry/data")
    if any(d.shape[1:] != datasets[0].shape[1:] or d.dtype.kind != "u" for d in datasets):
        raise StoreError(f"{path}: its frames are not unsigned integers of one shape")
    return datasets


def _configuration(file: h5py.File, datasets: list[h5py.Dataset]) -> bytes:
    rows, columns = datasets[0].shape[1:]
    settings = {key: float(np.ravel(file[place][()])[0]) for key, place in _SETTINGS.items() if place in file}
    count = sum(map(len, datasets))
    return _json(x_pixels_in_detector=columns, y_pixels_in_detector=rows, nimages=count, ntrigger=1, **settings)


def _is_written(dataset: h5py.Dataset, row: int) -> bool:
    if dataset.chunks is None or dataset.is_virtual or dataset.chunks[0] != 1:
        return True
    return dataset.id.get_chunk_info_by_coord((row, 0, 0)).byte_offset is not None


def _image(dataset: h5py.Dataset, row: int, frame: int) -> Parts:
    encoding, blob = _pixels(dataset, row)
    rows, columns = dataset.shape[1:]
    return [
        _json(htype="dimage-1.0", series=SERIES, frame=frame, hash=""),
        _json(
            htype="dimage_d-1.0",
            shape=[columns, rows],  # V1 names the fast axis first
            type=dataset.dtype.name,
            encoding=encoding,
            size=len(blob),
        ),
        blob,
        _json(htype="dconfig-1.0"),
    ]


def _pixels(dataset: h5py.Dataset, row: int) -> tuple[str, bytes]:
    """Encoding and bytes of one frame: the chunk as it is where that is bitshuffle-LZ4."""
    order = ">" if dataset.dtype.byteorder == ">" else "<"
    if dataset.chunks == (1, *dataset.shape[1:]) and _shuffled(dataset):
        skipped, blob = dataset.id.read_direct_chunk((row, 0, 0))
        if not skipped:
            return f"bs{8 * dataset.dtype.itemsize}-lz4{order}", blob
    return order, np.ascontiguousarray(dataset[row]).tobytes()


def _shuffled(dataset: h5py.Dataset) -> bool:
    """True where bitshuffle-LZ4 of whole elements is the one filter."""
    filters = dataset.id.get_create_plist()
    if filters.get_nfilters() != 1:
        return False
    number, _, options, _ = filters.get_filter(0)
    # options: version, version, element size, block size, compressor
    return (
        number == hdf5plugin.BSHUF_ID
        and len(options) > 4
        and options[4] == _LZ4
        and options[2] == dataset.dtype.itemsize
    )


def _json(**values: Any) -> bytes:
    return orjson.dumps(values)
