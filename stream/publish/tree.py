"""Which arrays a scan has in Tiled: names, shapes, types, chunks and dimensions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.core.config import Config
from stream.core.revision import Revision
from stream.core.scan import ScanGrid

LIVE_PLANES = 32
_SINGLE = np.dtype("f4")
AXES = frozenset({"radial", "sum_pattern"})
DIMS: dict[str, tuple[str, ...]] = {
    "live": ("slice", "map", "y", "x"),
    "radial": ("bin",),
    "sum_pattern": ("bin",),
    "patterns": ("slice", "angle", "position", "bin"),
    "volume": ("slice", "y", "x", "bin"),
    "maps/class_probability": ("slice", "class", "y", "x"),
    "sinograms": ("slice", "angle", "position"),
    "maps": ("slice", "y", "x"),
}
READ_OFF = ("mask_", "ratio_", "c_over_a_", "splitting_", "superlattice_", "particle_index")
VOLUME_CHUNK = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """An array of the tree; chunks are the lengths along each dimension, as dask means it."""

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: tuple[tuple[int, ...], ...]
    dims: tuple[str, ...]
    metadata: dict[str, Any] = field(default_factory=dict)


def revision_nodes(revision: Revision, unit: str) -> dict[str, Node]:
    """The arrays whose content is in the revision itself, by path."""
    units = {f"maps/{name}": unit for name, unit in (revision.metadata.get("units") or {}).items()}
    units["radial"] = unit
    paths = [path for path in revision.arrays if path in AXES or path.startswith(("sinograms/", "maps/"))]
    return {
        path: _by_slice(
            path,
            revision.arrays[path].shape,
            {"units": units[path]} if path in units else {},
            dtype=_stored(path, revision.arrays[path].dtype),
        )
        for path in paths
    }


def live_node(grid: ScanGrid) -> Node:
    """All maps in one array, one chunk a slice, so that a reader never sees half an update of a slice."""
    slices, rows, columns = grid.map_shape
    return _by_slice(
        "live", (slices, LIVE_PLANES, rows, columns), {"maps": [], "revision": 0, "coming": 0, "frames_used": 0}
    )


def patterns_node(config: Config, grid: ScanGrid) -> Node:
    """The patterns, one chunk a projection."""
    slices, angles, positions = grid.shape
    shape = (slices, angles, positions, config.integration.bins)
    chunks = ((1,) * slices, (1,) * angles, (positions,), (shape[3],))
    return Node(path="patterns", shape=shape, dtype=np.dtype("f4"), chunks=chunks, dims=DIMS["patterns"])


def volume_node(config: Config, grid: ScanGrid) -> Node:
    """The pattern of each voxel, in chunks of some rows."""
    bins = config.integration.bins
    slices, height, width = grid.map_shape
    rows = min(max(1, VOLUME_CHUNK // (width * bins * 4)), height)
    chunks = ((1,) * slices, _equal_parts(height, rows), (width,), (bins,))
    shape = (slices, height, width, bins)
    return Node(path="volume", shape=shape, dtype=np.dtype("f4"), chunks=chunks, dims=DIMS["volume"])


def recording_node(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Node:
    """The frames in one file of the recording, in chunks of some frames."""
    count, rows, columns = shape
    together = max(1, VOLUME_CHUNK // (rows * columns * dtype.itemsize))
    chunks = (_equal_parts(count, together), (rows,), (columns,))
    return Node(path=f"recording/{name}", shape=shape, dtype=dtype, chunks=chunks, dims=("frame", "row", "column"))


def live_planes(names: list[str], revision: Revision) -> list[str]:
    """Names of the planes of `live`: the present ones keep their place, new maps come behind, 32 at most.

    Where there are more, what is read off other maps gives way: it is in `maps` all the same.
    """
    new = sorted((name for name in revision.maps if name not in names), key=lambda name: name.startswith(READ_OFF))
    return [*names, *new][:LIVE_PLANES]


def live_array(names: list[str], node: Node, revision: Revision) -> npt.NDArray[np.float32]:
    """The planes stacked, shape (slice, map, y, x); NaN where a plane is unused or its map is gone."""
    stack = np.full(node.shape, np.nan, dtype=np.float32)
    for plane, name in enumerate(names):
        if name in revision.maps:
            stack[:, plane] = revision.maps[name]
    return stack


def _equal_parts(length: int, part: int) -> tuple[int, ...]:
    """Lengths of the chunks along an axis, the last one what is left."""
    full, rest = divmod(length, part)
    return (part,) * full + ((rest,) if rest else ())


def _stored(path: str, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Whole numbers as they are, axes in double, everything else in single precision."""
    return dtype if dtype.kind == "i" else np.dtype("f8") if path in AXES else np.dtype("f4")


def _by_slice(path: str, shape: tuple[int, ...], metadata: dict[str, Any], dtype: np.dtype[Any] = _SINGLE) -> Node:
    dims = DIMS.get(path) or DIMS[path.partition("/")[0]]
    chunks = tuple((1,) * n if dim == "slice" else (n,) for dim, n in zip(dims, shape, strict=True))
    return Node(path=path, shape=shape, dtype=dtype, chunks=chunks, dims=dims, metadata=metadata)
