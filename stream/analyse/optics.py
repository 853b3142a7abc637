"""What absorption and parallax do to a scan: density and bounds as maps, and what the metadata say of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import structlog

from stream.analyse.aside import Aside
from stream.analyse.imaging import Imaging
from stream.analyse.store import PatternStore
from stream.analyse.tomography.parallax import parallax_bounds
from stream.analyse.transmission import Transmission

LIVE_ITERATIONS = 20  # of a live density
GROWN = 1.5  # times the rays of the last look, before the next
OUTSIDE = "corrected, but many rays pass more than the outermost ones: the sample reaches out of the field"

Arrays = dict[str, npt.NDArray[Any]]
log = structlog.get_logger()


@dataclass(slots=True)
class Optics:
    """Density (slice, y, x) from the transmitted beam where there is one, and parallax bounds.

    distance_um: from the rotation axis to the detector, along the beam; infinite where there is no parallax.
    """

    store: PatternStore
    imaging: Imaging
    distance_um: float
    corrects: bool
    """Whether the final reconstruction takes parallax into account."""
    final: bool = False
    density: npt.NDArray[np.float32] = field(init=False)
    _aside: Aside[npt.NDArray[np.float32]] = field(default_factory=lambda: Aside("density"))
    _looked: int = 0

    def __post_init__(self) -> None:
        """Nothing is known yet."""
        self.density = np.full(self.store.grid.map_shape, np.nan, dtype=np.float32)

    def update(self) -> None:
        """Take the density that was computed meanwhile, and begin another one where the rays have grown."""
        found = self._aside.taken()
        self.density = self.density if found is None else found
        transmission, rays = self.store.transmission, int(np.count_nonzero(self.store.with_beam))
        if transmission is not None and not self._aside.busy and rays > GROWN * self._looked:
            self._looked = rays
            self._aside.begin(partial(self._image, transmission, LIVE_ITERATIONS))
        self.final = False

    def finish(self, iterations: int) -> None:
        """The final density, from the complete set."""
        self._aside.awaited()
        self._looked = 0
        if self.store.transmission is not None:
            self.density = self._image(self.store.transmission, iterations)
        self.final = True

    def arrays(self) -> Arrays:
        """By their paths in the tree."""
        grid, found = self.store.grid, {}
        transmission = self.store.transmission
        if transmission is not None:
            found["sinograms/transmission"] = transmission.values.astype(np.float32)
            found["maps/density"] = self.density
        if not grid.raster:
            shares = self.store.with_beam.mean(axis=2)
            _, y, x = grid.map_axes
            bounds = [parallax_bounds(y, x, grid.angles, share, self.distance_um) for share in shares]
            for name in ("cell", "strain"):
                planes = [np.where(grid.field_of_view, getattr(each, name), np.nan) for each in bounds]
                found[f"maps/parallax_{name}"] = np.stack(planes).astype(np.float32)
        return found

    def told(self, arrays: Arrays, strain_map: str | None) -> dict[str, Any]:
        """Absorption and parallax, for the metadata; arrays hold the maps of the same revision."""
        transmission = self.store.transmission
        found: dict[str, Any] = {"absorption": "uncorrected"}
        if transmission is not None:
            found["absorption"] = OUTSIDE if transmission.overfull else "corrected"
            found["transmission"] = {"level": transmission.level, "spread": transmission.spread}
        if not self.store.grid.raster:
            found["parallax"] = self._parallax(arrays, strain_map)
        return found

    def units(self, of_maps: dict[str, str]) -> dict[str, str]:
        """Units of all maps; those of a raster are of a ray, not per µm of it."""
        found = of_maps | {"density": "1/um", "parallax_cell": "1", "parallax_strain": "1"}
        return {name: unit.removesuffix("/um") for name, unit in found.items()} if self.store.grid.raster else found

    def _parallax(self, arrays: Arrays, strain_map: str | None) -> dict[str, Any]:
        cell, strain = arrays["maps/parallax_cell"], arrays["maps/parallax_strain"]
        stated = arrays.get(f"maps/{(strain_map or '').replace('strain_', 'strain_error_', 1)}")
        beyond = known = 0
        if stated is not None:
            known, beyond = int(np.isfinite(stated).sum()), int((strain > stated).sum())
        corrected = self.final and self.corrects
        note = None
        if beyond and not corrected:
            note = f"in {beyond} of {known} voxels parallax can feign more microstrain than the stated error"
            if self.final:
                log.warning("parallax.beyond_error", voxels=beyond, of=known, distance_um=self.distance_um)
        return {
            "distance_um": self.distance_um if np.isfinite(self.distance_um) else None,
            "corrected": corrected,
            "largest_cell": _largest(cell),
            "largest_strain": _largest(strain),
            "note": note,
        }

    def _image(self, transmission: Transmission, iterations: int) -> npt.NDArray[np.float32]:
        return self.imaging.image(transmission.depths, self.store.with_beam, iterations)


def _largest(plane: npt.NDArray[np.float32]) -> float | None:
    known = plane[np.isfinite(plane)]
    return float(known.max()) if known.size else None
