"""The chain after the journal, as the figure draws it:

journal → patterns → sinograms → SIRT → voxels → classes, phases, strain → maps
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import structlog

from stream.analyse.classify.labels import Labels
from stream.analyse.crystal.model import State
from stream.analyse.elements import Elements
from stream.analyse.imaging import Imaging
from stream.analyse.lent import unmixed
from stream.analyse.optics import Optics
from stream.analyse.particle_table import tell_of_particles
from stream.analyse.raster import Raster
from stream.analyse.results import Result, write_results
from stream.analyse.sinograms import Sinograms
from stream.analyse.slices import Voxels
from stream.analyse.statistics import class_statistics
from stream.analyse.store import PatternStore, mapped, window
from stream.analyse.tomograph import Tomograph
from stream.analyse.tomography.cuda import Solver
from stream.analyse.voxels import VoxelReader
from stream.core.axis import RadialAxis
from stream.core.config import Config, Region
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.ingest.journal import Journal
from stream.ingest.ledger import FrameRow
from stream.ingest.ledger_reader import LedgerRecord
from stream.scale.cluster import spread_over

log = structlog.get_logger()

Arrays = dict[str, npt.NDArray[Any]]
Maps = tuple[Arrays, dict[str, Any]]

ITERATE, HOLD, READ = 0.2, 0.1, 0.15
"""Of the time between two updates; the rest is for publishing them, and for the other processes."""


@dataclass(slots=True)
class Pipeline:
    """One scan from patterns to maps."""

    directory: RunDirectory
    config: Config
    store: PatternStore
    sinograms: Sinograms
    imaging: Imaging
    optics: Optics
    reader: VoxelReader
    regions: dict[str, tuple[float, float] | None]
    elements: Elements | None = None
    cluster: str | None = None
    """Where the final reconstruction and fits are computed: a scheduler's address, None for this process."""
    trace: list[float] = field(default_factory=list)
    planes: list[Arrays] = field(default_factory=list)
    noise: npt.NDArray[np.float32] = field(init=False)
    _waiting: list[int] = field(default_factory=list)
    _start: State | None = None

    @classmethod
    def create(
        cls,
        directory: RunDirectory,
        config: Config,
        grid: ScanGrid,
        axis: RadialAxis,
        background: list[float] | None,
        distance_um: float = np.inf,
        cluster: str | None = None,
    ) -> Self:
        """Lay out patterns and volume, load phases, instrument and model.

        distance_um: from the sample to the detector, along the beam. cluster: see `Pipeline`.
        """
        transmitted = config.detector.transmission is not None
        store = PatternStore.create(directory.patterns, grid, axis, background, transmitted)
        volume = mapped(directory.volume, (*grid.map_shape, axis.bins))
        volume[:] = np.nan
        reader = VoxelReader.from_config(config, axis)
        regions = {"global": None, **{region.name: region.range for region in config.regions}}
        sinograms = Sinograms(store, regions, reader.phases)
        imaging: Imaging
        if grid.raster:
            imaging = Raster(store, volume)
        else:
            solver = Solver.open(config.integration.backend)
            imaging = Tomograph(store, config.reconstruction, volume, sinograms.windows["global"], distance_um, solver)
        optics = Optics(store, imaging, distance_um, config.reconstruction.parallax)
        section = config.fluorescence
        elements = None if section is None else Elements.create(directory, config, section, store, imaging)
        pipeline = cls(directory, config, store, sinograms, imaging, optics, reader, regions, elements, cluster)
        pipeline.planes = [pipeline._blank(grid.map_shape[1:]) for _ in volume]
        pipeline.noise = np.full((len(volume), axis.bins), np.nan, dtype=np.float32)
        return pipeline

    @property
    def frames(self) -> int:
        """Frames taken from the journal."""
        return int(self.store.measured.sum())

    @property
    def learning(self) -> bool:
        """Whether a classifier is being learnt from labels."""
        return self.reader.naming is not None and self.reader.naming.teaching.busy

    @property
    def spectra(self) -> int:
        """Spectra taken from theirs."""
        return 0 if self.elements is None else int(self.elements.measured.sum())

    def take(self, journal: Journal, rows: Sequence[FrameRow]) -> None:
        """Take journalled frames."""
        self.sinograms.take([row.slot for row in rows if self.store.take(journal, row)])

    def take_spectra(self, journal: Journal, rows: Sequence[FrameRow]) -> None:
        """Take journalled spectra of the fluorescence stream."""
        assert self.elements is not None  # without its section nobody follows that stream
        self.elements.take(journal, rows)

    def add_regions(self, regions: Sequence[Region]) -> None:
        """Regions that a person drew; one of a known name replaces it."""
        self.regions |= {region.name: region.range for region in regions}
        self.sinograms.look_at(regions)

    def add_labels(self, labels: Labels) -> None:
        """Clusters that a person named; they replace earlier ones, and are learnt from."""
        if self.reader.naming is None:
            log.warning("labels.ignored", reason="there are no clusters: classification.model is null")
            return
        self.reader.naming.teach(labels, self.directory.models)

    def update(self) -> None:
        """Sharpen the live volume with what has arrived, within a share of the time between updates."""
        changed = self.imaging.update(self.config.reconstruction.update_every * ITERATE)
        residual = self.imaging.residual()
        self.trace += [] if residual is None else [residual]
        self._waiting = changed + [s for s in self._waiting if s not in changed]
        for s in changed:
            self.planes[s] = self.planes[s] | self._windows(self.imaging.voxels(s))
        self.optics.update()
        if self.elements is not None:
            self.elements.update()

    def refine(self) -> None:
        """What the maps of an update need not wait for, within another share: x ≥ 0, and the voxels read in turn."""
        every = self.config.reconstruction.update_every
        self.imaging.refine(every * HOLD)
        naming = self.reader.naming
        if naming is not None and naming.turn():
            self._waiting += [s for s in range(len(self.planes)) if s not in self._waiting]
        self._read_in_turn(every * READ)
        if self.reader.start is not self._start:
            self._weigh()
        self.sinograms.update()

    def finish(self, record: LedgerRecord) -> Maps:
        """The final result: every slice from zero, from the complete, sorted set; stored in results.nxs.

        record is the ledger's, of the commit that brought the last frame taken or a later one.
        """
        self.store.keep_only(row.slot for row in record.rows)
        self.sinograms.settle()
        self.imaging.settle()
        self.reader.settle()
        traces = []
        with spread_over(self.cluster) as spread:
            for s, (voxels, trace) in enumerate(self.imaging.finals(spread)):
                if np.isfinite(trace).all():  # there were counts
                    traces.append(trace)
                self.noise[s] = voxels.noise()
                self.planes[s] = self._windows(voxels) | self.reader.read(s, voxels, {}, None, spread)
        for s, planes in self.reader.named():
            self.planes[s] |= planes
        self._weigh()
        self.sinograms.weigh_all()
        self.optics.finish(self.config.reconstruction.iterations)
        if self.elements is not None:
            amounts = {f"phase_{name}": self._stack(f"phase_{name}") for name in self.reader.phases}
            self.elements.finish(self.config.reconstruction.iterations, amounts | {"density": self.optics.density})
        residuals = np.sqrt(np.mean(np.square(traces), axis=0)) if traces else np.zeros(0)
        arrays, told = self._maps(residuals.tolist())
        phase = self.reader.strain_phase
        if phase is not None:
            told["strain"] = unmixed(told["strain"], arrays, phase, self.reader.classes, self.imaging.seen)
        stored = arrays if self.elements is None else arrays | {"fluorescence/volume": self.elements.volume}
        result = Result(
            config=self.config, store=self.store, volume=self.imaging.volume, arrays=stored, told=told, record=record
        )
        write_results(self.directory.results, result)
        return arrays, told

    def maps(self) -> Maps:
        """Live maps as they stand, and what is told of them."""
        return self._maps(self.trace[-500:])

    def _blank(self, shape: tuple[int, int]) -> Arrays:
        """Maps of a slice that was not measured yet."""
        return {name: np.full(shape, np.nan) for name in self.regions} | self.reader.blank(shape)

    def _windows(self, voxels: Voxels) -> Arrays:
        """Maps (y, x) of the pattern's integrals over all bins and over each region."""
        planes = {}
        for name, limits in self.regions.items():
            planes[name] = np.full(voxels.inside.shape, np.nan, dtype=np.float32)
            planes[name][voxels.inside] = voxels.through(partial(window, axis=self.store.axis, limits=limits))
        return planes

    def _read_in_turn(self, seconds: float) -> None:
        """Read slices that changed, those that wait longest first, while there is time."""
        deadline = time.monotonic() + seconds
        while self._waiting and time.monotonic() < deadline:
            s = self._waiting.pop(0)
            voxels = self.imaging.voxels(s)
            self.noise[s] = voxels.noise()
            self.planes[s] = self.reader.read(s, voxels, self.planes[s], deadline - time.monotonic())

    def _weigh(self) -> None:
        """Take the amounts in a ray from where the latest fits started."""
        self._start = self.reader.start
        operator = self.reader.amounts(self.sinograms.known)
        if operator is not None:
            self.sinograms.weigh(operator)

    def _maps(self, trace: list[float]) -> Maps:
        """Stack the slices' planes under their names in the tree, with what is told of them."""
        store = self.store
        names = dict.fromkeys(name for planes in self.planes for name in planes)
        arrays: Arrays = {f"maps/{name}": self._stack(name) for name in names}
        arrays["maps/coverage"] = self.imaging.coverage()
        arrays["radial"] = store.axis.centers
        arrays["sum_pattern"] = self.sinograms.sum_pattern(store.with_beam)
        arrays.update(self.sinograms.arrays())
        arrays.update(self.optics.arrays())
        arrays.update({} if self.elements is None else self.elements.arrays())
        arrays["voxel_noise"] = self.noise
        arrays["projection_frames"] = store.measured.sum(axis=2)
        reader, axes = self.reader, store.grid.map_axes
        particles, of_particles = tell_of_particles(arrays, reader.classes, axes, reader.strain_phase, reader.crystals)
        arrays |= particles
        told = {
            **self.imaging.told,
            "residual": trace[-1] if trace else None,
            "residual_trace": trace,
            "no_beam": store.no_beam_frames(),
            "strain": class_statistics(arrays, self.reader.strain_map, self.reader.classes),
            **self.optics.told(arrays, self.reader.strain_map),
            **of_particles,
            **self.reader.told(),
        }
        told["units"] = self.optics.units(told["units"])
        if self.elements is not None:
            told["units"] |= self.elements.units()
            told["fluorescence"] = self.elements.told(arrays, reader)
        return arrays, told

    def _stack(self, name: str) -> npt.NDArray[Any]:
        """One map of all slices; a slice that does not have it yet is masked."""
        known = next(planes[name] for planes in self.planes if name in planes)
        blank = -1 if known.dtype == np.int8 else np.nan
        dtype = np.int8 if known.dtype == np.int8 else np.float32
        return np.stack([planes.get(name, np.full_like(known, blank)) for planes in self.planes]).astype(dtype)
