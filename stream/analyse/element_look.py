"""One look at all the spectra: fit of their sum, net intensities of each ray, maps, and the spectrum of each voxel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.analyse.fluorescence.calibrate import branch, refine
from stream.analyse.fluorescence.fit import SpectrumFit, fit_spectrum
from stream.analyse.fluorescence.lines import ElementLines
from stream.analyse.fluorescence.response import Response
from stream.analyse.imaging import Imaging
from stream.analyse.self_absorption import Depths, SelfAbsorption
from stream.analyse.tomography.additive import Additive, Adds
from stream.core.scan import ScanGrid
from stream.ingest.spectra import CHANNELS

MARGIN = 0.6  # keV around the outermost lines
WIDE = 0.03  # keV of the channels of voxels' spectra: half the σ of a line
ROUNDS = 3  # of image and self-absorption: a fourth one changes a phantom that keeps half of its lines by 0.03 %
NEGLIGIBLE = 0.01  # of an element's photons: a map that lacks more of them is marked

Floats = npt.NDArray[np.float32]
Reals = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Spectra:
    """What a look is at: the rays' spectra in the channels around the lines, which of them are usable, and the grid.

    spectra: (slice, angle, position, channel) counts; scales, monitors, usable: (slice, angle, position).
    """

    grid: ScanGrid
    spectra: Floats
    scales: Reals
    monitors: Reals
    usable: Mask

    def by_line(self) -> list[tuple[int, int]]:
        """(slice, angle) of the lines of the scan that hold usable rays, in the order of the grid."""
        return [(int(s), int(a)) for s, a in np.argwhere(self.usable.any(axis=2))]


@dataclass(frozen=True, slots=True)
class Found:
    """The sum's fit; counts of each ray, with errors; maps (slice, y, x, element); share that the sample keeps.

    kept: (element,) of all the photons, None where nothing tells; corrected: whether the maps have it back.
    """

    fit: SpectrumFit
    total: Reals
    net: Floats
    errors: Floats
    maps: Floats
    kept: Reals | None = None
    corrected: bool = False


def measure(given: Spectra, channels: Reals, lines: Sequence[ElementLines], start: Response) -> Found:
    """Fit the sum of the usable rays, then each ray; the maps are blank."""
    total, spread = np.zeros(len(channels)), np.zeros(len(channels))
    for s, a in given.by_line():
        rays = given.usable[s, a]
        spectra = given.spectra[s, a, rays].astype(np.float64)
        total += spectra.sum(axis=0)
        spread += given.scales[s, a, rays] @ spectra
    response = refine(total, spread, channels, lines, start)
    divided = branch(total, spread, channels, lines, response)
    fit = fit_spectrum(total, spread, channels, divided, response)
    shape = (*given.grid.shape, len(lines))
    net, errors = np.full(shape, np.nan, np.float32), np.full(shape, np.nan, np.float32)
    for s, a in given.by_line():
        rays = given.usable[s, a]
        spectra, per_monitor = given.spectra[s, a, rays].astype(np.float64), 1 / given.monitors[s, a, rays][:, None]
        net[s, a, rays] = fit.measure(spectra) * per_monitor
        variances = fit.variances(spectra * given.scales[s, a, rays][:, None])
        errors[s, a, rays] = np.sqrt(variances) * per_monitor
    return Found(fit, total, net, errors, np.full((*given.grid.map_shape, len(lines)), np.nan, np.float32))


def imaged(
    net: Floats,
    usable: Mask,
    imaging: Imaging,
    iterations: int,
    absorption: SelfAbsorption | None = None,
    depths: Depths | None = None,
    *,
    correct: bool = False,
) -> tuple[Floats, Reals | None]:
    """Maps (slice, y, x, element) of the net intensities of rays, and the share (element,) that the sample keeps.

    With `correct` rays are divided by the share that arrives of an image's photons, and the image made anew, until
    what it would send to the detector is what was measured.
    """
    maps = imaging.image(Additive(net, Adds.INTENSITY), usable, iterations)
    if absorption is None or depths is None:
        return maps, None
    center = float(imaging.told["center_um"])
    share = absorption.arriving(depths, maps, center)
    for _ in range(ROUNDS if correct else 0):
        maps = imaging.image(Additive((net / share).astype(np.float32), Adds.INTENSITY), usable, iterations)
        share = absorption.arriving(depths, maps, center)
    arrived, emitted = (np.nansum(values, axis=(0, 1, 2), dtype=np.float64) for values in (net, net / share))
    return maps, 1 - arrived / np.maximum(emitted, 1e-300)


def absorbed(found: Found | None, names: Sequence[str], absorption: SelfAbsorption | None) -> dict[str, Any]:
    """For the metadata: state of the correction, share of each element that the sample keeps, maps that lack it."""
    source = absorption.source if found is not None and found.corrected and absorption is not None else None
    kept = None if found is None or found.kept is None else found.kept.tolist()
    biased = [name for k, name in enumerate(names) if kept is None or kept[k] > NEGLIGIBLE]
    return {
        "self_absorption": "uncorrected" if source is None else f"corrected from {source}",
        "kept": kept and {name.removeprefix("xrf_"): share for name, share in zip(names, kept, strict=True)},
        "biased": biased if source is None else [],
    }


def image_spectra(given: Spectra, imaging: Imaging, iterations: int, volume: Floats) -> None:
    """Write the spectrum of each voxel, counts per µm and monitor unit in WIDE channels, to volume (slice, y, x, …)."""
    slices = [slice(None)] if given.grid.raster else [slice(s, s + 1) for s in range(len(given.spectra))]
    for some in slices:
        known = given.usable[some]
        with np.errstate(invalid="ignore", divide="ignore"):
            rays = grouped(given.spectra[some], volume.shape[-1]) / given.monitors[some][..., None]
        values = np.where(known[..., None], rays, np.nan).astype(np.float32)
        volume[some] = imaging.image(Additive(values, Adds.INTENSITY), known, iterations)


def grouped(values: npt.NDArray[np.floating], groups: int) -> npt.NDArray[np.floating]:
    """Sums (…, groups) of neighbouring channels; those that fill no group are left out."""
    width = values.shape[-1] // groups
    return np.asarray(values[..., : groups * width].reshape(*values.shape[:-1], groups, width).sum(axis=-1))


def groups_of(channels: Reals, step: float) -> int:
    """How many WIDE channels there are, for channels of `step` keV."""
    return len(channels) // max(1, round(WIDE / step))


def channels_of(lines: Sequence[ElementLines], response: Response) -> Reals:
    """Channels from MARGIN below the lowest line to MARGIN above the highest."""
    energies = np.concatenate([each.energies[each.shares > 0.01] for each in lines])
    low, high = ((at - response.offset) / response.step for at in (energies.min() - MARGIN, energies.max() + MARGIN))
    return np.arange(max(int(low), 0), min(int(high) + 1, CHANNELS), dtype=np.float64)
