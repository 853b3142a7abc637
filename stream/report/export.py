"""Results and maps of a run as files for other programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from stream.core.errors import StoreError, UsageError
from stream.core.revision import Revision
from stream.dashboard.catalogue import MapEntry, catalogue
from stream.dashboard.planes import as_csv, as_npy, as_png, as_tiff
from stream.dashboard.view import RunView

Picture = Literal["csv", "png", "tiff", "npy"]
CHUNK = 16 * 1024 * 1024


def export_results(run: RunView, folder: Path) -> Path:
    """Copy results.nxs to `folder` under the scan's name; the file needs nothing beside it.

    Raises
    ------
    UsageError
        where the run has no final result, or the file is there already.
    """
    source, target = run.directory.results, folder / f"{run.scan}.nxs"
    if not source.is_file():
        raise UsageError(f"{run.directory.path} has no results.nxs: its final maps are not stored; export its maps")
    with source.open("rb") as file:
        _write(target, iter(lambda: file.read(CHUNK), b""))
    return target


def export_maps(run: RunView, names: Sequence[str], form: Picture, folder: Path) -> Iterator[Path]:
    """Write maps of the newest revision, all of them where `names` is empty; yields each file.

    TIFF and npy hold all slices (slice, y, x), CSV and PNG one (y, x) each. class_probability is a map for each class.

    Raises
    ------
    UsageError
        before the first revision, for a map that is not in it, or a file that is there already.
    """
    revision = run.revision()
    if revision is None:
        raise UsageError(f"{run.directory.path} has no maps yet")
    entries = catalogue(revision, run.config)
    for name in names:
        if name not in {entry.name for entry in entries}:
            raise UsageError(f"--map is {name!r}; {run.scan} has {', '.join(sorted({e.name for e in entries}))}")
    for entry in entries:
        if not names or entry.name in names:
            yield from _export_map(run, revision, entry, form, folder)


def _export_map(run: RunView, revision: Revision, entry: MapEntry, form: Picture, folder: Path) -> Iterator[Path]:
    stack = revision.arrays[f"maps/{entry.name}"]
    if entry.plane is not None:
        stack = stack[:, revision.metadata["classes"].index(entry.plane)]
    told = {
        "scan": run.scan,
        "sample": run.config.scan.sample,
        "map": entry.name,
        "title": entry.title,
        "unit": entry.unit,
        "labels": entry.labels,
        "revision": revision.number,
        "status": revision.metadata["status"],
    }
    stem = "_".join(filter(None, (run.scan, entry.name, entry.plane)))
    if form in {"tiff", "npy"}:
        body = as_npy(stack) if form == "npy" else as_tiff(stack, told, _steps(run))
        target = folder / f"{stem}.{form}"
        _write(target, [body])
        yield target
        return
    for s, plane in enumerate(stack):
        target = folder / (f"{stem}.{form}" if len(stack) == 1 else f"{stem}_slice{s}.{form}")
        _write(target, [_flat(plane, entry, form, {**told, "slice": s})])
        yield target


def _flat(plane: npt.NDArray[Any], entry: MapEntry, form: Picture, told: dict[str, Any]) -> bytes:
    return as_csv(plane) if form == "csv" else as_png(plane, entry.palette, entry.limits, told)


def _steps(run: RunView) -> tuple[float, float]:
    """µm between two voxels of a row, and between two slices."""
    slices, _, x = run.grid.map_axes
    in_plane, between = (abs(float(np.diff(axis[:2])[0])) if len(axis) > 1 else 1.0 for axis in (x, slices))
    return in_plane, between


def _write(target: Path, parts: Sequence[bytes] | Iterator[bytes]) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            file.writelines(parts)
    except FileExistsError:
        raise UsageError(f"{target} exists; give another --output") from None
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}") from error
