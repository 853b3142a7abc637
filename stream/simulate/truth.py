"""The ground truth of a simulated scan, under the names of the published maps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from stream import __version__
from stream.analyse.classify.contents import classify
from stream.analyse.classify.manifest import CLASSES
from stream.simulate.fluorescence import VirtualSpectra
from stream.simulate.phantom import Phantom
from stream.simulate.scan import VirtualScan

Floats = npt.NDArray[np.float64]
PRESENT = 0.05  # volume fraction below which a phase has no strain and no cell


def truth_maps(scan: VirtualScan) -> dict[str, npt.NDArray[Any]]:
    """Every map of the scan's sample, each [slice, y, x], averaged from the fine grid to the voxels.

    ``density`` is the attenuation per µm, ``phase_`` a volume fraction, ``fraction_`` a weight fraction among the
    crystalline phases; strain and cell are volume-weighted means, NaN where a phase fills less than 5 % of the voxel.
    """
    phantom = scan.phantom
    shares = scan.sample.shares()
    outside = ~scan.grid.field_of_view
    crystals = scan.preset.crystals
    volumes: dict[str, Floats] = {}
    maps: dict[str, Floats] = {}
    for phase in (*crystals, *scan.preset.humps):
        volumes[phase] = shares @ per_material(phantom, phase, lambda strain, scale: 1.0)
        maps[f"phase_{phase}"] = volumes[phase]
    maps["density"] = shares @ scan.attenuation
    weights = {phase: volumes[phase] * scan.densities[phase] for phase in crystals}
    total = sum(weights.values())
    for phase, crystal in crystals.items():
        volume = volumes[phase]
        enough = np.where(volume > PRESENT, volume, np.nan)
        strain = shares @ per_material(phantom, phase, lambda strain, scale: strain)
        axis = crystal.scale * (shares @ per_material(phantom, phase, lambda strain, scale: scale)) / enough
        cell = scan.lines[phase].cell
        maps[f"fraction_{phase}"] = weights[phase] / np.where(total > 0, total, np.nan)
        maps[f"strain_{phase}"] = strain / enough
        for name, length in zip("abc", cell, strict=True):
            maps[f"{name}_{phase}"] = axis * length
        maps[f"cell_volume_{phase}"] = axis**3 * scan.lines[phase].volume
    crystalline = np.asarray(sum(volumes[phase] for phase in crystals))
    classes = classify(crystalline, volumes["carbon"], volumes["glass"])
    classes[:, outside] = -1
    turned = scan.grid.step < 0 and not scan.grid.raster  # voxel indices follow the sign of the step
    along = slice(None, None, -1 if turned else 1)
    found: dict[str, npt.NDArray[Any]] = {"class_index": classes}
    for name, values in maps.items():
        found[name] = np.where(outside, np.nan, values).astype(np.float32)
    return {name: values[:, along, along] for name, values in found.items()}


def element_maps(scan: VirtualScan, spectra: VirtualSpectra | None) -> dict[str, npt.NDArray[Any]]:
    """``xrf_`` maps (slice, y, x): counts of an element's lines per µm and monitor unit; none without spectra."""
    if spectra is None:
        return {}
    outside = ~scan.grid.field_of_view
    turned = scan.grid.step < 0 and not scan.grid.raster
    along = slice(None, None, -1 if turned else 1)
    maps = {name: np.where(outside, np.nan, values).astype(np.float32) for name, values in spectra.maps().items()}
    return {name: values[:, along, along] for name, values in maps.items()}


def per_material(phantom: Phantom, phase: str, value: Callable[[float, float], float]) -> Floats:
    """Volume fraction of a phase times value(strain, scale), summed over each material's contents."""
    return np.array(
        [sum(c.volume * value(c.strain, c.scale) for c in m if c.phase == phase) for m in phantom.materials],
        dtype=np.float64,
    )


def field_of_view(count: int) -> npt.NDArray[np.bool_]:
    """Voxels whose middle lies in the circle x² + y² ≤ (count · step / 2)²."""
    x = np.arange(count) - (count - 1) / 2
    return np.asarray(np.hypot(x[:, None], x) <= count / 2)


def write_truth(scan: VirtualScan, path: Path, spectra: VirtualSpectra | None = None) -> None:
    """Write the maps, with the elements' where there are spectra, as HDF5, group `maps`; attributes tell the rest."""
    with h5py.File(path, "w") as file:
        file.attrs.update(
            seed=scan.seed,
            preset=scan.preset.name,
            wavelength=scan.detector.wavelength,
            classes=list(CLASSES),
            step_um=scan.step,
            version=__version__,
        )
        maps = file.create_group("maps")
        for name, values in (truth_maps(scan) | element_maps(scan, spectra)).items():
            maps.create_dataset(name, data=values, compression="gzip", compression_opts=1)
