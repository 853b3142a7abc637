"""A detector's own HDF5 files (DECTRIS filewriter, NeXus) as the DECTRIS V1 messages it would have streamed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import orjson

from stream.core.errors import StoreError
from stream.core.messages import Parts

_LZ4 = 2  # the compressor's number in the bit shuffle filter's options
_DETECTOR = "entry/instrument/detector"
_SETTINGS = {
    "wavelength": "entry/instrument/beam/incident_wavelength",
    "x_pixel_size": f"{_DETECTOR}/x_pixel_size",
    "y_pixel_size": f"{_DETECTOR}/y_pixel_size",
    "countrate_correction_count_cutoff": f"{_DETECTOR}/detectorSpecific/countrate_correction_count_cutoff",
}
"""Of the series' configuration, what the receiver uses."""
_MASKS = (f"{_DETECTOR}/detectorSpecific/pixel_mask", f"{_DETECTOR}/pixel_mask")


def read_frames(path: Path, first: int = 0, series: int = 1) -> Iterator[Parts]:
    """A header, an image for each stored frame, an end.

    The frames are those of ``/entry/data/data_000001``, … in order (links to other files are followed), of
    ``/entry/data/data`` or ``/entry/instrument/detector/data``, or of the file's default plot; one that was never
    written is left out, and its number with it. Pixels compressed by bitshuffle-LZ4 travel as they are stored, others
    as plain numbers. A stored pixel mask comes with the header.

    Parameters
    ----------
    first
        number of the first frame.
    series
        number of the series.

    Raises
    ------
    StoreError
        naming the file, where it has no frames or one cannot be read.
    """
    try:
        with h5py.File(path, "r") as file:
            datasets = _datasets(path, file)
            yield _header(file, datasets, series)
            frame = first
            for dataset in datasets:
                for row in range(len(dataset)):
                    if _is_written(dataset, row):
                        yield _image(dataset, row, frame, series)
                    frame += 1
            yield [_json(htype="dseries_end-1.0", series=series)]
    except (OSError, RuntimeError, ValueError, KeyError) as error:  # h5py has no error of its own
        raise StoreError(f"{path} cannot be read: {' '.join(str(error).split())}") from error


def _datasets(path: Path, file: h5py.File) -> list[h5py.Dataset]:
    data = file.get("entry/data")
    names = list(data) if isinstance(data, h5py.Group) else []
    numbered = sorted(name for name in names if re.fullmatch(r"data_\d+", name))
    datasets = [data[name] for name in numbered] or _one_dataset(file)
    if not datasets or any(not isinstance(d, h5py.Dataset) or d.ndim != 3 for d in datasets):
        raise StoreError(f"{path} holds neither messages nor frames in /entry/data, the detector or its default plot")
    if any(d.shape[1:] != datasets[0].shape[1:] or d.dtype.kind != "u" for d in datasets):
        raise StoreError(f"{path}: its frames are not unsigned integers of one shape")
    for source in {source.file_name for d in datasets if d.is_virtual for source in d.virtual_sources()} - {"."}:
        if not (path.parent / source).exists():  # HDF5 would give zeros for its frames
            raise StoreError(f"{path}: its frames lie in {source}, which is not there")
    return datasets


def _one_dataset(file: h5py.File) -> list[h5py.Dataset]:
    """The frames where they are in one dataset: where NeXus puts them, or what the file says is to be plotted."""
    for place in ("entry/data/data", f"{_DETECTOR}/data"):
        if place in file:
            return [file[place]]
    group = file
    while "default" in group.attrs:
        group = group[_text(group.attrs["default"])]
    return [group[_text(group.attrs["signal"])]] if "signal" in group.attrs else []


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _header(file: h5py.File, datasets: list[h5py.Dataset], series: int) -> Parts:
    rows, columns = datasets[0].shape[1:]
    settings = {key: float(np.ravel(file[place][()])[0]) for key, place in _SETTINGS.items() if place in file}
    count = sum(map(len, datasets))
    size = {"x_pixels_in_detector": columns, "y_pixels_in_detector": rows}
    configuration = _json(**size, nimages=count, ntrigger=1, **settings)
    mask = next((file[place] for place in _MASKS if place in file), None)
    if mask is None:
        return [_json(htype="dheader-1.0", series=series, header_detail="basic"), configuration]
    return [
        _json(htype="dheader-1.0", series=series, header_detail="all"),
        configuration,
        *(_json(htype="dflatfield-1.0", shape=[0, 0], type="float32"), b""),  # the receiver uses none
        _json(htype="dpixelmask-1.0", shape=mask.shape[::-1], type="uint32"),
        np.ascontiguousarray(mask[()], dtype="<u4").tobytes(),
        *(_json(htype="dcountrate_table-1.0", shape=[2, 0], type="float32"), b""),
    ]


def _is_written(dataset: h5py.Dataset, row: int) -> bool:
    """False where a chunk of the frame was never stored: HDF5 would give zeros."""
    if dataset.chunks is None or dataset.is_virtual:
        return True
    tiles = (range(0, extent, step) for extent, step in zip(dataset.shape[1:], dataset.chunks[1:], strict=True))
    return all(dataset.id.get_chunk_info_by_coord((row, *at)).byte_offset is not None for at in product(*tiles))


def _image(dataset: h5py.Dataset, row: int, frame: int, series: int) -> Parts:
    encoding, blob = _pixels(dataset, row)
    rows, columns = dataset.shape[1:]
    return [
        _json(htype="dimage-1.0", series=series, frame=frame, hash=""),
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
