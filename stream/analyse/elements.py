"""Elements from the fluorescence stream: net intensities of each ray, sinograms and maps, from its own rays alone."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import structlog

from stream.analyse.fluorescence.calibrate import refine
from stream.analyse.fluorescence.fit import SpectrumFit, fit_spectrum
from stream.analyse.fluorescence.lines import ElementLines, element_lines
from stream.analyse.fluorescence.response import Response
from stream.analyse.imaging import Imaging
from stream.analyse.store import NO_BEAM, PatternStore, mapped
from stream.analyse.tomography.additive import Additive, Adds
from stream.core.config import Config, FluorescenceConfig
from stream.core.errors import StoreError
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.ingest.journal import Journal
from stream.ingest.ledger import FrameRow
from stream.ingest.spectra import CHANNELS

MARGIN = 0.6  # keV around the outermost lines
LIVE_ITERATIONS = 20
GROWN = 1.5  # times the rays of the last look, before the next
ANGSTROM_KEV = 12.398419843320026

Arrays = dict[str, npt.NDArray[Any]]
Mask = npt.NDArray[np.bool_]
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Found:
    """What a look at the rays of that moment gave: the sum's fit, counts of each ray, maps (slice, y, x)."""

    fit: SpectrumFit
    total: npt.NDArray[np.float64]
    net: npt.NDArray[np.float32]
    errors: npt.NDArray[np.float32]
    maps: Arrays


@dataclass(slots=True)
class Elements:
    """Spectra (slice, angle, position, channel) of the channels around the lines, and what they tell.

    scales: Σ variance / Σ counts of each ray, what dead time makes of Poisson's law. incident: monitor of each ray as
    the spectra's own headers tell it, NaN where they do not.
    """

    store: PatternStore
    imaging: Imaging
    lines: list[ElementLines]
    start: Response
    channels: npt.NDArray[np.float64]
    spectra: npt.NDArray[np.float32]
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
        lines = [element_lines(element, ANGSTROM_KEV / store.axis.wavelength) for element in section.elements]
        start = Response(section.energy.offset, section.energy.step)
        channels = channels_of(lines, start)
        part = directory.fluorescence
        part.path.mkdir(exist_ok=True)
        spectra = mapped(part.spectra, (*store.grid.shape, len(channels)))
        spectra[:] = 0
        monitors = [config.detector.monitor, *(stream.key for stream in config.monitors)]
        known = any(key is not None for key in monitors)
        return cls(store, imaging, lines, start, channels, spectra, section.monitor is not None, known)

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
            self._search = self._pool.submit(self._look, usable, self.monitors.copy(), LIVE_ITERATIONS)

    def finish(self, iterations: int) -> None:
        """The final maps, from the complete set."""
        if self._search is not None:
            self._search.result()
            self._search, self._looked = None, 0
        usable = self.usable
        self.found = self._look(usable, self.monitors, iterations) if usable.any() else None

    def arrays(self) -> Arrays:
        """By their paths in the tree; the spectrum of all rays, its model and errors are in the results alone."""
        found: Arrays = {"maps/xrf_coverage": self.imaging.covered(self.usable)}
        known = self.found
        blank = np.full(self.grid.shape, np.nan, np.float32)
        empty = np.full(self.grid.map_shape, np.nan, np.float32)
        for k, lines in enumerate(self.lines):
            name = f"xrf_{lines.element}"
            found[f"sinograms/{name}"] = blank if known is None else known.net[..., k]
            found[f"maps/{name}"] = empty if known is None else known.maps[name]
            if known is not None:
                found[f"fluorescence/error_{lines.element}"] = known.errors[..., k]
        if known is not None:
            found["fluorescence/energy"] = known.fit.response.energies(self.channels)
            found["fluorescence/sum"] = known.total
            found["fluorescence/model"] = known.fit.model
            found["fluorescence/background"] = known.fit.background
        return found

    def told(self) -> dict[str, Any]:
        """The fit of the sum of all spectra, for the metadata."""
        told: dict[str, Any] = {"self_absorption": "uncorrected", "no_beam": self._no_beam()}
        if self.found is not None:
            fit = self.found.fit
            told["energy"] = {"offset": fit.response.offset, "step": fit.response.step}
            told["noise_kev"], told["chi_square"] = fit.response.noise, fit.chi_square
            told["counts"] = dict(zip(fit.elements, fit.net.tolist(), strict=True))
            told["count_errors"] = dict(zip(fit.elements, fit.errors.tolist(), strict=True))
        return told

    def units(self) -> dict[str, str]:
        """Units of the maps."""
        unit = "1" if self.grid.raster else "1/um"
        return {f"xrf_{lines.element}": unit for lines in self.lines} | {"xrf_coverage": "1"}

    def _no_beam(self) -> list[int]:
        lost = (self.measured & ~self.usable).ravel()[self.grid.visit]
        return [int(n) for n in np.flatnonzero(lost)]

    def _look(self, usable: Mask, monitors: npt.NDArray[np.float64], iterations: int) -> Found:
        """Fit the sum of the usable rays, then each ray, then reconstruct; in the order of the grid."""
        total, spread = np.zeros(len(self.channels)), np.zeros(len(self.channels))
        for s, a in np.argwhere(usable.any(axis=2)):
            spectra = self.spectra[s, a, usable[s, a]].astype(np.float64)
            total += spectra.sum(axis=0)
            spread += self.scales[s, a, usable[s, a]] @ spectra
        response = refine(total, spread, self.channels, self.lines, self.start)
        fit = fit_spectrum(total, spread, self.channels, self.lines, response)
        shape = (*self.grid.shape, len(self.lines))
        net, errors = np.full(shape, np.nan, np.float32), np.full(shape, np.nan, np.float32)
        for s, a in np.argwhere(usable.any(axis=2)):
            rays = usable[s, a]
            spectra, per_monitor = self.spectra[s, a, rays].astype(np.float64), 1 / monitors[s, a, rays][:, None]
            net[s, a, rays] = fit.measure(spectra) * per_monitor
            variances = fit.variances(spectra * self.scales[s, a, rays][:, None])
            errors[s, a, rays] = np.sqrt(variances) * per_monitor
        maps = {
            f"xrf_{lines.element}": self.imaging.image(Additive(net[..., k], Adds.INTENSITY), usable, iterations)
            for k, lines in enumerate(self.lines)
        }
        return Found(fit, total, net, errors, maps)


def channels_of(lines: Sequence[ElementLines], response: Response) -> npt.NDArray[np.float64]:
    """Channels from MARGIN below the lowest line to MARGIN above the highest."""
    energies = np.concatenate([each.energies[each.shares > 0.01] for each in lines])
    low, high = ((at - response.offset) / response.step for at in (energies.min() - MARGIN, energies.max() + MARGIN))
    return np.arange(max(int(low), 0), min(int(high) + 1, CHANNELS), dtype=np.float64)
