"""All frames of a recording as one dataset, for viewers: a file of links to the files that hold them."""

from __future__ import annotations

import io
from pathlib import Path

import h5py
import numpy as np

from stream.core.files import replace_file
from stream.ingest.rawfile import RawFile, mark_closed, open_raw, reading
from stream.ingest.rawformat import FRAMES, nexus_data

MASTER = "master.h5"


def write_master(folder: Path) -> None:
    """Write ``master.h5`` beside the files of a recording: NXdata of all frames and when each was received.

    ::

        /entry/data/frames    (frame, rows, columns)  virtual; all ones, which means no data, where a file is gone
        /entry/data/received  (frame)                 Unix seconds

    No file is written where there are no frames. Files whose writer was killed are marked closed before, since viewers
    could not open them; so there must be no writer any more.

    Raises
    ------
    StoreError
        where a file cannot be read or the master not written.
    """
    sources, received = [], []
    for path in sorted(folder.glob("raw-*.h5")):
        with reading(path), open_raw(path) as (file, closed):
            if file is not None and not closed:
                mark_closed(path)
            raw = None if file is None else RawFile(path, file)
            if raw is None or raw.frames is None or not len(raw.frames):
                continue
            rows = raw.rows()
            times = np.full(len(raw.frames), np.nan)
            kept = rows[(rows["frame"] >= 0) & (rows["frame"] < len(times))]
            times[kept["frame"]] = kept["received"]
            sources.append(h5py.VirtualSource(path.name, FRAMES, shape=raw.frames.shape, dtype=raw.frames.dtype))
            received.append(times)
    if not sources:
        return
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as master:
        data = nexus_data(master)
        data.attrs["axes"] = [b"received", b".", b"."]
        data["received"] = np.concatenate(received)
        data["received"].attrs["units"] = "s"
        dtype = np.result_type(*(source.dtype for source in sources))
        layout = h5py.VirtualLayout((len(data["received"]), *sources[0].shape[1:]), dtype)
        first = 0
        for source in sources:
            layout[first : first + source.shape[0]] = source
            first += source.shape[0]
        data.create_virtual_dataset("frames", layout, fillvalue=np.iinfo(dtype).max)
    replace_file(folder / MASTER, lambda file: file.write(buffer.getvalue()))
