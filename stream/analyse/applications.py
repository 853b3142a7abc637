"""What `results.nxs` holds beside /entry: the same data as NeXus' application definitions name them.

azint is an NXazint1d of the patterns, tomoproc an NXtomoproc of the reconstruction, and xrdct_1, xrdct_2, … are one
NXxrdct for each slice, as nxxrdct 0.1.0b0 (https://nxxrdct.readthedocs.io) lays it out. Patterns and volume are linked,
not copied.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from stream import __version__

if TYPE_CHECKING:
    from stream.analyse.results import Result

HC = 12.398419843320026  # keV·Å
NOT_STATED = "not stated"  # no message of the detector's, and no key of the config, has it
REFERENCE = (
    "G. Ashiotis et al., J. Appl. Cryst. 48, 510 (2015), doi:10.1107/S1600576715004306: pyFAI, whose results it gives"
)
RADIAL = {"2th_deg": ("2theta", "degree"), "q_A^-1": ("q", "1/angstrom"), "q_nm^-1": ("q", "1/nm")}
"""What NeXus calls a unit of `integration.unit`: long_name and units."""
COUNTED = "effective number of pixels contributing to the corresponding bin"


def write_applications(file: h5py.File, result: Result) -> None:
    """Add the entries to a file whose /entry is there; a raster is not reconstructed and has the first alone."""
    _write_azint(_entry(file, "azint", "NXazint1d", result), result)
    if not result.store.grid.raster:
        _write_tomoproc(_entry(file, "tomoproc", "NXtomoproc", result), result)
        for s in range(len(result.store.grid.slices)):
            _write_xrdct(_entry(file, f"xrdct_{s + 1}", "NXxrdct", result), s, result)


def nexus_group(parent: h5py.Group, name: str, nx_class: str, **attributes: Any) -> h5py.Group:
    """A new group of a NeXus class."""
    group = parent.create_group(name)
    group.attrs["NX_class"] = nx_class
    group.attrs.update(attributes)
    return group


def put(group: h5py.Group, name: str, value: Any, **attributes: Any) -> None:
    """A new field with its attributes."""
    group[name] = value
    group[name].attrs.update(attributes)


def times(result: Result) -> dict[str, str]:
    """start_time and end_time in ISO 8601, of the first and last frame that is in the result; none without frames."""
    received = [row.received for row in result.record.rows]
    ends = {"start_time": min(received), "end_time": max(received)} if received else {}
    return {name: datetime.fromtimestamp(at, UTC).isoformat() for name, at in ends.items()}


def _entry(file: h5py.File, name: str, definition: str, result: Result) -> h5py.Group:
    """An entry with what every definition asks for: title, times, sample, source, wavelength."""
    entry = nexus_group(file, name, "NXentry", default="data")
    entry["definition"] = definition
    entry["title"] = result.config.scan.name
    for field, value in times(result).items():
        entry[field] = value
    sample = nexus_group(entry, "sample", "NXsample")
    sample["name"] = result.config.scan.sample or result.config.scan.name
    instrument = nexus_group(entry, "instrument", "NXinstrument")
    instrument["name"] = NOT_STATED
    source = nexus_group(instrument, "source", "NXsource")
    source["name"], source["type"], source["probe"] = NOT_STATED, NOT_STATED, "x-ray"
    wavelength = result.store.axis.wavelength
    monochromator = nexus_group(instrument, "monochromator", "NXmonochromator")
    put(monochromator, "wavelength", wavelength, units="angstrom")
    put(monochromator, "energy", HC / wavelength, units="keV")
    return entry


def _process(entry: h5py.Group, name: str, parameters: str, values: dict[str, Any]) -> h5py.Group:
    process = nexus_group(entry, name, "NXprocess")
    process["program"], process["version"] = "braggstream", __version__
    process["date"] = datetime.now(UTC).isoformat(timespec="seconds")
    group = nexus_group(process, parameters, "NXparameters")
    for key, value in values.items():
        group[key] = value if isinstance(value, bool | int | float) else str(value)
    return process


def _write_azint(entry: h5py.Group, result: Result) -> None:
    store, integration = result.store, result.config.integration
    entry["solid_angle_applied"] = integration.solid_angle
    entry["polarization_applied"] = integration.polarization is not None
    entry["normalization_applied"] = True
    entry["monitor_applied"] = result.config.detector.monitor is not None or store.transmitted
    values = {**integration.model_dump(mode="json"), "geometry": result.config.detector.geometry}
    _process(entry, "reduction", "input", values)["reference"] = REFERENCE
    monitor = nexus_group(entry, "monitor", "NXmonitor")
    monitor["data"] = store.monitors.ravel()
    data = nexus_group(entry, "data", "NXdata", signal="I", axes=[".", "radial_axis"], interpretation="spectrum")
    layout = h5py.VirtualLayout((store.grid.size, store.axis.bins), np.float32)
    layout[:] = _patterns(result)
    data.create_virtual_dataset("I", layout, fillvalue=np.nan)
    data["I"].attrs.update(long_name="intensity", units="arbitrary units")
    _radial(data, result, edges=True)
    put(data, "norm", store.norms, long_name=COUNTED, units="arbitrary units")


def _write_tomoproc(entry: h5py.Group, result: Result) -> None:
    """`data` is the intensity (x, y, z), as the definition asks; `patterns`, shown first, the pattern of each voxel."""
    reconstruction = result.config.reconstruction.model_dump(mode="json")
    raw = "recording" if result.config.recording.frames else "journal.bin"
    _process(entry, "reconstruction", "parameters", {"raw_file": raw, **reconstruction})
    data = nexus_group(entry, "data", "NXdata", signal="data", axes=["x", "y", "z"])
    units = str(result.told.get("units", {}).get("global", "arbitrary units"))
    put(data, "data", result.arrays["maps/global"].T, units=units, transform="none", offset=0.0, scaling=1.0)
    for name, values in zip("zyx", result.store.grid.map_axes, strict=True):
        put(data, name, values, units="um")
    axes = ["z", "y", "x", "radial_axis"]
    patterns = nexus_group(entry, "patterns", "NXdata", signal="volume", axes=axes)
    patterns["volume"] = entry.file["entry/volume"]
    for name in "zyx":
        patterns[name] = data[name]
    _radial(patterns, result)
    entry.attrs["default"] = "patterns"


def _write_xrdct(entry: h5py.Group, s: int, result: Result) -> None:
    grid, bins = result.store.grid, result.store.axis.bins
    entry.attrs.update(definition="NXxrdct", version=1.0)
    sample, beam = entry["sample"], nexus_group(entry, "beam", "NXbeam")
    put(sample, "rotation_angles", grid.angles, units="degree")
    put(sample, "translation_values", grid.positions, units="um")
    put(sample, "z_translation", grid.slices[s], units="um")
    put(beam, "incident_energy", HC / result.store.axis.wavelength, units="keV")
    detector = nexus_group(entry["instrument"], "detector", "NXdetector")
    layout = h5py.VirtualLayout((len(grid.positions), len(grid.angles), bins), np.float32)
    for a in range(len(grid.angles)):
        layout[:, a, :] = _patterns(result)[s, a]
    detector.create_virtual_dataset("data", layout, fillvalue=np.nan)
    _radial(detector, result)
    axes = {"translation_values": sample, "rotation_angles": sample, "radial_axis": detector}
    data = nexus_group(entry, "data", "NXdata", signal="intensity", axes=list(axes))
    data["intensity"] = detector["data"]
    for name, group in axes.items():
        data[name] = group[name]


def _patterns(result: Result) -> h5py.VirtualSource:
    """The patterns of /entry in this file, by whatever name the file goes."""
    return h5py.VirtualSource(".", "/entry/patterns", shape=result.store.patterns.shape, dtype=np.float32)


def _radial(group: h5py.Group, result: Result, *, edges: bool = False) -> None:
    axis = result.store.axis
    name, units = RADIAL[axis.unit]
    put(group, "radial_axis", axis.centers, long_name=name, units=units)
    if edges:
        put(group, "radial_axis_edges", axis.edges, long_name=f"{name} bin edges", units=units)
