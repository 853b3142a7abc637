"""What a report reads of one run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from stream.analyse.crystal.structure import Structure, load_structure
from stream.core.axis import RadialAxis, from_two_theta
from stream.core.config import Config
from stream.core.errors import UsageError
from stream.core.revision import Revision
from stream.core.rundir import RunDirectory
from stream.dashboard.view import RunView

Floats = npt.NDArray[np.float64]
SOLID = ("particle", "particle_with_carbon")
"""Classes whose voxels tell of the particles."""


@dataclass(frozen=True, slots=True)
class ReportRun:
    """A run at its newest revision; `told` is its metadata, `label` its name in the report."""

    label: str
    view: RunView
    revision: Revision
    told: dict[str, Any]
    axis: RadialAxis

    @classmethod
    def open(cls, path: Path, taken: set[str]) -> Self:
        """Read the run directory at `path`; its label is none of those `taken`.

        Raises
        ------
        UsageError
            where it holds no run, or no map yet.
        """
        directory = RunDirectory(path)
        view = RunView(directory, directory.read_config())
        revision = view.revision()
        if revision is None:
            raise UsageError(f"{path} has no maps yet: there is nothing to report")
        label = view.scan if view.scan not in taken else path.resolve().name
        axis = RadialAxis(**view.snapshot().state["axis"])
        return cls(label, view, revision, view.status(), axis)

    @property
    def config(self) -> Config:
        """The run's resolved config."""
        return self.view.config

    @property
    def maps(self) -> dict[str, npt.NDArray[Any]]:
        """Maps (slice, y, x) by name."""
        return self.revision.maps

    @property
    def crystals(self) -> dict[str, Structure]:
        """Crystalline phases of the config, by name."""
        return {phase.name: load_structure(phase.cif) for phase in self.config.phases if hasattr(phase, "cif")}

    @property
    def classes(self) -> list[str]:
        """Labels of the classes, in order; none without a classifier."""
        return list(self.told.get("classes") or [])

    def of_class(self, *names: str) -> npt.NDArray[np.bool_]:
        """(slice, y, x) where a voxel is of one of these classes; nowhere without a classifier."""
        index = self.maps.get("class_index")
        if index is None:
            return np.zeros(self.view.grid.map_shape, dtype=bool)
        return np.isin(index, [n for n, name in enumerate(self.classes) if name in names])

    @property
    def solid(self) -> npt.NDArray[np.bool_]:
        """(slice, y, x) the particles' voxels; every voxel where none is known."""
        found = self.of_class(*SOLID)
        return found if found.any() else np.ones_like(found)

    def at_particles(self, name: str) -> Floats:
        """The known values of a map in the particles' voxels, in one row; empty where there is no such map."""
        if name not in self.maps:
            return np.zeros(0)
        values = self.maps[name][self.solid]
        return np.asarray(values[np.isfinite(values)], dtype=np.float64)

    def abscissa(self, as_q: bool) -> Floats:
        """(bins,) centres of the bins in the config's unit, or as q in 1/Å."""
        axis = self.axis
        return from_two_theta(axis.two_theta, "q_A^-1", axis.wavelength) if as_q else axis.centers

    def class_patterns(self) -> dict[str, Floats]:
        """The mean pattern (bins,) of the voxels of each class that has any."""
        volume = self.view.volume(self.axis.bins)
        if volume is None:
            return {}
        places = {name: self.of_class(name) for name in self.classes}
        return {name: _mean(volume, where) for name, where in places.items() if where.any()}


def _mean(volume: npt.NDArray[np.float32], where: npt.NDArray[np.bool_]) -> Floats:
    """The mean pattern (bins,) of the voxels `where`, row by row: the volume may be larger than the memory."""
    rows = (volume[s, y][where[s, y]].sum(axis=0, dtype=np.float64) for s, y in np.argwhere(where.any(axis=2)))
    return np.asarray(sum(rows) / where.sum())
