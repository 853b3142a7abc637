"""Fluorescence of the sample: the spectra of a silicon drift detector beside it, in step with the frames.

Lines from the elements of the crystals, silicon of the glass, argon of the air, scattered beam; escape peaks, dead
time, Poisson noise. Written apart from the analysis, whose lines and peaks it shall find. The beam and the lines leave
the sample without loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Any

import gemmi
import numpy as np
import numpy.typing as npt
import xraydb

from stream.simulate.scan import VirtualScan

Floats = npt.NDArray[np.float64]
CHANNELS = 4096
DETECTORS = (0.31, 0.27, 0.24, 0.18)  # shares of the detector's elements
COUNTS = 4000.0  # in all K lines of the crystals, on average over the scan
SILICON = 0.004  # counts per µm of glass, as a share of those per µm of the first crystal
ARGON, SCATTER, TAIL = 40.0, 300.0, 200.0  # counts in a spectrum: air, beam, and what it leaves below
NOISE, FANO, PAIR = 0.048, 0.115, 3.66e-3  # keV, -, keV
SILICON_KA, ESCAPE = 1.7398, 0.0194  # keV; escape of photons that silicon stops at its surface
TICKS, WIDTH = 160_000, 6  # of an exposure of 2 ms at 80 MHz; clock ticks that an event takes
SENSITIVE = 0.01  # counts of an element are this share of what arrives: the rest is below the threshold


class VirtualSpectra:
    """The spectrum of every frame of a scan, on demand.

    Parameters
    ----------
    scan
        What is in the beam.
    offset, step
        Energy of a channel's middle in keV is offset + step · channel.
    elements
        Whose lines are simulated; their energies must be below the beam's.
    """

    def __init__(
        self, scan: VirtualScan, elements: Sequence[str] = ("Ni", "Co", "Mn"), offset: float = 0.0, step: float = 0.01
    ) -> None:
        self.scan, self.elements = scan, tuple(elements)
        self.offset, self.step = offset, step
        self.beam_kev = 12.398419843320026 / scan.detector.wavelength
        per_um = np.array([[self._emission(phase, element) for element in elements] for phase, _, _ in scan.components])
        mean = scan.sample.mean_path() @ self._in_components(per_um)
        self.per_um: Floats = per_um * COUNTS / mean.sum()
        """(component, element) counts of its K lines for each µm and unit of the monitor."""
        lines = [self._spectrum(k_lines(element)) for element in elements]
        silicon = self._spectrum({SILICON_KA: 1.0})
        glass = (
            np.array([phase == "glass" for phase, _, _ in scan.components]) * SILICON * self.per_um.sum(axis=1).max()
        )
        self._of_components: Floats = self.per_um @ np.array(lines) + np.outer(glass, silicon)
        self._of_air: Floats = self._surroundings()

    def expected(self, n: int) -> Floats:
        """(channel,) mean counts of frame n in all of the detector, without dead time."""
        slot = self.scan.grid.slot(n)
        assert slot is not None  # frames are those of the grid
        at, angle, position = (int(i) for i in np.unravel_index(slot, self.scan.grid.shape))
        amounts = self.scan.amounts(at, angle)[position].reshape(-1, len(self._of_components)).sum(axis=0)
        return np.asarray(self.scan.intensity[n] * (amounts @ self._of_components + self._of_air))

    def spectra(self, n: int) -> tuple[npt.NDArray[np.uint32], dict[str, Any]]:
        """Frame n: counts (detector element, channel), and what an Xspress3 tells of each element besides."""
        rng = np.random.default_rng([self.scan.seed, 9, n])
        arriving = np.outer(DETECTORS, self.expected(n))
        events = np.round(
            arriving.sum(axis=1) / SENSITIVE / (1 + arriving.sum(axis=1) / SENSITIVE * (WIDTH + 1) / TICKS)
        )
        factors = TICKS / (TICKS - events * (WIDTH + 1))
        counts = rng.poisson(arriving / factors[:, None]).astype(np.uint32)
        scalers = {"AllEvents": events.astype(int).tolist(), "TotalTicks": [TICKS] * len(events)}
        scalers |= {"ResetTicks": [0] * len(events), "event_widths": [WIDTH] * len(events)}
        return counts, {"dtc": factors.tolist(), **scalers, "i0": round(float(self.scan.reading[n]), 6)}

    def maps(self) -> dict[str, Floats]:
        """(slice, y, x) counts of each element's lines for each µm and unit of the monitor."""
        amounts = self.scan.sample.shares() @ self._in_components(self.per_um)
        return {f"xrf_{element}": amounts[..., k] for k, element in enumerate(self.elements)}

    def _in_components(self, values: Floats) -> Floats:
        """(material, …) of values (component, …)."""
        return np.asarray(self.scan.mixing @ values)

    def _emission(self, phase: str, element: str) -> float:
        """K photons of an element for each photon of the beam and cm of a crystal; 0 for what is none."""
        crystal = self.scan.preset.crystals.get(phase)
        if crystal is None:
            return 0.0
        volume = self.scan.lines[phase].volume * crystal.scale**3 * 1e-24  # cm3
        edge, weight = xraydb.xray_edge(element, "K"), xraydb.atomic_mass(element)
        stopped = xraydb.mu_elam(element, 1000 * self.beam_kev, kind="photo") * weight / 6.02214076e23  # cm2 an atom
        return float(atoms(crystal.structure, element) / volume * stopped * (1 - 1 / edge.jump_ratio) * edge.fyield)

    def _spectrum(self, lines: dict[float, float]) -> Floats:
        """(channel,) counts of lines {keV: intensity}, normalised to 1; each with its escape peak."""
        found, energy = np.zeros(CHANNELS), self.energy
        for place, share in lines.items():
            lost = escaping(place)
            for middle, part in ((place, share * (1 - lost)), (place - SILICON_KA, share * lost)):
                found += part * gaussian(energy, middle, self.step)
        return found / sum(lines.values())

    @property
    def energy(self) -> Floats:
        """Middle of each channel, keV."""
        return np.asarray(self.offset + self.step * np.arange(CHANNELS), dtype=np.float64)

    def _surroundings(self) -> Floats:
        energy = self.energy
        compton = self.beam_kev / (1 + self.beam_kev / 511.0)  # scattered by 90°
        tail = np.where((energy > 1) & (energy < compton), np.exp((energy - compton) / 6), 0)
        beam = 0.3 * gaussian(energy, self.beam_kev, self.step) + 0.7 * gaussian(energy, compton, self.step, 0.25)
        return np.asarray(ARGON * self._spectrum({2.957: 0.9, 3.19: 0.1}) + SCATTER * beam + TAIL * tail / tail.sum())


def gaussian(energy: Floats, middle: float, step: float, wide: float = 0.0) -> Floats:
    """(channel,) counts of one photon of `middle` keV in channels `step` wide."""
    variance = NOISE**2 + FANO * PAIR * max(middle, 0.0) + wide**2
    return np.asarray(step * np.exp(-((energy - middle) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance))


def k_lines(element: str) -> dict[float, float]:
    """Energies (keV) and intensities of the K lines."""
    lines = xraydb.xray_lines(element, "K").values()
    found: dict[float, float] = {}
    for line in lines:
        found[line.energy / 1000] = found.get(line.energy / 1000, 0.0) + line.intensity
    return found


def escaping(energy: float) -> float:
    """Share of the photons (keV) that silicon does not keep, for a beam that falls in straight on thick silicon."""
    if energy < 1.84:
        return 0.0
    depth = xraydb.mu_elam("Si", 1000 * SILICON_KA) / xraydb.mu_elam("Si", 1000 * energy)
    return float(ESCAPE * (1 - depth * np.log(1 + 1 / depth)))


def atoms(structure: str, element: str) -> float:
    """Atoms of an element in the cell of a bundled structure."""
    cif = resources.files("stream.analyse.crystal") / "cif" / f"{structure}.cif"
    small = gemmi.make_small_structure_from_block(gemmi.cif.read_string(cif.read_text()).sole_block())
    return sum(site.occ for site in small.get_all_unit_cell_sites() if site.element.name == element)
