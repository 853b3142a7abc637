"""Fluorescence of the sample: the spectra of a silicon drift detector beside it, in step with the frames.

Lines from the elements of the crystals, silicon of the glass, argon of the air, scattered beam; escape peaks, dead
time, Poisson noise. Written apart from the analysis, whose lines and peaks it shall find. A sample that absorbs takes
from the beam on its way in and from the lines on their way out; one that does not lets both pass without loss.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
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
BETA = 1.05  # times the energy of an element's first line: above are its Kβ
FORMULAS = {"carbon": "C", "glass": "SiO2"}


@dataclass(frozen=True, slots=True)
class Line:
    """Lines that leave the sample alike: energy in keV, counts for each µm of a component, spectrum of one count."""

    kev: float
    per_um: Floats
    spectrum: Floats


class VirtualSpectra:
    """The spectrum of every frame of a scan, on demand.

    Parameters
    ----------
    scan
        What is in the beam.
    offset, step
        Energy of a channel's middle in keV is offset + step · channel.
    elements
        Of the crystals, whose lines are simulated; their energies must be below the beam's.
    side
        1 or -1: the detector stands at growing or falling positions.
    """

    def __init__(
        self,
        scan: VirtualScan,
        elements: Sequence[str] = ("Ni", "Co", "Mn"),
        offset: float = 0.0,
        step: float = 0.01,
        side: int = 1,
    ) -> None:
        self.scan, self.elements, self.side = scan, tuple(elements), side
        self.offset, self.step = offset, step
        self.beam_kev = 12.398419843320026 / scan.detector.wavelength
        per_um = np.array([[self._emission(phase, element) for element in elements] for phase, _, _ in scan.components])
        mean = scan.sample.mean_path() @ self._in_components(per_um)
        self.per_um: Floats = per_um * COUNTS / mean.sum()
        """(component, element) counts of its K lines for each µm and unit of the monitor."""
        glass = np.array([phase == "glass" for phase, _, _ in scan.components], dtype=np.float64)
        self.silicon: Floats = glass * SILICON * self.per_um.sum(axis=1).max()
        """(component,) the same of silicon's in glass."""
        self.lines = [line for k, element in enumerate(elements) for line in self._lines(element, self.per_um[:, k])]
        self.lines.append(Line(SILICON_KA, self.silicon, self._spectrum({SILICON_KA: 1.0})))
        self._of_air: Floats = self._surroundings()
        self._projections: dict[tuple[int, int], Floats] = {}

    def expected(self, n: int) -> Floats:
        """(channel,) mean counts of frame n in all of the detector, without dead time."""
        slot = self.scan.grid.slot(n)
        assert slot is not None  # frames are those of the grid
        at, angle, position = (int(i) for i in np.unravel_index(slot, self.scan.grid.shape))
        counts = self._counts(at, angle)[position]
        return np.asarray(self.scan.intensity[n] * (counts @ [line.spectrum for line in self.lines] + self._of_air))

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
        """(slice, y, x) counts of each element's lines for each µm and unit of the monitor, before any loss."""
        values = np.column_stack([self.per_um, self.silicon])
        amounts = self.scan.sample.shares() @ self._in_components(values)
        return {f"xrf_{element}": amounts[..., k] for k, element in enumerate((*self.elements, "Si"))}

    def _counts(self, at: int, angle: int) -> Floats:
        """(position, line) mean counts of a projection that arrive, for each unit of the monitor."""
        if (at, angle) not in self._projections:
            emitted = np.array([self._in_components(line.per_um) for line in self.lines])
            if self.scan.absorption:
                turned = float(self.scan.grid.angles[angle])
                lengths = self.scan.sample.emitted(at, turned, self.scan.attenuation, self._outgoing, self.side)
            else:
                lengths = self.scan.lengths(at, angle)[:, None]
            self._projections[at, angle] = (lengths * emitted).sum(axis=2)
        return self._projections[at, angle]

    def _lines(self, element: str, per_um: Floats) -> list[Line]:
        """Kα and Kβ of an element, of which a component has so much for each µm."""
        lines = k_lines(element)
        whole, first = sum(lines.values()), min(lines)
        found = []
        for beta in (False, True):
            some = {kev: share for kev, share in lines.items() if (kev > BETA * first) == beta}
            share = sum(some.values())
            middle = sum(kev * part for kev, part in some.items()) / share
            found.append(Line(middle, per_um * share / whole, self._spectrum(some)))
        return found

    @cached_property
    def _outgoing(self) -> Floats:
        """(line, material) attenuation per µm."""
        return np.array([self._attenuation(line.kev) for line in self.lines])

    def _attenuation(self, kev: float) -> Floats:
        """(material,) attenuation per µm: the phases' own for the beam, at other energies as the tables' goes."""
        mu = {}
        for phase, length in self.scan.attenuation_lengths.items():
            formula = self._formula(phase)
            mu[phase] = stopping(formula, kev) / stopping(formula, self.beam_kev) / length
        return self._in_components(np.array([mu[phase] for phase, _, _ in self.scan.components]))

    def _formula(self, phase: str) -> dict[str, float]:
        crystal = self.scan.preset.crystals.get(phase)
        return xraydb.chemparse(FORMULAS[phase]) if crystal is None else atoms(crystal.structure)

    def _in_components(self, values: Floats) -> Floats:
        """(material, …) of values (component, …)."""
        return np.asarray(self.scan.mixing @ values)

    def _emission(self, phase: str, element: str) -> float:
        """K photons of an element for each photon of the beam and cm of a crystal; 0 for what is none."""
        crystal = self.scan.preset.crystals.get(phase)
        if crystal is None:
            return 0.0
        density = atoms(crystal.structure).get(element, 0.0) / (
            self.scan.lines[phase].volume * crystal.scale**3 * 1e-24
        )
        edge, weight = xraydb.xray_edge(element, "K"), xraydb.atomic_mass(element)
        stopped = xraydb.mu_elam(element, 1000 * self.beam_kev, kind="photo") * weight / 6.02214076e23  # cm2 an atom
        return float(density * stopped * (1 - 1 / edge.jump_ratio) * edge.fyield)

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


@cache
def atoms(structure: str) -> dict[str, float]:
    """Atoms of each element in the cell of a bundled structure."""
    cif = resources.files("stream.analyse.crystal") / "cif" / f"{structure}.cif"
    small = gemmi.make_small_structure_from_block(gemmi.cif.read_string(cif.read_text()).sole_block())
    found: defaultdict[str, float] = defaultdict(float)
    for site in small.get_all_unit_cell_sites():
        found[site.element.name] += site.occ
    return dict(found)


def stopping(formula: dict[str, float], kev: float) -> float:
    """µ/ρ in cm²/g of a material with so many atoms of each element."""
    masses = {element: number * xraydb.atomic_mass(element) for element, number in formula.items()}
    of_each = (mass * xraydb.mu_elam(element, 1000 * kev) for element, mass in masses.items())
    return float(sum(of_each) / sum(masses.values()))
