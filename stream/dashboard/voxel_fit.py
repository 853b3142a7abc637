"""The fit of one voxel, made when somebody clicks on it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.analyse.crystal.fit import PatternFit
from stream.analyse.crystal.maps import FitResult, PhaseMaps
from stream.analyse.crystal.model import State
from stream.analyse.crystal.reasons import Reason
from stream.analyse.crystal.williamson_hall import williamson_hall
from stream.analyse.phases import as_phase, build_fit
from stream.core.axis import RadialAxis
from stream.core.config import Config
from stream.core.errors import FitError
from stream.core.revision import Revision
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.ingest.ledger_reader import LedgerReader


@dataclass(slots=True)
class VoxelFit:
    """Fits a voxel's pattern as analyse does; called from the server's threads, one at a time."""

    directory: RunDirectory
    config: Config
    _fit: PatternFit | None = None
    _starts: dict[tuple[int, int], State] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, revision: Revision, index: int, pattern: npt.NDArray[Any]) -> dict[str, Any]:
        """The fitted curve (bins,) and the Williamson-Hall points of the strain phase.

        Raises
        ------
        FitError
            before the first voxels were read, so that the noise is not known.
        """
        noise = revision.arrays.get("voxel_noise")
        if noise is None:
            raise FitError("no voxel has been read yet")
        with self._lock:
            fit = self._fit = self._fit or self._load()
            start = self._start(fit, revision.number, index, noise[index])
            held = self.config.scan.mode == "tomography"
            result = fit.fit(pattern[None], noise[index], start, curve=True, held=held)
            curve = None if result.curve is None else result.curve[0]
            return {"curve": curve, **self._williamson_hall(fit, result, start, pattern, noise[index])}

    def _williamson_hall(
        self, fit: PatternFit, result: FitResult, start: State, pattern: npt.NDArray[Any], noise: npt.NDArray[Any]
    ) -> dict[str, Any]:
        """Points (4 sinθ, β cosθ) and their line; the sentence instead where it cannot be drawn.

        A line is β cosθ = intercept + strain · 4 sinθ with the intercept Kλ/D in radians; `whole_pattern` is that of
        the whole-pattern fit, or says why that has none.
        """
        if fit.instrument is None or not fit.crystals:
            return {"williamson_hall": None, "williamson_hall_refused": "no instrument is calibrated"}
        lines = fit.lines(start)
        name = self.config.strain.phase or fit.crystals[0].name
        p = [crystal.name for crystal in fit.crystals].index(name)
        there = [other for other, phase in result.phases.items() if phase.reason[0] != Reason.NO_SIGNAL]
        others = np.concatenate([np.empty(0), *(lines[other] for other in there if other != name)])
        shape = (float(start.shape[p, 0]), float(start.shape[p, 1]))
        try:
            line = williamson_hall(
                fit.axis, pattern.astype(float), noise.astype(float), lines[name], others,
                fit.instrument, fit.response, shape, self.config.strain.shape_factor,
            )  # fmt: skip
        except FitError as error:
            return {"williamson_hall": None, "williamson_hall_refused": str(error)}
        points = {key: getattr(line, key) for key in ("two_theta", "x", "y", "y_error")}
        told = {"phase": name, "strain": line.strain, "strain_error": line.strain_error, "size": line.size}
        weight = 1 / line.y_error**2
        told["intercept"] = np.average(line.y - line.strain * line.x, weights=weight)  # as least squares leaves it
        whole = whole_pattern(result.phases[name], self.config.strain.shape_factor * fit.axis.wavelength)
        return {"williamson_hall": {**told, **points, "whole_pattern": whole}, "williamson_hall_refused": None}

    def _start(self, fit: PatternFit, revision: int, index: int, noise: npt.NDArray[Any]) -> State:
        """Where the slice's fits start, from its mean pattern; kept for the newest revision."""
        key = (revision, index)
        if key not in self._starts:
            mean, count = self._mean(fit.axis.bins, index)
            known = np.divide(noise, count, out=np.full(len(noise), np.nan), where=count > 0)
            self._starts = {key: fit.start(mean[None], known[None])}
        return self._starts[key]

    def _mean(self, bins: int, index: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Mean pattern (bins,) of a slice's voxels, and of how many: row by row, as a slice may be large."""
        shape = ScanGrid.from_config(self.config.scan).map_shape
        volume = np.memmap(self.directory.volume, dtype="<f4", mode="r", shape=(*shape, bins))
        total, count = np.zeros(bins), np.zeros(bins, dtype=np.int64)
        for row in volume[index]:
            usable = np.isfinite(row)
            total += np.where(usable, row, 0).sum(axis=0, dtype=np.float64)
            count += usable.sum(axis=0)
        return total / np.maximum(count, 1), count

    def _load(self) -> PatternFit:
        state = LedgerReader(self.directory.ledger, ScanGrid.from_config(self.config.scan)).snapshot().state
        return build_fit(self.config, RadialAxis(**state["axis"]), [as_phase(phase) for phase in self.config.phases])


def whole_pattern(phase: PhaseMaps, factor: float) -> dict[str, Any]:
    """Strain, size (nm), cell (Å, degrees) and intercept of the one voxel that `phase` holds; factor is Kλ in Å."""
    reason = Reason(int(phase.reason[0]))
    size = float(phase.size[0])
    masked = reason.sentence if reason is not Reason.OK else None if np.isfinite(size) else "its size is at a bound"
    return {
        "strain": float(phase.strain[0]),
        "strain_error": float(phase.strain_error[0]),
        "size": size,
        "cell": {name: float(values[0]) for name, values in phase.cell.items()},
        "cell_error": {name: float(values[0]) for name, values in phase.cell_error.items()},
        "intercept": factor / (10 * size),
        "masked": masked,
    }
