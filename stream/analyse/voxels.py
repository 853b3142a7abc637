"""What each voxel is: classes and clusters by their naming, phases, cell and strain from the fit."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import structlog

from stream.analyse.crystal.fit import PatternFit
from stream.analyse.crystal.maps import FitResult
from stream.analyse.crystal.model import Crystal, State
from stream.analyse.crystal.rays import ray_amounts
from stream.analyse.crystal.smooth import Hump
from stream.analyse.implied import Implied
from stream.analyse.joined import joined
from stream.analyse.masks import MASK_REASONS, NOT_YET, OUTSIDE, mask_name
from stream.analyse.naming import Naming
from stream.analyse.phases import as_phase, build_fit, fitted_units, flat_maps
from stream.analyse.slices import Indices, Voxels, batches
from stream.analyse.turns import Turn
from stream.core.axis import RadialAxis
from stream.core.config import Config
from stream.core.errors import FitError
from stream.scale.spread import HERE, Spread

Arrays = dict[str, npt.NDArray[Any]]
Floats = npt.NDArray[np.float32]

CLASSES = 0.4  # of the time to read voxels; the rest is for fits
START = 0.25  # of the time to fit, for where the fits start

log = structlog.get_logger()


@dataclass(slots=True)
class Live:
    """How far a slice's live voxels are read."""

    fits: Turn = field(default_factory=Turn)
    start: State | None = None
    patience: float = 0.0  # seconds to wait with another start


@dataclass(slots=True)
class VoxelReader:
    """Reads the voxels of one slice after another."""

    axis: RadialAxis
    fit: PatternFit | None
    naming: Naming | None
    strain_phase: str | None
    start: State | None = None
    """Where the latest fits started."""
    _live: dict[int, Live] = field(default_factory=dict)
    _told_of_range: bool = False

    @classmethod
    def from_config(cls, config: Config, axis: RadialAxis) -> Self:
        """Load phases, instrument and model.

        Raises
        ------
        ConfigError
            naming the key whose file cannot be used.
        """
        phases = [as_phase(phase) for phase in config.phases]
        fit = build_fit(config, axis, phases) if phases else None
        naming = Naming.from_config(config.classification, axis, Implied.of(phases, axis))
        crystals = [phase.name for phase in phases if isinstance(phase, Crystal)]
        return cls(axis, fit, naming, config.strain.phase or next(iter(crystals), None))

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels, in the order of class_index."""
        return self.naming.classifier.classes if self.naming else ()

    @property
    def strain_map(self) -> str | None:
        """The map that the strain statistics are of."""
        return f"strain_{self.strain_phase}" if self.strain_phase else None

    def read(self, s: int, voxels: Voxels, previous: Arrays, budget: float | None, spread: Spread = HERE) -> Arrays:
        """Maps (y, x) of slice `s`, NaN or -1 outside the field of view.

        Parameters
        ----------
        previous
            The slice's maps of the last update; voxels that the budget leaves out keep their values.
        budget
            Seconds for classes and fits, which take voxels in turn; None reads every voxel, from these data alone,
            but for its name: `named` gives that once all slices are read.
        spread
            What fits are handed to.
        """
        live = self._live.setdefault(s, Live()) if budget is not None else None
        planes = previous if live else self.blank(voxels.inside.shape)
        if not voxels.count:
            return planes
        fitting = budget or 0.0
        if self.naming is not None and budget is not None:
            planes = planes | self.naming.live(s, voxels, planes, budget * CLASSES)
            fitting = budget * (1 - CLASSES)
        planes = planes | self._fit(voxels, planes, live, fitting, spread)
        if self.naming is not None and budget is None:
            self.naming.look(s, voxels, planes)
        return planes

    def named(self) -> Iterator[tuple[int, Arrays]]:
        """Classes and clusters of the slices that were read without a budget, from all of them together."""
        return iter(()) if self.naming is None else self.naming.conclude()

    def blank(self, shape: tuple[int, ...]) -> Arrays:
        """All the maps of a slice of that shape (y, x) of which nothing is known."""
        planes: Arrays = {name: np.full(shape, np.nan, dtype=np.float32) for name in fitted_units(self.fit)}
        planes |= {mask_name(phase): np.full(shape, NOT_YET, dtype=np.int8) for phase in self.crystals}
        return planes if self.naming is None else planes | self.naming.blank(shape)

    def settle(self) -> None:
        """Forget what live updates found, so that the final result comes from the complete set alone."""
        self._live.clear()
        if self.naming is not None:
            self.naming.settle()
        self.start = None

    @property
    def phases(self) -> list[str]:
        """Names of the phases that the fit knows."""
        return [] if self.fit is None else [c.name for c in self.fit.crystals] + [h.name for h in self.fit.humps]

    @property
    def crystals(self) -> list[str]:
        """Names of the crystalline ones."""
        return [] if self.fit is None else [crystal.name for crystal in self.fit.crystals]

    def amounts(self, usable: npt.NDArray[np.bool_]) -> dict[str, npt.NDArray[np.float64]] | None:
        """The row (bins,) of each phase whose product with a ray's pattern is its amount: it adds along the ray.

        usable: (bins,), those that a ray knows. None until a slice could be fitted.
        """
        return None if self.fit is None or self.start is None else ray_amounts(self.fit, self.start, usable)

    def told(self) -> dict[str, Any]:
        """What the metadata say of model and units."""
        return {
            "classes": list(self.classes),
            **({"model": None, "clusters": None} if self.naming is None else self.naming.told()),
            "units": self._units(),
            "mask_reasons": MASK_REASONS,
        }

    def description(self) -> Iterator[str]:
        """Lines on what will be read from a voxel."""
        if self.fit is None:
            yield "phases: none, so no amounts and no strain"
        else:
            names = [c.name for c in self.fit.crystals] + [h.name for h in self.fit.humps]
            yield f"phases: {', '.join(names)}; strain of {self.strain_phase}"
            for hump in self.fit.humps:
                reach = hump.width / 2
                if hump.position + reach <= self.axis.low or hump.position - reach >= self.axis.high:
                    yield _unseen(hump, self.axis)
            if self.fit.instrument is None:
                yield "instrument: none, so strain and size stay masked (see braggstream calibrate)"
        if self.naming is not None:
            yield from self.naming.description()

    def _fit(self, voxels: Voxels, planes: Arrays, live: Live | None, budget: float, spread: Spread) -> Arrays:
        if self.fit is None:
            return {}
        begun = time.monotonic()
        try:
            start = self._start(voxels, live, budget)
            turn = Turn() if live is None else live.fits
            left = budget - (time.monotonic() - begun)
            chosen = np.arange(voxels.count) if live is None else turn.choose(voxels.count, left)
            with turn.timed(len(chosen)):
                result = self._fitted(voxels, chosen, start, spread)
        except FitError as error:
            log.warning("fit.refused", reason=str(error))
            return {}
        where = np.flatnonzero(voxels.inside)[chosen]
        maps = flat_maps(result, self.fit)
        found = {name: placed(values, where, planes[name]) for name, values in maps.items()}
        for phase in self.crystals:
            found[mask_name(phase)][~voxels.inside] = OUTSIDE
        return found

    def _start(self, voxels: Voxels, live: Live | None, budget: float) -> State:
        """Where the fits start; live ones look for it anew when it took no more than START of the time since."""
        assert self.fit is not None
        if live is not None:
            live.patience -= START * budget
            if live.start is not None and live.patience > 0:
                return live.start
        begun = time.monotonic()
        mean = np.asarray(voxels.mean(), dtype=np.float64)
        self.start = self.fit.start(mean[None], voxels.noise()[None].astype(np.float64) / voxels.count)
        if live is not None:
            live.start, live.patience = self.start, time.monotonic() - begun
        return self.start

    def _fitted(self, voxels: Voxels, chosen: Indices, start: State, spread: Spread) -> FitResult:
        assert self.fit is not None
        fit = partial(self.fit.fit, start=start, threads=spread.threads, held=voxels.held)
        some = list(batches(chosen))
        result = joined(list(spread.map(fit, map(voxels.unheld, some), map(voxels.variances, some))))
        if result.extrapolated and not self._told_of_range:
            self._told_of_range = True
            assert self.fit.instrument is not None
            low, high = self.fit.instrument.valid
            log.warning("instrument.extrapolated", measured_from=low, measured_to=high)
        return result.without_traces()

    def _units(self) -> dict[str, str]:
        units = {"global": f"intensity {self.axis.unit}/um", "coverage": "1", "class_index": "1", "cluster_index": "1"}
        return units | fitted_units(self.fit)


def _unseen(hump: Hump, axis: RadialAxis) -> str:
    """Said of a hump that no bin sees."""
    return (
        f"warning: phase {hump.name}: its hump at {hump.position:g} ± {hump.width / 2:g} lies outside the patterns, "
        f"{axis.low:.4g} to {axis.high:.4g} {axis.unit}, so its amount says nothing"
    )


def placed(values: npt.NDArray[Any], where: Indices, before: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A map (y, x) with `values` at the flat indices `where`, and elsewhere what was there before."""
    plane = before.copy()
    plane.ravel()[where] = values
    return plane
