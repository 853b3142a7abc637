"""The reading side of the run directory: what a request may ask for, always from one revision."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from stream.core.commands import read_commands
from stream.core.config import Config, Region
from stream.core.errors import StoreError
from stream.core.revision import Revision, read_revision
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.ingest.ledger_reader import LedgerReader, LedgerSnapshot
from stream.publish.metadata import read_failure, run_metadata

Made = TypeVar("Made")

STALE_RATE = 5.0
"""Seconds after which a rate that ingest told says nothing any more."""


@dataclass(slots=True)
class RunView:
    """A run as readers see it; safe to ask from many threads."""

    directory: RunDirectory
    config: Config
    grid: ScanGrid = field(init=False)
    _ledger: LedgerReader = field(init=False)
    _spectra: LedgerReader | None = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stamp: tuple[int, int] | None = None
    _revision: Revision | None = None
    _made: dict[tuple[Any, ...], Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Nothing is read yet."""
        self.grid = ScanGrid.from_config(self.config.scan)
        self._ledger = LedgerReader(self.directory.ledger, self.grid)
        spectra = LedgerReader(self.directory.fluorescence.ledger, self.grid)
        self._spectra = None if self.config.fluorescence is None else spectra

    @property
    def scan(self) -> str:
        """Name of the scan."""
        return self.config.scan.name

    def revision(self) -> Revision | None:
        """The newest revision, read again only when the file was replaced."""
        with self._lock:
            stamp = _stamp(self.directory.revision)
            if stamp != self._stamp:
                self._revision = read_revision(self.directory.revision)
                self._stamp = stamp
            return self._revision

    def once(self, key: tuple[int, *tuple[Any, ...]], make: Callable[[], Made]) -> Made:
        """What `make` gives, made once for all readers of a revision; `key` begins with the revision's number."""
        if key not in self._made:
            made = {key: make()}
            self._made = {old: kept for old, kept in self._made.items() if old[0] == key[0]} | made
        found: Made = self._made[key]
        return found

    def snapshot(self) -> LedgerSnapshot:
        """The ledger as of its last commit; a ledger that was opened and not yet committed to is waiting."""
        with self._lock:
            found = self._ledger.snapshot()
        return replace(found, state={"phase": "waiting", **found.state})

    def snapshots(self) -> dict[str, LedgerSnapshot]:
        """The ledgers of the run's streams, `diffraction` and, where there is one, `fluorescence`."""
        with self._lock:
            spectra = None if self._spectra is None else self._spectra.snapshot()
        return {"diffraction": self.snapshot()} | ({} if spectra is None else {"fluorescence": spectra})

    def status(self) -> dict[str, Any]:
        """The run's metadata with rates, latency, remaining time and ages in seconds."""
        revision, snapshots, now = self.revision(), self.snapshots(), time.time()
        snapshot = snapshots["diffraction"]
        rate, missing = fresh(snapshot, "rate"), snapshot.frames["missing"]
        stored, failure = _modified(self.directory.revision), read_failure(self.directory)
        metadata = run_metadata(self.config, revision, snapshot, failure, snapshots.get("fluorescence"))
        del metadata["particles"]  # long, and asked for every other second: they have an address of their own
        return {
            **metadata,
            "scan": self.scan,
            "rate": rate,
            "latency": fresh(snapshot, "latency"),
            "eta": missing / rate if rate and missing else None,
            "update_age": None if stored is None else max(0.0, now - stored),
            "frame_time": _modified(self.directory.frame),
            "time": now,
            "grid": self.coordinates(),
        }

    def coordinates(self) -> dict[str, Any]:
        """Coordinates of the maps in µm, and their field of view: a circle, or all of a raster; of the sinograms."""
        slices, y, x = self.grid.map_axes
        return {
            "slices": slices, "y": y, "x": x, "step": abs(self.grid.step), "positions": len(x),
            "raster": self.grid.raster, "angles": self.grid.angles, "motor": self.grid.positions,
        }  # fmt: skip

    def regions(self) -> list[Region]:
        """Those of the config, and those drawn since."""
        commands = [command for command in read_commands(self.directory.commands) if command.kind == "regions"]
        drawn = [Region.model_validate(region) for command in commands for region in command.arguments["regions"]]
        return list({region.name: region for region in [*self.config.regions, *drawn]}.values())

    def volume(self, bins: int) -> npt.NDArray[np.float32] | None:
        """The live volume (slice, y, x, bin), read where it is looked at; None before there is one."""
        shape = (*self.grid.map_shape, bins)
        try:
            return np.memmap(self.directory.volume, dtype="<f4", mode="r", shape=shape)
        except (FileNotFoundError, ValueError):  # ValueError: it is shorter
            return None

    def voxel_pattern(self, place: tuple[int, int, int], bins: int) -> npt.NDArray[np.float32] | None:
        """The pattern of voxel (slice, y, x), shape (bins,); None while the live volume does not hold it."""
        return _row(self.directory.volume, int(np.ravel_multi_index(place, self.grid.map_shape)), bins)

    def voxel_fluorescence(self, place: tuple[int, int, int], channels: int) -> npt.NDArray[np.float32] | None:
        """The fluorescence spectrum of voxel (slice, y, x), shape (channels,); None while there is none."""
        return _row(self.directory.fluorescence.volume, int(np.ravel_multi_index(place, self.grid.map_shape)), channels)

    def frame(self) -> dict[str, Any] | None:
        """The latest detector frame, reduced: image, frame, saturated, masked, maximum, factor."""
        try:
            with np.load(self.directory.frame, allow_pickle=False) as file:
                found = {name: file[name] for name in file.files}
        except FileNotFoundError:
            return None
        except Exception as error:  # zipfile, zlib and numpy each have their own errors
            raise StoreError(f"{self.directory.frame} cannot be read: {error}") from error
        return {name: value if name == "image" else value.item() for name, value in found.items()}


def fresh(snapshot: LedgerSnapshot, key: str) -> float | None:
    """What ingest told of this moment, None where it has not told anything for long."""
    state = snapshot.state
    return state.get(key) if time.time() - state.get("updated", 0.0) < STALE_RATE else None


def _row(path: Path, index: int, length: int) -> npt.NDArray[np.float32] | None:
    """One row of a float32 file of such rows, None while the file does not hold it."""
    try:
        row = np.fromfile(path, dtype="<f4", count=length, offset=index * length * 4)
    except FileNotFoundError:
        return None
    return row if row.size == length else None


def _modified(path: Path) -> float | None:
    """Unix seconds of the last change, None where there is no such file."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_ino
