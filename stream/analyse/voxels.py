"""What each voxel is: classes from the model, phases, cell and strain from the fit."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import structlog

from stream.analyse.classify.model import Classifier, load_classifier
from stream.analyse.crystal.fit import PatternFit
from stream.analyse.crystal.instrument import load_instrument
from stream.analyse.crystal.maps import FitResult
from stream.analyse.crystal.model import Crystal, State
from stream.analyse.crystal.rays import ray_amounts
from stream.analyse.crystal.smooth import Hump
from stream.analyse.crystal.structure import load_structure
from stream.core.axis import RadialAxis
from stream.core.config import AmorphousPhase, Config, CrystallinePhase
from stream.core.errors import ConfigError, FitError

Arrays = dict[str, npt.NDArray[Any]]
Floats = npt.NDArray[np.float32]

FEWEST_LIVE = 16  # voxels that a live update fits however slow the fit is
ANGLES = {"alpha", "beta", "gamma"}

log = structlog.get_logger()


@dataclass(slots=True)
class VoxelReader:
    """Reads the voxels of one slice after another."""

    axis: RadialAxis
    fit: PatternFit | None
    classifier: Classifier | None
    strain_phase: str | None
    _seconds: float = 0.0  # of the fit, a voxel
    _turn: int = 0
    _start: State | None = field(default=None)

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
        name = config.classification.model
        classifier = load_classifier(name) if name is not None else None
        crystals = [phase.name for phase in phases if isinstance(phase, Crystal)]
        return cls(axis, fit, classifier, config.strain.phase or next(iter(crystals), None))

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels, in the order of class_index."""
        return self.classifier.classes if self.classifier else ()

    @property
    def strain_map(self) -> str | None:
        """The map that the strain statistics are of."""
        return f"strain_{self.strain_phase}" if self.strain_phase else None

    def read(self, volume: Floats, variance: Floats, previous: Arrays, budget: float | None) -> Arrays:
        """Maps (y, x) of one slice, NaN or -1 outside the field of view.

        Parameters
        ----------
        volume, variance
            (y, x, bin): the pattern of each voxel and its variance.
        previous
            The slice's maps of the last update; voxels that the budget leaves out keep their values.
        budget
            Seconds for the fits; None fits every voxel, from these data alone.
        """
        inside = np.asarray(np.isfinite(volume).any(axis=-1))
        patterns, variances = volume[inside], variance[inside]
        planes = self.blank(inside.shape)
        if not len(patterns):
            return planes
        planes |= self._classify(patterns, inside)
        if self.fit is not None:
            chosen = self._choose(len(patterns), budget)
            begun = time.monotonic()
            try:
                start = self.fit.start(patterns, variances)
                result = self.fit.fit(patterns[chosen], variances[chosen], start)
            except FitError as error:
                log.warning("fit.refused", reason=str(error))
                return planes
            self._start = start
            self._seconds = (time.monotonic() - begun) / len(chosen)
            where = np.flatnonzero(inside)[chosen]
            for name, values in flat_maps(result.without_traces()).items():
                planes[name] = placed(values, where, inside.shape, previous.get(name) if budget is not None else None)
        return planes

    def blank(self, shape: tuple[int, ...]) -> Arrays:
        """All the maps of a slice of that shape (y, x) of which nothing is known."""
        planes: Arrays = {name: np.full(shape, np.nan, dtype=np.float32) for name in self._fitted_units()}
        if self.classifier is not None:
            planes["class_index"] = np.full(shape, -1, dtype=np.int8)
            planes["class_probability"] = np.full((len(self.classes), *shape), np.nan, dtype=np.float32)
        return planes

    def settle(self) -> None:
        """Forget what live updates found, so that the final result comes from the complete set alone."""
        self._start = None

    def sinograms(self, patterns: Floats) -> Arrays:
        """Amount of each phase in each ray, (slice, angle, position), by a linear fit: it adds along the ray.

        NaN until a slice could be fitted.
        """
        if self.fit is None:
            return {}
        if self._start is None:
            blank = np.full(patterns.shape[:-1], np.nan, dtype=np.float32)
            names = [crystal.name for crystal in self.fit.crystals] + [hump.name for hump in self.fit.humps]
            return {f"sinograms/{name}": blank for name in names}
        usable = np.asarray(np.isfinite(patterns).any(axis=(0, 1, 2)))
        operator = ray_amounts(self.fit, self._start, usable)
        rays = np.where(usable, patterns, np.float32(0))
        return {f"sinograms/{name}": (rays @ row.astype(np.float32)) for name, row in operator.items()}

    def told(self) -> dict[str, Any]:
        """What the metadata say of model and units."""
        model = None
        if self.classifier is not None:
            model = {"name": self.classifier.name, "sha256": self.classifier.sha256}
        return {"classes": list(self.classes), "model": model, "units": self._units()}

    def description(self) -> Iterator[str]:
        """Lines on what will be read from a voxel."""
        if self.fit is None:
            yield "phases: none, so no amounts and no strain"
        else:
            names = [c.name for c in self.fit.crystals] + [h.name for h in self.fit.humps]
            yield f"phases: {', '.join(names)}; strain of {self.strain_phase}"
            if self.fit.instrument is None:
                yield "instrument: none, so strain and size stay masked (see braggstream calibrate)"
        if self.classifier is not None:
            yield f"model: {self.classifier.name}, sha256 {self.classifier.sha256[:12]}"

    def _choose(self, n: int, budget: float | None) -> npt.NDArray[np.int64]:
        """Which voxels to fit now: all, or as many as the budget allows, in turn."""
        fits = n if budget is None or not self._seconds else max(int(budget / self._seconds), FEWEST_LIVE)
        if fits >= n:
            return np.arange(n)
        chosen = (self._turn + np.arange(fits)) % n
        self._turn = int(chosen[-1] + 1) % n
        return np.sort(chosen)

    def _classify(self, patterns: Floats, inside: npt.NDArray[np.bool_]) -> Arrays:
        if self.classifier is None:
            return {}
        prediction = self.classifier.predict(patterns, self.axis)
        planes = self.blank(inside.shape)
        index, probability = planes["class_index"], planes["class_probability"]
        index[inside] = prediction.index
        probability[:, inside] = prediction.probability.T
        return {"class_index": index, "class_probability": probability}

    def _units(self) -> dict[str, str]:
        units = {"global": f"intensity {self.axis.unit}/um", "coverage": "1", "class_index": "1"}
        return units | self._fitted_units()

    def _fitted_units(self) -> dict[str, str]:
        if self.fit is None:
            return {}
        units = {"fit_quality": "1"}
        for crystal in self.fit.crystals:
            name = crystal.name
            units |= {f"phase_{name}": "arbitrary", f"fraction_{name}": "1", f"strain_{name}": "1"}
            units |= {f"strain_error_{name}": "1", f"size_{name}": "nm", f"cell_volume_{name}": "Angstrom3"}
            for parameter in crystal.structure.lattice.free:
                units[f"{parameter}_{name}"] = "degree" if parameter in ANGLES else "Angstrom"
        return units | {f"phase_{hump.name}": f"intensity {self.axis.unit}/um" for hump in self.fit.humps}


def as_phase(phase: CrystallinePhase | AmorphousPhase) -> Crystal | Hump:
    """A phase of the config as the fit knows it."""
    if isinstance(phase, CrystallinePhase):
        return Crystal(phase.name, load_structure(phase.cif))
    return Hump(phase.name, phase.hump.position, phase.hump.width)


def build_fit(config: Config, axis: RadialAxis, phases: list[Crystal | Hump]) -> PatternFit:
    """The fit that the config describes."""
    instrument = load_instrument(config.instrument) if config.instrument is not None else None
    strain = config.strain
    try:
        return PatternFit(axis, phases, instrument, strain.profile, strain.shape_factor, strain.phase)
    except FitError as error:
        raise ConfigError(str(error)) from None


def flat_maps(result: FitResult) -> Arrays:
    """The fit's arrays (n,) under the names of the maps."""
    maps: Arrays = {f"phase_{name}": area for name, area in result.humps.items()}
    for name, phase in result.phases.items():
        maps |= {
            f"phase_{name}": phase.amount,
            f"fraction_{name}": phase.fraction,
            f"strain_{name}": phase.strain,
            f"strain_error_{name}": phase.strain_error,
            f"size_{name}": phase.size,
            f"cell_volume_{name}": phase.cell_volume,
        }
        maps |= {f"{parameter}_{name}": values for parameter, values in phase.cell.items()}
    return maps | {"fit_quality": result.fit_quality}


def placed(
    values: npt.NDArray[Any], where: npt.NDArray[np.int64], shape: tuple[int, ...], before: npt.NDArray[Any] | None
) -> Floats:
    """A map (y, x) with `values` at the flat indices `where`, and elsewhere what was there before, or NaN."""
    plane = np.full(shape, np.nan, dtype=np.float32) if before is None else before.astype(np.float32)
    plane.ravel()[where] = values
    return plane
