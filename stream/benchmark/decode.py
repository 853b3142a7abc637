"""Decoding a whole frame, as ingest does where it cannot go block by block, beside HDF5's filter with hdf5plugin."""

from __future__ import annotations

import io

import h5py
import hdf5plugin
import numpy as np

from stream.benchmark.frames import Frames, Pixels
from stream.benchmark.rounds import Row, interleave, ratio
from stream.benchmark.threads import Threads
from stream.core.wire import decompress

PEER = "hdf5plugin"
NOTE = "HDF5 lets one thread in at a time"


def decode_row(name: str, frames: Frames, threads: Threads, rounds: int, floor: float) -> Row:
    """Milliseconds a frame; the deviation is the share of pixels that differ."""
    cycle = frames.cycled(threads.frames)
    with h5py.File(io.BytesIO(), "w", rdcc_nbytes=0) as file:  # no chunk cache: each read decodes
        data = stored(file, frames)

        def read(n: int) -> Pixels:
            image: Pixels = data[n]
            return image

        jobs = [
            threads.spread(decompress, cycle.encoded),
            threads.spread(read, [n % len(frames.images) for n in range(threads.frames)]),
        ]
        ours, theirs = interleave(jobs, rounds, floor)
        different = [np.mean(decompress(array) != read(n)) for n, array in enumerate(frames.encoded)]
    return Row(
        name=name, unit="ms/frame", ours=ours, peer=PEER, theirs=theirs, ratio=ratio(ours, theirs),
        deviation=float(max(different)), bound=0.0, note=NOTE,
    )  # fmt: skip


def stored(file: h5py.File, frames: Frames) -> h5py.Dataset:
    """A chunk for each frame, the very bytes that we decode."""
    rows, columns = frames.images[0].shape
    data = file.create_dataset(
        "data",
        shape=(len(frames.images), rows, columns),
        chunks=(1, rows, columns),
        dtype=frames.images[0].dtype,
        compression=hdf5plugin.Bitshuffle(cname="lz4"),
    )
    for n, array in enumerate(frames.encoded):
        data.id.write_direct_chunk((n, 0, 0), bytes(array.data))
    return data
