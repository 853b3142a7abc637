"""A scan that never was: frame n of a phantom on a detector."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

from stream.core.scan import ScanGrid
from stream.simulate.beam import draw_diode, draw_monitor
from stream.simulate.detector import Detector
from stream.simulate.phantom import make_phantom
from stream.simulate.powder import (
    Lines,
    air_pattern,
    crystal_pattern,
    draw_texture,
    hump_pattern,
    load_lines,
)
from stream.simulate.presets import Preset
from stream.simulate.sample import Capillary, InBeam, ThinSample, field_of

Floats = npt.NDArray[np.float64]
DOSE = 0.6  # mean counts per pixel and frame, over the whole scan
AIR_SHARE = 0.12  # of the counts, from the air
STRENGTH_LIMIT = np.deg2rad(20)
ZONES = 16  # along the beam, where parallax is simulated
Component = tuple[str, float, float]
"""A phase, its microstrain, its axis factor."""


class VirtualScan:
    """Every frame of a scan, on demand and in any order.

    Parameters
    ----------
    grid
        What is visited, and when.
    integrator
        pyFAI's geometry of the detector.
    preset
        The sample; it is scaled to the field of view.
    seed
        Draws phantom, texture, dead pixels, drift and noise.
    dose
        Mean counts per valid pixel and frame.
    polarization
        Factor of the beam, as pyFAI means it.
    center
        Motor position of the rotation axis, µm.
    dump
        Share of the frames that fall into a beam dump.
    absorption
        Whether the sample takes from the beam what its phases' attenuation lengths say.
    parallax
        Whether each part of the sample sees the detector from where it is, or all of it from the axis.
    transmission
        The appendix' key for a reading of the beam behind the sample.
    """

    def __init__(
        self,
        grid: ScanGrid,
        integrator: AzimuthalIntegrator,
        preset: Preset,
        *,
        seed: int,
        dose: float = DOSE,
        polarization: float = 0.99,
        center: float = 0.0,
        dump: float = 0.0,
        absorption: bool = False,
        parallax: bool = False,
        transmission: str | None = None,
    ) -> None:
        self.grid, self.preset, self.seed = grid, preset, seed
        self.step, self.count = abs(grid.step), len(grid.positions)
        self.detector = Detector(integrator, polarization, seed)
        d_min = self.detector.grid.d_min
        self.lines = {name: load_lines(c.structure, d_min) for name, c in preset.crystals.items()}
        self.absorption, self.transmission_key = absorption, transmission
        count = math.ceil(field_of(grid) / self.step)
        heights = np.zeros(1) if grid.raster else grid.slices
        self.phantom = make_phantom(preset, self.densities, count, self.step, heights, seed)
        self.sample: InBeam = (
            ThinSample(self.phantom, grid)
            if grid.raster
            else Capillary(self.phantom, grid, center, ZONES if parallax else 1)
        )
        self._lengths: dict[tuple[int, int], Floats] = {}
        contents = {(c.phase, c.strain, c.scale) for material in self.phantom.materials for c in material}
        self.components: list[Component] = sorted(contents)
        self.mixing = self._mix()
        self._images = self._scaled_images(dose)
        self.intensity, self.reading = draw_monitor(grid.size, seed, dump)
        self._diode = draw_diode(grid.size, seed)

    @property
    def densities(self) -> dict[str, float]:
        """Mass density of each crystalline phase, Da/Å3, in its unstrained cell."""
        crystals = self.preset.crystals
        return {name: line.mass / (line.volume * crystals[name].scale ** 3) for name, line in self.lines.items()}

    def frame(self, n: int) -> tuple[npt.NDArray[np.uint16], dict[str, Any]]:
        """Frame n: its pixels (rows, columns), and what the control system attaches to it.

        Raises
        ------
        IndexError
            beyond the grid.
        """
        at, angle, position = self._point(n)
        beam = self.intensity[n] * self.transmission(at, angle)[position]
        amounts = beam * np.append(self.amounts(at, angle)[position], 1.0)
        key = int(np.random.SeedSequence([self.seed, n]).generate_state(1, np.uint64)[0])
        return self.detector.expose(self._images, amounts, key), self.appendix(n)

    def appendix(self, n: int) -> dict[str, Any]:
        """What the control system attaches to frame n: readings of the beam, and place (µm, degrees)."""
        at, angle, position = self._point(n)
        behind = {}
        if self.transmission_key is not None:
            beam = self.intensity[n] * self.transmission(at, angle)[position]
            behind[self.transmission_key] = round(float(beam * self._diode[n]), 8)
        return {
            "i0": round(float(self.reading[n]), 6),
            **behind,
            "slice": float(self.grid.slices[at]),
            "angle": float(self.grid.angles[angle]),
            "position": float(self.grid.positions[position]),
        }

    def _point(self, n: int) -> tuple[int, int, int]:
        if self.grid.slot(n) is None:
            raise IndexError(f"frame {n} is beyond the {self.grid.size} grid points")
        return self.grid.at(n)

    def amounts(self, at: int, angle: int) -> Floats:
        """µm of each component (in each zone, where there are some) on the rays of one projection.

        Shape (positions, zones · components).
        """
        lengths = self._paths(at, angle) @ self.mixing
        return lengths.reshape(len(lengths), -1)

    def lengths(self, at: int, angle: int) -> Floats:
        """µm of each material on the rays of one projection, (positions, materials)."""
        return np.asarray(self._paths(at, angle).sum(axis=1))

    def transmission(self, at: int, angle: int) -> Floats:
        """exp(−µt) of the rays of one projection, (positions,); 1 where absorption is not simulated.

        What is scattered leaves at small angles, through as much of the sample as the beam itself.
        """
        if not self.absorption:
            return np.ones(len(self.grid.positions))
        return np.asarray(np.exp(-self.lengths(at, angle) @ self.attenuation))

    @property
    def attenuation(self) -> Floats:
        """µ of each material, 1/µm."""
        lengths = self.attenuation_lengths
        return np.asarray(self.mixing @ [1 / lengths[phase] for phase, _, _ in self.components])

    @property
    def attenuation_lengths(self) -> dict[str, float]:
        """Length (µm) on which each phase takes the beam to 1/e."""
        lengths = {name: kind.attenuation for name, kind in self.preset.crystals.items()}
        return lengths | {name: hump.attenuation for name, hump in self.preset.humps.items()}

    def _paths(self, at: int, angle: int) -> Floats:
        """µm of each material, (positions, zones, materials)."""
        if (at, angle) not in self._lengths:
            self._lengths[at, angle] = self.sample.lengths(at, float(self.grid.angles[angle]))
        return self._lengths[at, angle]

    def _mix(self) -> Floats:
        """Volume fraction of each component in each material."""
        mixing = np.zeros((len(self.phantom.materials), len(self.components)))
        for row, material in zip(mixing, self.phantom.materials, strict=True):
            for content in material:
                row[self.components.index((content.phase, content.strain, content.scale))] += content.volume
        return mixing

    def _scaled_images(self, dose: float) -> npt.NDArray[np.float32]:
        """Image of each component per µm (as each zone sees it), and of the air, the last one.

        Shape (zones · components + 1, pixels); scaled so that the whole scan has `dose` counts per valid pixel and
        frame on average, before absorption.
        """
        patterns = np.array([self._pattern(*component) for component in self.components])
        air = self.detector.images(air_pattern(self.detector.grid)[None])
        places = [self.detector.seen_from(depth) if depth else self.detector for depth in self.sample.depths]
        images = np.stack([place.images(patterns) for place in places])
        counts = images.mean(axis=(0, 2), dtype=np.float64) / self.detector.valid.mean()
        images *= dose * (1 - AIR_SHARE) / (self.sample.mean_path() @ self.mixing @ counts)
        air *= dose * AIR_SHARE / (air.mean(dtype=np.float64) / self.detector.valid.mean())
        return np.concatenate([images.reshape(-1, images.shape[-1]), air])

    def _pattern(self, phase: str, strain: float, scale: float) -> Floats:
        grid = self.detector.grid
        if phase in self.preset.humps:
            hump = self.preset.humps[phase]
            return hump_pattern(hump, hump.strength * self._strength(), grid)
        lines: Lines = self.lines[phase]
        texture = draw_texture(lines.d.size, self.seed, phase)
        return crystal_pattern(lines, self.preset.crystals[phase], strain, scale, texture, grid)

    def _strength(self) -> float:
        """Area (over 2θ in radians) of the first crystal's lines below 20°, per µm."""
        name = next(iter(self.preset.crystals))
        lines, grid = self.lines[name], self.detector.grid
        flat = np.ones(lines.d.size)
        pattern = crystal_pattern(lines, self.preset.crystals[name], 0.0, 1.0, flat, grid)
        return float(pattern[grid.centers < STRENGTH_LIMIT].sum() * grid.step)
