"""Elements from the fluorescence stream: net intensities of each ray, sinograms and maps, from its own rays alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import structlog

from stream.analyse.element_correlations import element_correlations
from stream.analyse.element_look import (
    Found,
    Spectra,
    absorbed,
    channels_of,
    grouped,
    groups_of,
    image_spectra,
    imaged,
    measure,
)
from stream.analyse.fluorescence.lines import ElementLines, element_lines
from stream.analyse.fluorescence.response import Response
from stream.analyse.imaging import Imaging
from stream.analyse.self_absorption import Depths, SelfAbsorption
from stream.analyse.store import NO_BEAM, PatternStore, mapped
from stream.analyse.voxels import VoxelReader
from stream.core.config import Config, FluorescenceConfig
from stream.core.errors import StoreError
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.ingest.journal import Journal
from stream.ingest.ledger import FrameRow

LIVE_ITERATIONS = 20
GROWN = 1.5  # times the rays of the last look, before the next
ANGSTROM_KEV = 12.398419843320026

Arrays = dict[str, npt.NDArray[Any]]
Mask = npt.NDArray[np.bool_]
log = structlog.get_logger()


@dataclass(slots=True)
class Elements:
    """Spectra (slice, angle, position, channel) of the channels around the lines, and what they tell.

    volume: (slice, y, x, wide channel), spectra of the voxels. absorption: what the sample keeps of the lines, None
    where nothing tells; corrects: whether the final maps have it back.
    scales: Σ variance / Σ counts of each ray, what dead time makes of Poisson's law. incident: monitor of each ray as
    the spectra's own headers tell it, NaN where they do not.
    """

    store: PatternStore
    imaging: Imaging
    lines: list[ElementLines]
    start: Response
    channels: npt.NDArray[np.float64]
    spectra: npt.NDArray[np.float32]
    volume: npt.NDArray[np.float32]
    absorption: SelfAbsorption | None
    corrects: bool
    own_monitor: bool
    monitored: bool
    measured: Mask = field(init=False)
    scales: npt.NDArray[np.float64] = field(init=False)
    incident: npt.NDArray[np.float64] = field(init=False)
    found: Found | None = None
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "elements"))
    _search: Future[Found] | None = None
    _looked: int = 0

    @classmethod
    def create(
        cls, directory: RunDirectory, config: Config, section: FluorescenceConfig, store: PatternStore, imaging: Imaging
    ) -> Self:
        """Lay out the spectra; directory is the run's."""
        beam_kev = ANGSTROM_KEV / store.axis.wavelength
        lines = [element_lines(element, beam_kev) for element in section.elements]
        start = Response(section.energy.offset, section.energy.step)
        channels = channels_of(lines, start)
        part = directory.fluorescence
        part.path.mkdir(exist_ok=True)
        spectra = mapped(part.spectra, (*store.grid.shape, len(channels)))
        spectra[:] = 0
        known = part.volume.is_file()  # then it is that of maps which may be final
        volume = mapped(part.volume, (*store.grid.map_shape, groups_of(channels, start.step)))
        if not known:
            volume[:] = np.nan
        absorption = SelfAbsorption.of(config, store.grid, lines, beam_kev)
        corrects = section.self_absorption is not None
        monitors = [config.detector.monitor, *(stream.key for stream in config.monitors)]
        monitored, own = any(key is not None for key in monitors), section.monitor is not None
        return cls(store, imaging, lines, start, channels, spectra, volume, absorption, corrects, own, monitored)

    def __post_init__(self) -> None:
        """Nothing is measured yet."""
        shape = self.grid.shape
        self.measured = np.zeros(shape, dtype=bool)
        self.scales, self.incident = np.ones(shape), np.ones(shape)

    @property
    def grid(self) -> ScanGrid:
        """The scan's."""
        return self.store.grid

    def take(self, journal: Journal, rows: Sequence[FrameRow]) -> None:
        """Take journalled spectra; what cannot be trusted is said in the log and left out."""
        first, last = int(self.channels[0]), int(self.channels[-1])
        for row in rows:
            try:
                pattern = journal.read(row.slot)
            except StoreError as error:
                log.error("journal.damaged", slot=row.slot, frame=row.frame, error=str(error))
                continue
            at = np.unravel_index(row.slot, self.grid.shape)
            self.spectra[at] = pattern.sums[first : last + 1]
            total = float(pattern.sums.sum(dtype=np.float64))
            self.scales[at] = float(pattern.variances.sum(dtype=np.float64)) / total if total > 0 else 1.0
            self.incident[at] = np.nan if row.monitor is None else row.monitor
            self.measured[at] = True

    @property
    def monitors(self) -> npt.NDArray[np.float64]:
        """What each ray's intensities are divided by, NaN where nobody knows it."""
        if self.own_monitor:
            return self.incident
        if self.monitored:
            return np.where(self.store.measured, self.store.incident, np.nan)
        return np.ones(self.grid.shape)

    @property
    def usable(self) -> Mask:
        """Measured rays whose monitor shows beam."""
        monitors = self.monitors
        with np.errstate(invalid="ignore"):
            lit = self.measured & (monitors > 0)
            return lit & (monitors >= NO_BEAM * np.median(monitors[lit])) if lit.any() else lit

    def update(self) -> None:
        """Take what was computed meanwhile, and look again where the rays have grown."""
        if self._search is not None and self._search.done():
            self.found, self._search = self._search.result(), None
        usable = self.usable
        rays = int(np.count_nonzero(usable))
        if self._search is None and rays > GROWN * self._looked:
            self._looked = rays
            self._search = self._pool.submit(self._look, self._given(), LIVE_ITERATIONS, None)

    def finish(self, iterations: int, maps: Mapping[str, npt.NDArray[Any]]) -> None:
        """The final maps, from the complete set; `maps` (slice, y, x) by name are those of phases and density."""
        if self._search is not None:
            self._search.result()
            self._search, self._looked = None, 0
        depths = None if self.absorption is None else self.absorption.depths(maps)
        given = self._given()
        self.found = self._look(given, iterations, depths) if given.usable.any() else None

    def arrays(self) -> Arrays:
        """By their paths in the tree; spectra, their model and errors are in the results alone."""
        found: Arrays = {"maps/xrf_coverage": self.imaging.covered(self.usable)}
        known = self.found
        blank = np.full(self.grid.shape, np.nan, np.float32)
        empty = np.full(self.grid.map_shape, np.nan, np.float32)
        for k, name in enumerate(self.names):
            found[f"sinograms/{name}"] = blank if known is None else known.net[..., k]
            found[f"maps/{name}"] = empty if known is None else known.maps[..., k]
            if known is not None:
                found[f"fluorescence/error_{self.lines[k].element}"] = known.errors[..., k]
        if known is not None:
            energies = known.fit.response.energies(self.channels)
            groups = self.volume.shape[-1]
            found["fluorescence/energy"] = energies
            found["fluorescence/voxel_energy"] = grouped(energies, groups) / (len(energies) // groups)
            found["fluorescence/sum"] = known.total
            found["fluorescence/model"] = known.fit.model
            found["fluorescence/background"] = known.fit.background
        return found

    def told(self, arrays: Arrays, reader: VoxelReader) -> dict[str, Any]:
        """For the metadata: the fit of the sum, what the sample keeps, what the elements of these arrays go with."""
        known = self.found
        told: dict[str, Any] = {"no_beam": self._no_beam(), **absorbed(known, self.names, self.absorption)}
        if known is not None:
            fit = known.fit
            told["energy"] = {"offset": fit.response.offset, "step": fit.response.step}
            told["noise_kev"], told["chi_square"] = fit.response.noise, fit.chi_square
            told["counts"] = dict(zip(fit.elements, fit.net.tolist(), strict=True))
            told["count_errors"] = dict(zip(fit.elements, fit.errors.tolist(), strict=True))
        names = [lines.element for lines in self.lines]
        return told | {
            "correlations": element_correlations(arrays, names, reader.phases, reader.strain_map, reader.classes)
        }

    @property
    def names(self) -> list[str]:
        """Of the maps."""
        return [f"xrf_{lines.element}" for lines in self.lines]

    def units(self) -> dict[str, str]:
        """Units of the maps."""
        unit = "1" if self.grid.raster else "1/um"
        return dict.fromkeys(self.names, unit) | {"xrf_coverage": "1"}

    def _no_beam(self) -> list[int]:
        lost = (self.measured & ~self.usable).ravel()[self.grid.visit]
        return [int(n) for n in np.flatnonzero(lost)]

    def _given(self) -> Spectra:
        """What a look is at, as of now."""
        return Spectra(self.grid, self.spectra, self.scales, self.monitors.copy(), self.usable)

    def _look(self, given: Spectra, iterations: int, depths: Depths | None) -> Found:
        """Fit the sum of the usable rays, then each ray, then reconstruct; in the order of the grid."""
        found = measure(given, self.channels, self.lines, self.start)
        correct = self.corrects and depths is not None
        absorption = None if depths is None else self.absorption
        maps, kept = imaged(found.net, given.usable, self.imaging, iterations, absorption, depths, correct=correct)
        image_spectra(given, self.imaging, iterations, self.volume)
        return replace(found, maps=maps, kept=kept, corrected=correct)
