"""`results.nxs`: the final result under the names of the Tiled tree, as a NeXus file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import orjson

from stream import __version__
from stream.analyse.applications import RADIAL, nexus_group, put, times, write_applications
from stream.analyse.fates import write_fates
from stream.analyse.store import PatternStore
from stream.core.config import Config
from stream.core.errors import StoreError
from stream.ingest.ledger_reader import LedgerRecord

SHOWN = "global"  # by viewers, at once
INTERNAL = {"projection_frames", "voxel_noise"}  # for publish alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a run ends with: volume (slice, y, x, bin), arrays by path, what is told of them, the ledger's record."""

    config: Config
    store: PatternStore
    volume: npt.NDArray[np.float32]
    arrays: dict[str, npt.NDArray[Any]]
    told: dict[str, Any]
    record: LedgerRecord


def write_results(path: Path, result: Result) -> None:
    """Write everything and move the file into place.

    Raises
    ------
    StoreError
        when the disk cannot take it.
    """
    partial = path.with_suffix(".partial")
    try:
        with h5py.File(partial, "w") as file:
            _fill(file, result)
        os.replace(partial, path)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error}") from error
    finally:
        partial.unlink(missing_ok=True)


def _fill(file: h5py.File, result: Result) -> None:
    config, store = result.config, result.store
    file.attrs.update(NX_class="NXroot", default="entry", creator="braggstream")
    entry = nexus_group(file, "entry", "NXentry", default="maps")
    put(entry, "program_name", "braggstream", version=__version__)
    entry["title"] = config.scan.name
    for name, value in times(result).items():
        entry[name] = value
    sample = nexus_group(entry, "sample", "NXsample")
    sample["name"] = config.scan.sample or config.scan.name
    axes = {"slice": store.grid.slices, "angle": store.grid.angles, "position": store.grid.positions}
    rays = list(axes)
    nexus_group(entry, "maps", "NXdata", axes=["slice", "y", "x"])
    nexus_group(entry, "sinograms", "NXdata", axes=rays)
    nexus_group(entry, "particles", "NXcollection")  # a column a quantity; empty where no particles are told apart
    for name, array in result.arrays.items():
        if name not in INTERNAL:
            entry.create_dataset(name, data=array)
    for folder in ("maps", "sinograms"):
        _offer(entry[folder])
    for name, values in axes.items():
        for group in (entry, entry["sinograms"]):
            put(group, name, values, units="degree" if name == "angle" else "um")
    for name, values in zip(("slice", "y", "x"), store.grid.map_axes, strict=True):
        put(entry["maps"], name, values, units="um")
    long_name, units = RADIAL[store.axis.unit]
    entry["radial"].attrs.update(long_name=long_name, units=units)
    for name, unit in result.told.get("units", {}).items():
        if name in entry["maps"]:
            entry["maps"][name].attrs["units"] = unit
    entry.create_dataset("patterns", data=store.patterns, chunks=(1, 1, *store.patterns.shape[2:]))
    entry["patterns"].attrs["axes"] = [*rays, "radial"]
    # chunked by rows, so that a reader of one slice does not read them all
    entry.create_dataset("volume", data=result.volume, chunks=(1, 1, *result.volume.shape[2:]))
    entry["volume"].attrs["axes"] = ["slice", "y", "x", "radial"]
    write_fates(nexus_group(entry, "ledger", "NXcollection"), result.record, store)
    entry["metadata"] = orjson.dumps(result.told, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    write_applications(file, result)


def _offer(group: h5py.Group) -> None:
    """Viewers show the first plane at once, and the others of its shape to choose from."""
    planes = sorted(name for name in group if group[name].ndim == 3 and name != SHOWN)
    group.attrs.update(signal=SHOWN, auxiliary_signals=planes)
    for name in (SHOWN, *planes):
        group[name].attrs["interpretation"] = "image"
