"""What happened to every frame, laid out on the grid, as `results.nxs` keeps it under /entry/ledger."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from stream.analyse.store import PatternStore
from stream.ingest.ledger import FrameRow
from stream.ingest.ledger_reader import LedgerRecord


class Fate(IntEnum):
    """What became of a grid point; `unreadable` has a row in the ledger whose pattern fails its checksum."""

    MISSING = 0
    INTEGRATED = 1
    NO_BEAM = 2
    UNREADABLE = 3


Table = dict[str, npt.NDArray[Any]]


def frame_table(rows: Sequence[FrameRow], store: PatternStore) -> tuple[Table, list[str]]:
    """One entry for each expected frame, and the names of the series.

    Each array is (slice, angle, position): frame, the detector's number (-1 missing); series, an index into the
    names (-1 missing); received, Unix seconds (NaN); monitor (NaN where missing or none is configured); state (Fate).
    """
    size = store.grid.size
    names = sorted({row.series for row in rows})
    numbers = {name: number for number, name in enumerate(names)}
    table: Table = {
        "frame": np.full(size, -1, dtype=np.int64),
        "series": np.full(size, -1, dtype=np.int32),
        "received": np.full(size, np.nan),
        "monitor": np.full(size, np.nan),
        "state": np.full(size, Fate.MISSING, dtype=np.int8),
    }
    measured, with_beam = store.measured.ravel(), store.with_beam.ravel()
    for row in rows:
        table["frame"][row.slot] = row.frame
        table["series"][row.slot] = numbers[row.series]
        table["received"][row.slot] = row.received
        table["monitor"][row.slot] = np.nan if row.monitor is None else row.monitor
        table["state"][row.slot] = Fate.INTEGRATED if measured[row.slot] else Fate.UNREADABLE
    table["state"][measured & ~with_beam] = Fate.NO_BEAM
    return {name: array.reshape(store.grid.shape) for name, array in table.items()}, names


def write_fates(group: h5py.Group, record: LedgerRecord, store: PatternStore) -> None:
    """Fill /entry/ledger: the table, the counts, the gaps (first and last frame of each) and the events."""
    table, names = frame_table(record.rows, store)
    for name, array in table.items():
        if name != "state":
            group.create_dataset(name, data=array, compression="gzip")
            group[name].attrs["axes"] = ["slice", "angle", "position"]
    states = h5py.enum_dtype({fate.name.lower(): fate.value for fate in Fate}, basetype="i1")
    group.create_dataset("state", data=table["state"], dtype=states, compression="gzip")
    group["state"].attrs["axes"] = ["slice", "angle", "position"]
    group["received"].attrs["units"] = "s"
    group["series_names"] = np.array(names, dtype=h5py.string_dtype())
    group["missing_ranges"] = np.array(record.frames["missing_ranges"], dtype=np.int64).reshape(-1, 2)
    _write_counts(group.create_group("counts"), record.frames)
    events = group.create_group("events")
    events["time"] = np.array([time for time, _ in record.events], dtype=np.float64)
    events["time"].attrs["units"] = "s"
    events["text"] = np.array([text for _, text in record.events], dtype=h5py.string_dtype())
    for child in ("counts", "counts/rejected", "counts/dropped", "events"):
        group[child].attrs["NX_class"] = "NXcollection"


def _write_counts(group: h5py.Group, frames: dict[str, Any]) -> None:
    for name in ("expected", "received", "integrated", "duplicate", "in_flight", "missing"):
        group[name] = frames[name]
    for kind in ("rejected", "dropped"):
        reasons = group.create_group(kind)
        for reason, n in frames[kind].items():
            reasons[reason] = n
