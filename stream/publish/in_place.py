"""The run's own files as the embedded Tiled serves them: in place, no copy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import structlog

from stream.core.errors import StoreError
from stream.core.rundir import RunDirectory
from stream.ingest.rawfile import RawFile, open_raw, reading
from stream.ingest.rawformat import FRAMES
from stream.publish.client import TiledScan
from stream.publish.tree import Node, recording_node

log = structlog.get_logger()


def register_files(scan: TiledScan, directory: RunDirectory) -> None:
    """Register results.nxs as `results`, and the frames of each file of the recording as `recording/<file>`.

    Frames are in the order of their arrival. A file that grew since is registered anew.
    """
    scan.register_file("results", directory.results)
    for path, node, closed in _recorded(directory.recording):
        scan.register(node, path, FRAMES, growing=not closed)


def _recorded(folder: Path) -> Iterator[tuple[Path, Node, bool]]:
    """Files that hold frames, and whether their writer has closed them; a damaged one is said in the log.

    A file that is not closed is registered only where it is the last one: that of a killed writer may be damaged, and
    HDF5 would wait for ever for a damaged file that it believes to be written.
    """
    paths = sorted(folder.glob("raw-*.h5"))
    for path in paths:
        try:
            with reading(path), open_raw(path) as (file, closed):
                frames = None if file is None else RawFile(path, file).frames
                node = None if frames is None else recording_node(path.stem, frames.shape, frames.dtype)
        except StoreError as error:
            log.warning("publish.recording_damaged", error=str(error))
            continue
        if node is not None and node.shape[0] and (closed or path is paths[-1]):
            yield path, node, closed
