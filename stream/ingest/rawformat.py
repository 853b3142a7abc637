"""What a file of the recording holds.

::

    /entry/data/frames        (row, rows, columns)  the images' pixels, compressed as they came (filter 32008)
    /entry/messages/bytes     (byte)                everything else of the messages, one after the other
    /entry/messages/index     (message)             where each message is, see ROW

The envelope of a message (`stream.ingest.envelope`) is in ``bytes``, without the pixels that lie in ``frames``.
"""

from __future__ import annotations

import math
from enum import IntEnum

import h5py
import numpy as np

from stream.core.messages import EncodedArray, Event, Image, MonitorEvent

FRAMES, BYTES, INDEX = "entry/data/frames", "entry/messages/bytes", "entry/messages/index"
ROW = np.dtype(
    [
        ("offset", "<i8"),  # of the envelope in bytes
        ("length", "<i8"),  # of the envelope; 0 in a row that was not flushed
        ("kind", "<i4"),  # see Kind
        ("crc32", "<u4"),
        ("frame", "<i8"),  # row in frames, -1 where the message is whole
        ("cut", "<i8"),  # where in the joined parts the pixels were taken out
        ("size", "<i8"),  # how many bytes were
        ("received", "<f8"),  # Unix seconds
    ]
)


class Kind(IntEnum):
    """What a message of the detector was decoded to; stream n > 0 is kept as ``MONITOR + n - 1``."""

    UNDECODABLE = 0
    START = 1
    IMAGE = 2
    END = 3
    MONITOR = 16


def stream_of(kind: int) -> int:
    """The stream that a message of this kind came from."""
    return max(0, kind - Kind.MONITOR + 1)


def frame_pixels(event: Event | MonitorEvent | None, shape: tuple[int, int]) -> EncodedArray | None:
    """The pixels of an image, where it has one channel and its bytes can be a chunk of frames as they are."""
    if not isinstance(event, Image) or len(event.channels) != 1:
        return None
    (array,) = event.channels.values()
    if array.shape != shape or array.dtype.kind != "u" or not len(array.data):
        return None
    shuffled = array.algorithm == "bslz4" and array.element_size == array.dtype.itemsize
    raw = array.algorithm == "raw" and len(array.data) == math.prod(shape) * array.dtype.itemsize
    return array if shuffled or raw else None


def nexus_data(file: h5py.File) -> h5py.Group:
    """``/entry/data`` of a new file, told to be its default plot."""
    entry = file.create_group("entry")
    data = entry.create_group("data")
    for group, kind, default in ((file, "NXroot", "entry"), (entry, "NXentry", "data")):
        tell(group, NX_class=kind, default=default)
    tell(data, NX_class="NXdata", signal="frames")
    data["data"] = h5py.SoftLink("frames")  # where fabio looks for them
    return data


def tell(group: h5py.Group, **attributes: str) -> None:
    """Set NeXus attributes."""
    for key, value in attributes.items():
        group.attrs[key] = np.bytes_(value)  # of fixed length: single-writer mode allows no other
