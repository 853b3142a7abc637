"""Normalised patterns of the whole scan, by grid point: what everything after the journal is a function of."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import structlog

from stream.analyse.transmission import Transmission
from stream.core.axis import RadialAxis
from stream.core.errors import StoreError
from stream.core.scan import ScanGrid
from stream.ingest.journal import Journal
from stream.ingest.ledger import FrameRow

NO_BEAM = 0.2  # of the run's median monitor: below it the beam was off

log = structlog.get_logger()
Floats = npt.NDArray[np.float32]


@dataclass(slots=True)
class PatternStore:
    """Patterns (slice, angle, position, bin) float32, NaN where not measured, in a file that publish reads too.

    A pattern is Σ counts / Σ weights of its pixels, divided by the monitor, minus the background. Where the beam behind
    the sample is read, it takes the monitor's place: what scatters was absorbed as much as what passes.
    monitors, incident, measured: (slice, angle, position), what patterns are divided by, and the incident intensity;
    norms: (bin), those of a frame that excludes no pixel.
    """

    grid: ScanGrid
    axis: RadialAxis
    background: npt.NDArray[np.float64] | None
    patterns: Floats
    monitors: npt.NDArray[np.float64]
    incident: npt.NDArray[np.float64]
    measured: npt.NDArray[np.bool_]
    norms: Floats
    transmitted: bool = False
    """Whether the beam behind the sample is read."""

    @classmethod
    def create(
        cls, path: Path, grid: ScanGrid, axis: RadialAxis, background: list[float] | None, transmitted: bool = False
    ) -> Self:
        """Lay out the file at `path`; its blocks are allocated, so that a full disk is an error here and not a signal.

        Raises
        ------
        StoreError
            when the disk cannot hold it.
        """
        shape = (*grid.shape, axis.bins)
        patterns = mapped(path, shape)
        patterns[:] = np.nan
        return cls(
            grid,
            axis,
            None if background is None else np.asarray(background),
            patterns,
            np.ones(grid.shape),
            np.ones(grid.shape),
            np.zeros(grid.shape, dtype=bool),
            np.zeros(axis.bins, dtype=np.float32),
            transmitted,
        )

    def take(self, journal: Journal, row: FrameRow) -> bool:
        """Read one journalled frame; False, said in the log, when its slot cannot be trusted."""
        try:
            pattern = journal.read(row.slot)
        except StoreError as error:
            log.error("journal.damaged", slot=row.slot, frame=row.frame, error=str(error))
            return False
        index = np.unravel_index(row.slot, self.grid.shape)
        incident = 1.0 if row.monitor is None else row.monitor
        behind = np.nan if row.transmission is None else row.transmission
        monitor = behind if self.transmitted else incident
        scale = 1 / monitor if monitor > 0 else np.nan
        with np.errstate(invalid="ignore", divide="ignore"):
            values = pattern.sums.astype(np.float64) / pattern.norms * scale
        if self.background is not None:
            values -= self.background
        self.patterns[index] = np.where(pattern.norms > 0, values, np.nan)
        self.monitors[index], self.incident[index] = monitor, incident
        self.measured[index] = True
        np.maximum(self.norms, pattern.norms, out=self.norms)  # whatever the order in which frames came
        return True

    def keep_only(self, slots: Iterable[int]) -> None:
        """Forget every other grid point: its frame was given up after it had been taken."""
        gone = self.measured.copy()
        gone.reshape(-1)[list(slots)] = False
        self.patterns[gone], self.measured[gone] = np.nan, False

    @property
    def with_beam(self) -> npt.NDArray[np.bool_]:
        """Measured rays whose readings show beam, and let some through, (slice, angle, position)."""
        transmission = self.transmission
        return self._lit if transmission is None else transmission.known

    @property
    def transmission(self) -> Transmission | None:
        """What each ray lets through, None where the beam behind the sample is not read."""
        if not self.transmitted:
            return None
        return Transmission.of(np.where(self._lit, self.monitors, np.nan), self.incident)

    @property
    def _lit(self) -> npt.NDArray[np.bool_]:
        """Measured rays whose monitor shows beam."""
        lit = self.measured & np.isfinite(self.incident) & (self.incident > 0)
        return lit & (self.incident >= NO_BEAM * np.median(self.incident[lit])) if lit.any() else lit

    def no_beam_frames(self) -> list[int]:
        """Frame numbers, counted from 0, of measured grid points without beam."""
        lost = (self.measured & ~self.with_beam).ravel()[self.grid.visit]
        return [int(n) for n in np.flatnonzero(lost)]

    @property
    def taken_off(self) -> Floats:
        """(bin,) the background that was subtracted, 0 where there is none."""
        return np.zeros(self.axis.bins, "f4") if self.background is None else self.background.astype(np.float32)

    def variances(self, rays: tuple[npt.NDArray[np.intp], ...]) -> Floats:
        """Poisson variance (ray, bin) of the patterns at (slice, angle, position) indices.

        σ² = Σ counts / (norm · monitor)² = pattern / (norm · monitor); a pixel or two that a frame excludes changes
        its norms by less than the variance is known.
        """
        counts = self.patterns[rays] if self.background is None else self.patterns[rays] + self.background
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(counts / (self.norms * self.monitors[rays][:, None]), dtype=np.float32)


def mapped(path: Path, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[np.float32]]:
    """A float32 array in a file whose blocks are all allocated."""
    size = int(np.prod(shape)) * 4
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.ftruncate(descriptor, size)
            os.posix_fallocate(descriptor, 0, size)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StoreError(f"{path} cannot be created with {size} bytes: {error.strerror}") from error
    return np.memmap(path, dtype=np.float32, mode="r+", shape=shape)


def rest(*arrays: npt.NDArray[Any]) -> None:
    """Hold no page of arrays that are `mapped`: the files keep their content, and memory is for what comes next."""
    for array in arrays:
        kept: Any = array.base
        if isinstance(kept, mmap.mmap):
            kept.madvise(mmap.MADV_DONTNEED)


def window(values: npt.NDArray[Any], axis: RadialAxis, limits: tuple[float, float] | None) -> npt.NDArray[np.float64]:
    """Σ I·Δx over the bins whose centres lie in `limits` (all bins for None); the bin axis is the last one.

    NaN where no bin of the window is known.
    """
    if limits is None:
        inside = slice(None)
    else:
        low, high = np.searchsorted(axis.centers, limits)
        inside = slice(int(low), int(high))
    part = values[..., inside]
    total = np.nansum(part, axis=-1, dtype=np.float64) * axis.step
    return np.asarray(np.where(np.isfinite(part).any(axis=-1), total, np.nan))
