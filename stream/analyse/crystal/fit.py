"""The whole-pattern fit of every voxel: y = Σ s_p Σ I_hkl Voigt + humps + background."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from stream.analyse.crystal import voxel
from stream.analyse.crystal.instrument import Instrument
from stream.analyse.crystal.lattice import CELL_NAMES, volume_of
from stream.analyse.crystal.maps import FitResult, PhaseMaps
from stream.analyse.crystal.model import Crystal, Model, State, build
from stream.analyse.crystal.reasons import Reason
from stream.analyse.crystal.response import Response
from stream.analyse.crystal.scatter import kept_variance
from stream.analyse.crystal.smooth import Hump
from stream.analyse.crystal.start import find_start, first_state, fit_once, with_templates
from stream.core.axis import RadialAxis
from stream.core.errors import FitError

Floats = npt.NDArray[np.float64]
Profile = Literal["lorentzian", "gaussian", "fit"]
CHUNK = 16  # voxels that a thread takes at once
COARSEST = 2000.0  # nm; a coarser crystallite cannot be told from an infinite one
_SHARE = {"lorentzian": 1.0, "gaussian": 0.0, "fit": 0.8}


class PatternFit:
    """Fits voxels' patterns with a set of phases.

    Parameters
    ----------
    axis : the bins.
    phases : crystalline and amorphous ones, in the config's order.
    instrument : without one strain and size are masked, the rest is fitted all the same.
    profile : shape of the sample's broadening; `fit` finds it on the mean pattern, once a phase.
    shape_factor : K of β cosθ = Kλ/D + 4ε sinθ.
    response : what the bins see of 2θ; None: evenly filled ones, and the instrument's pixels.
    main : the phase whose cell is looked for within ±2 % in the mean pattern; None: the first crystalline one.

    Raises
    ------
    FitError
        If `main` is none of the phases, or the instrument was calibrated at another wavelength or geometry.
    """

    def __init__(
        self,
        axis: RadialAxis,
        phases: list[Crystal | Hump],
        instrument: Instrument | None = None,
        profile: Profile = "lorentzian",
        shape_factor: float = 0.9,
        main: str | None = None,
        response: Response | None = None,
    ) -> None:
        self.axis, self.instrument, self.profile, self.shape_factor = axis, instrument, profile, shape_factor
        self.response = response or Response.even(axis, instrument.pixel if instrument else 0.0)
        self.crystals = [phase for phase in phases if isinstance(phase, Crystal)]
        self.humps = [phase for phase in phases if isinstance(phase, Hump)]
        names = [crystal.name for crystal in self.crystals]
        if main is not None and main not in names:
            raise FitError(f"strain.phase is {main!r}, which is none of the crystalline phases {names}")
        if instrument is not None and abs(instrument.wavelength / axis.wavelength - 1) > 0.02:
            raise FitError(
                f"the instrument was calibrated at {instrument.wavelength} Å, and the scan is at {axis.wavelength} Å"
            )
        if instrument is not None and abs(instrument.pixel / self.response.pixel - 1) > 0.02:
            raise FitError(
                f"the instrument was calibrated with pixels of {instrument.pixel:.4f}°, and the scan's are "
                f"{self.response.pixel:.4f}°: another geometry or integration.method"
            )
        self._main = names.index(main) if main else 0

    def start(self, patterns: npt.NDArray[np.floating], variances: npt.NDArray[np.floating]) -> State:
        """Where all voxels of a slice start: from their mean pattern. Arrays (n, bins)."""
        usable = np.isfinite(patterns) & np.isfinite(variances) & (variances > 0)
        count = usable.sum(axis=0)
        mean = np.where(usable, patterns, 0).sum(axis=0, dtype=np.float64) / np.maximum(count, 1)
        variance = np.where(usable, variances, 0).sum(axis=0, dtype=np.float64) / np.maximum(count, 1) ** 2
        weight = np.divide(1.0, variance, out=np.zeros_like(mean), where=count > 0)
        first = first_state(self.crystals, self.axis.wavelength, self.shape_factor, _SHARE[self.profile])
        state = find_start(mean, weight, first, self._main, self._model, self.profile == "fit")
        return replace(state, systematic=self._systematic(mean, weight, state))

    def lines(self, start: State) -> dict[str, Floats]:
        """2θ (radians) of each crystalline phase's lines on the axis, with the start's cells."""
        return self._lines(self._model(start))

    def fit(
        self,
        patterns: npt.NDArray[np.floating],
        variances: npt.NDArray[np.floating],
        start: State | None = None,
        curve: bool = False,
        threads: int | None = None,
        held: bool = False,
    ) -> FitResult:
        """Fit each pattern by itself.

        Parameters
        ----------
        patterns : (n, bins) intensity per bin; NaN where there is none.
        variances : (n, bins), or (bins,) for all; bins whose variance is not positive are left out.
        start : from `start`; None: made of these patterns. The same start and pattern give the same bits, whatever
            other voxels or threads there are.
        curve : keep the fitted patterns.
        threads : None: one a core.
        held : patterns are held at zero or above, as SIRT's are; so is what noise makes of the reduced chi square.
        """
        patterns, variances = np.asarray(patterns), np.broadcast_to(variances, np.shape(patterns))
        state = self.start(patterns, variances) if start is None else start
        model = with_templates(self._model(state))._replace(kept=kept_variance(held))
        n, phases = len(patterns), len(self.crystals)
        tables = np.empty((n, phases, voxel.WIDTH))
        smooth = np.empty((n, model.smooth.shape[0]))
        curves = np.empty((n, self.axis.bins if curve else 0))
        lines = np.empty((n, model.intensity.size))
        quality = np.empty(n)

        def work(some: slice) -> None:  # the kernel lets other threads run
            # in C order, whatever the caller has: another order would be compiled anew
            given = (np.ascontiguousarray(values[some], dtype=np.float64) for values in (patterns, variances))
            found = (array[some] for array in (tables, smooth, curves, lines, quality))
            voxel.fit_voxels(*given, model, *found)

        with ThreadPoolExecutor(threads or len(os.sched_getaffinity(0))) as pool:
            list(pool.map(work, [slice(k, k + CHUNK) for k in range(0, n, CHUNK)]))
        return FitResult(
            phases=self._maps(tables, lines, model, state),
            humps={hump.name: np.maximum(smooth[:, k], 0) for k, hump in enumerate(self.humps)},
            fit_quality=quality,
            extrapolated=self._extrapolated(model),
            curve=curves.astype(np.float32) if curve else None,
        )

    def _model(self, state: State, instrument: Instrument | None = None) -> Model:
        instrument = instrument or self.instrument
        return build(self.axis, self.crystals, self.humps, instrument, self.response, state, self.shape_factor)

    def _systematic(self, mean: Floats, weight: Floats, state: State) -> Floats:
        """(phases,) error of strain from the instrument's own: the mean pattern refitted with it moved by 1σ."""
        nominal = fit_once(mean, weight, with_templates(self._model(state)))[0][:, voxel.STRAIN]
        squares = np.zeros_like(nominal)
        for moved in self.instrument.variations() if self.instrument else []:
            strain = fit_once(mean, weight, with_templates(self._model(state, moved)))[0][:, voxel.STRAIN]
            squares += np.nan_to_num(strain - nominal) ** 2
        # a phase that the mean pattern does not resolve shares the instrument, hence its error
        squares[~np.isfinite(nominal)] = squares.max(initial=0.0)
        return np.asarray(np.sqrt(squares))

    def _extrapolated(self, model: Model) -> bool:
        """Whether a line on the axis lies outside those the instrument was measured with."""
        if self.instrument is None:
            return False
        return any(bool(np.any(self.instrument.extrapolated(lines))) for lines in self._lines(model).values())

    def _lines(self, model: Model) -> dict[str, Floats]:
        low, high = self.axis.two_theta_edges[[0, -1]]
        lines = {}
        for p, crystal in enumerate(self.crystals):
            rows = model.rows[model.first[p] : model.first[p + 1]]
            two_theta = 2 * np.arcsin(self.axis.wavelength / 2 * np.sqrt(rows @ model.metric[p]))
            lines[crystal.name] = two_theta[(two_theta > low) & (two_theta < high)]
        return lines

    def _maps(self, tables: Floats, lines: Floats, model: Model, state: State) -> dict[str, PhaseMaps]:
        """One `PhaseMaps` a phase from the kernels' tables (n, phases, WIDTH) and lines (n, reflections)."""
        reasons = tables[:, :, voxel.REASON].astype(np.int8)
        scale = tables[:, :, voxel.SCALE]
        cells = [self._cells(tables[:, p, :6], state.metric[p], p) for p in range(len(self.crystals))]
        volumes = np.array([volume_of(cell) for cell in cells]).T.reshape(scale.shape)
        masses = np.array([crystal.structure.cell_mass for crystal in self.crystals])
        weights = scale * masses * volumes
        there = np.any((reasons != Reason.NO_SIGNAL) & (reasons != Reason.NOT_FINITE), axis=1)
        total = np.where(there, weights.sum(axis=1), np.nan)
        maps = {}
        for p, crystal in enumerate(self.crystals):
            table, reason = tables[:, p], reasons[:, p].copy()
            known = table[:, voxel.CELL_FREE] == 1
            if self.instrument is None:
                reason[reason == Reason.OK] = Reason.NO_INSTRUMENT
            good = reason == Reason.OK
            size = self.shape_factor * self.axis.wavelength / (10 * table[:, voxel.BREADTH])
            error = np.hypot(table[:, voxel.STRAIN_ERROR], state.systematic[p])
            free = crystal.structure.lattice.free
            own = slice(model.first[p], model.first[p + 1])
            covariance = table[:, voxel.COVARIANCE :].reshape(-1, 6, 6)[:, : len(free), : len(free)]
            errors = crystal.structure.lattice.cell_errors(table[:, : len(free)], covariance)
            maps[crystal.name] = PhaseMaps(
                scale=scale[:, p],
                amount=scale[:, p] * volumes[:, p] ** 2,
                fraction=weights[:, p] / total,
                cell={name: np.where(known, cells[p][:, CELL_NAMES.index(name)], np.nan) for name in free},
                cell_error={name: np.where(known, errors[:, CELL_NAMES.index(name)], np.nan) for name in free},
                cell_volume=np.where(known, volumes[:, p], np.nan),
                strain=np.where(good, table[:, voxel.STRAIN], np.nan),
                strain_error=np.where(good, error, np.nan),
                size=np.where(good & (size <= COARSEST), size, np.nan),
                lines=lines[:, own],
                rows=model.rows[own, : len(free)],
                reason=reason,
            )
        return maps

    def _cells(self, metric: Floats, start: Floats, p: int) -> Floats:
        """(n, 6) cells; the start's where a voxel has none of its own."""
        lattice = self.crystals[p].structure.lattice
        free = len(lattice.free)
        own = np.where(np.isfinite(metric[:, :free]), metric[:, :free], start[:free])
        return lattice.cell(own)
