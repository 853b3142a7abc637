"""A revision: one consistent set of maps with its metadata, in one file that is moved into place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from stream.core.errors import StoreError
from stream.core.files import replace_file

META = "__metadata__"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """The maps as they stand.

    arrays are keyed by their path in the Tiled tree: ``radial`` (bin), ``sum_pattern`` (bin),
    ``sinograms/<name>`` (slice, angle, position), ``maps/<name>`` (slice, y, x),
    ``maps/class_probability`` (slice, class, y, x); besides ``voxel_noise``
    (slice, bin), the mean variance of a voxel's pattern, and ``projection_frames`` (slice, angle), the number of
    frames in each projection, by which a reader knows which patterns are new.
    metadata is JSON: status, center_um, center_from, iterations, residual, residual_trace, classes, model,
    units (per map), strain, started, updated, final (bool), frames_used.
    """

    number: int
    metadata: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)

    @property
    def maps(self) -> dict[str, npt.NDArray[Any]]:
        """The planes under maps/ by name, those of shape (slice, y, x)."""
        found = {name[5:]: array for name, array in self.arrays.items() if name.startswith("maps/")}
        return {name: array for name, array in found.items() if array.ndim == 3}


def write_revision(path: Path, revision: Revision) -> None:
    """Store a revision; a reader sees the old one or the new one, never a mixture."""
    meta = orjson.dumps({**revision.metadata, "revision": revision.number}, option=orjson.OPT_SERIALIZE_NUMPY)
    arrays = {**revision.arrays, META: np.frombuffer(meta, dtype=np.uint8)}
    replace_file(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]


def read_revision(path: Path) -> Revision | None:
    """The newest revision, None before the first.

    Raises
    ------
    StoreError
        where the file cannot be trusted (numpy's archive carries a CRC for each array).
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            if any(member.compress_size != member.file_size for member in archive.zip.infolist()):
                raise StoreError("it is compressed, as no file of ours is")
            if archive.zip.testzip() is not None:  # an array is not always read to the end, where its CRC is looked at
                raise StoreError("a checksum is wrong")
            arrays = {name: archive[name] for name in archive.files}
        meta = orjson.loads(arrays.pop(META).tobytes())
    except FileNotFoundError:
        return None
    except Exception as error:  # zipfile, zlib and numpy each have their own errors
        raise StoreError(f"{path} cannot be read: {error}") from error
    return Revision(number=meta["revision"], metadata=meta, arrays=arrays)
