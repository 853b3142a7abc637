"""A scan that never was: frame n of a phantom on a detector."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

from stream.core.scan import ScanGrid
from stream.simulate.detector import Detector
from stream.simulate.forward import path_lengths
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

Floats = npt.NDArray[np.float64]
DOSE = 0.6  # mean counts per pixel and frame, over the whole scan
AIR_SHARE = 0.12  # of the counts, from the air
DRIFT, JITTER, READING = 0.03, 0.002, 0.001  # of the incident intensity: slow, fast; noise of its reading
STRENGTH_LIMIT = np.deg2rad(20)
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
    ) -> None:
        self.grid, self.preset, self.seed = grid, preset, seed
        self.step, self.count = abs(grid.step), len(grid.positions)
        self.detector = Detector(integrator, polarization, seed)
        d_min = self.detector.grid.d_min
        self.lines = {name: load_lines(c.structure, d_min) for name, c in preset.crystals.items()}
        self.phantom = make_phantom(preset, self.densities, self.count, self.step, grid.slices, seed)
        self._positions = grid.positions - center
        self._projections: dict[tuple[int, int], Floats] = {}
        contents = {(c.phase, c.strain, c.scale) for material in self.phantom.materials for c in material}
        self.components: list[Component] = sorted(contents)
        self._mixing = self._mix()
        self._images = self._scaled_images(dose)
        self.intensity, self.reading = draw_monitor(grid.size, seed, dump)

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
        amounts = self.intensity[n] * np.append(self.amounts(at, angle)[position], 1.0)
        key = int(np.random.SeedSequence([self.seed, n]).generate_state(1, np.uint64)[0])
        return self.detector.expose(self._images, amounts, key), self.appendix(n)

    def appendix(self, n: int) -> dict[str, Any]:
        """What the control system attaches to frame n: reading of the incident intensity, and place (µm, degrees)."""
        at, angle, position = self._point(n)
        return {
            "i0": round(float(self.reading[n]), 6),
            "slice": float(self.grid.slices[at]),
            "angle": float(self.grid.angles[angle]),
            "position": float(self.grid.positions[position]),
        }

    def _point(self, n: int) -> tuple[int, int, int]:
        slot = self.grid.slot(n)
        if slot is None:
            raise IndexError(f"frame {n} is beyond the {self.grid.size} grid points")
        at, angle, position = (int(i) for i in np.unravel_index(slot, self.grid.shape))
        return at, angle, position

    def amounts(self, at: int, angle: int) -> Floats:
        """µm of each component on the rays of one projection, shape (positions, components)."""
        if (at, angle) not in self._projections:
            lengths = path_lengths(
                self.phantom.labels[at],
                len(self.phantom.materials),
                self.phantom.step,
                float(self.grid.angles[angle]),
                self._positions,
                self.step,
            )
            self._projections[at, angle] = lengths @ self._mixing
        return self._projections[at, angle]

    def _mix(self) -> Floats:
        """Volume fraction of each component in each material."""
        mixing = np.zeros((len(self.phantom.materials), len(self.components)))
        for row, material in zip(mixing, self.phantom.materials, strict=True):
            for content in material:
                row[self.components.index((content.phase, content.strain, content.scale))] += content.volume
        return mixing

    def _scaled_images(self, dose: float) -> npt.NDArray[np.float32]:
        """Image of each component per µm, and of the air, shape (components + 1, pixels).

        Scaled so that the whole scan has `dose` counts per valid pixel and frame on average. The mean path in a
        material follows from its area: a projection's chords add up to it whatever the angle.
        """
        patterns = [self._pattern(*component) for component in self.components]
        images = self.detector.images(np.array([*patterns, air_pattern(self.detector.grid)]))
        points = np.bincount(self.phantom.labels.ravel(), minlength=len(self._mixing)) / self.grid.shape[0]
        paths = points * self.phantom.step**2 / (self.count * self.step)
        counts = images.mean(axis=1, dtype=np.float64) / self.detector.valid.mean()
        images[:-1] *= dose * (1 - AIR_SHARE) / (paths @ self._mixing @ counts[:-1])
        images[-1] *= dose * AIR_SHARE / counts[-1]
        return images

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


def draw_monitor(frames: int, seed: int, dump: float) -> tuple[Floats, Floats]:
    """Incident intensity of each frame (about 1), and what the monitor reads of it; shapes (frames,).

    It drifts and jitters; in a dump, one stretch of `dump` · frames, there is none.
    """
    rng = np.random.default_rng([seed, 3])
    phase = 2 * np.pi * (rng.random() + 3 * np.arange(frames) / max(frames, 1))
    intensity = 1 + DRIFT * np.sin(phase) + JITTER * rng.standard_normal(frames)
    length = round(dump * frames)
    start = int(rng.integers(0, max(frames - length, 1)))
    intensity[start : start + length] = 0.0
    return intensity, intensity * (1 + READING * rng.standard_normal(frames))
