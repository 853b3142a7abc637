"""The chain after the journal, as the figure draws it:

journal → patterns → sinograms → SIRT → voxels → classes, phases, strain → maps
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from stream.analyse.results import Result, write_results
from stream.analyse.statistics import class_statistics
from stream.analyse.store import PatternStore, mapped, window
from stream.analyse.tomograph import Tomograph
from stream.analyse.voxels import VoxelReader
from stream.core.axis import RadialAxis
from stream.core.config import Config, Region
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.ingest.journal import Journal
from stream.ingest.ledger import FrameRow
from stream.ingest.ledger_reader import LedgerRecord

Arrays = dict[str, npt.NDArray[Any]]
Maps = tuple[Arrays, dict[str, Any]]

SHARE = 0.5  # of the time between two updates: for SIRT; the rest is for reading the voxels


@dataclass(slots=True)
class Pipeline:
    """One scan from patterns to maps."""

    directory: RunDirectory
    config: Config
    store: PatternStore
    tomograph: Tomograph
    reader: VoxelReader
    volume: npt.NDArray[np.float32]
    regions: list[Region]
    trace: list[float] = field(default_factory=list)
    planes: list[Arrays] = field(default_factory=list)
    noise: npt.NDArray[np.float32] = field(init=False)

    @classmethod
    def create(
        cls,
        directory: RunDirectory,
        config: Config,
        grid: ScanGrid,
        axis: RadialAxis,
        background: list[float] | None,
    ) -> Self:
        """Lay out patterns and volume, load phases, instrument and model."""
        store = PatternStore.create(directory.patterns, grid, axis, background)
        slices, _, count = grid.shape
        volume = mapped(directory.volume, (slices, count, count, axis.bins))
        volume[:] = np.nan
        tomograph = Tomograph(store, config.reconstruction)
        reader = VoxelReader.from_config(config, axis)
        pipeline = cls(directory, config, store, tomograph, reader, volume, list(config.regions))
        pipeline.planes = [pipeline._blank((count, count)) for _ in range(slices)]
        pipeline.noise = np.full((slices, axis.bins), np.nan, dtype=np.float32)
        return pipeline

    @property
    def frames(self) -> int:
        """Frames taken from the journal."""
        return int(self.store.measured.sum())

    def take(self, journal: Journal, rows: Sequence[FrameRow]) -> None:
        """Take journalled frames."""
        for row in rows:
            self.store.take(journal, row)

    def add_regions(self, regions: Sequence[Region]) -> None:
        """Regions that a person drew; one of a known name replaces it."""
        names = {region.name for region in regions}
        self.regions = [region for region in self.regions if region.name not in names] + list(regions)

    def update(self) -> Maps:
        """Sharpen the live volume with what has arrived and read its voxels, within the time between updates."""
        budget = self.config.reconstruction.update_every * SHARE
        changed = self.tomograph.update(budget)
        residual = self.tomograph.residual()
        self.trace += [] if residual is None else [residual]
        for s in changed:
            self.volume[s] = self.tomograph.slices[s].volume
            self.planes[s] = self._read(s, budget / len(changed))
        return self._maps(self.trace[-500:])

    def finish(self, record: LedgerRecord) -> Maps:
        """The final result: every slice from zero, from the complete, sorted set; stored in results.nxs.

        record is the ledger's, of the commit that brought the last frame taken or a later one.
        """
        self.tomograph.settle()
        self.reader.settle()
        traces = []
        for s in range(len(self.planes)):
            self.volume[s], trace = self.tomograph.final(s)
            if np.isfinite(trace).all():  # there were counts
                traces.append(trace)
            self.planes[s] = self._read(s, None)
        residuals = np.sqrt(np.mean(np.square(traces), axis=0)) if traces else np.zeros(0)
        arrays, told = self._maps(residuals.tolist())
        result = Result(
            config=self.config, store=self.store, volume=self.volume, arrays=arrays, told=told, record=record
        )
        write_results(self.directory.results, result)
        return arrays, told

    def _blank(self, shape: tuple[int, int]) -> Arrays:
        """Maps of a slice that was not measured yet."""
        names = ["global", *(region.name for region in self.regions)]
        return {name: np.full(shape, np.nan) for name in names} | self.reader.blank(shape)

    def _read(self, s: int, budget: float | None) -> Arrays:
        """Maps of one slice, each (y, x); within `budget` seconds, or all of it for the final result."""
        volume, axis = np.asarray(self.volume[s]), self.store.axis
        planes: Arrays = {"global": window(volume, axis, None)}
        for region in self.regions:
            planes[region.name] = window(volume, axis, region.range)
        variance = self.tomograph.voxel_variance(s)
        self.noise[s] = mean_over_voxels(variance)
        planes.update(self.reader.read(volume, variance, self.planes[s], budget))
        return planes

    def _maps(self, trace: list[float]) -> Maps:
        """Stack the slices' planes under their names in the tree, with what is told of them."""
        store, axis = self.store, self.store.axis
        names = dict.fromkeys(name for planes in self.planes for name in planes)
        arrays: Arrays = {f"maps/{name}": self._stack(name) for name in names}
        arrays["maps/coverage"] = self.tomograph.coverage()
        arrays["radial"] = axis.centers
        arrays["sum_pattern"] = store.sum_pattern()
        arrays["sinograms/global"] = window(store.patterns, axis, None).astype(np.float32)
        for region in self.regions:
            arrays[f"sinograms/{region.name}"] = window(store.patterns, axis, region.range).astype(np.float32)
        arrays.update(self.reader.sinograms(store.patterns))
        arrays["voxel_noise"] = self.noise
        arrays["projection_frames"] = store.measured.sum(axis=2)
        center = self.tomograph.center
        told = {
            "center_um": center.um,
            "center_from": center.source,
            "iterations": self.config.reconstruction.iterations,
            "residual": trace[-1] if trace else None,
            "residual_trace": trace,
            "no_beam": store.no_beam_frames(),
            "strain": class_statistics(arrays, self.reader.strain_map, self.reader.classes),
            **self.reader.told(),
        }
        return arrays, told

    def _stack(self, name: str) -> npt.NDArray[Any]:
        """One map of all slices; a slice that does not have it yet is masked."""
        known = next(planes[name] for planes in self.planes if name in planes)
        blank = -1 if known.dtype == np.int8 else np.nan
        dtype = np.int8 if known.dtype == np.int8 else np.float32
        return np.stack([planes.get(name, np.full_like(known, blank)) for planes in self.planes]).astype(dtype)


def mean_over_voxels(variance: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """(bin,) mean of a (y, x, bin) array over the voxels where it is known; NaN where it never is."""
    known = np.isfinite(variance)
    total = np.where(known, variance, 0).sum(axis=(0, 1), dtype=np.float64)
    count = known.sum(axis=(0, 1))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
