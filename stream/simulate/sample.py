"""The sample in the beam: how much of each material a ray meets, and how far from the axis."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from stream.core.scan import ScanGrid
from stream.simulate.forward import zone_lengths
from stream.simulate.phantom import Phantom
from stream.simulate.self_absorption import emitted_lengths

Floats = npt.NDArray[np.float64]
THICKNESS = 10.0  # µm of a thin sample: a big particle
SPOT = 8  # points along each edge of the beam on a thin sample


class InBeam(Protocol):
    """What is scanned; a zone is a stretch of the beam, its depth the distance (µm) downstream of the axis."""

    @property
    def depths(self) -> Floats:
        """Middle of each zone, (zones,)."""
        ...

    def lengths(self, at: int, angle: float) -> Floats:
        """Path (µm) of one projection of slice `at` in each zone and material, (positions, zones, materials)."""
        ...

    def emitted(self, at: int, angle: float, incoming: Floats, outgoing: Floats, side: int) -> Floats:
        """As `self_absorption.emitted_lengths` says, (positions, line, materials)."""
        ...

    def mean_path(self) -> Floats:
        """Path (µm) in each material, averaged over the scan, (materials,)."""
        ...

    def shares(self) -> Floats:
        """Share of each material in each voxel of the maps, (slice, y, x, material)."""
        ...


class Capillary:
    """A phantom turned in the beam; zones of equal length divide the diagonal of its field."""

    def __init__(self, phantom: Phantom, grid: ScanGrid, center: float, zones: int) -> None:
        self.phantom, self.step = phantom, abs(grid.step)
        self.positions = grid.positions - center
        half = 0.5 * phantom.step * np.hypot(*phantom.labels.shape[1:])
        self.depths: Floats = ((np.arange(zones) + 0.5) / zones * 2 - 1) * half

    def lengths(self, at: int, angle: float) -> Floats:
        """As `InBeam` says."""
        labels, materials, step = self.phantom.labels[at], len(self.phantom.materials), self.phantom.step
        return zone_lengths(labels, materials, step, angle, self.positions, self.step, len(self.depths))

    def emitted(self, at: int, angle: float, incoming: Floats, outgoing: Floats, side: int) -> Floats:
        """As `InBeam` says."""
        labels, step = self.phantom.labels[at], self.phantom.step
        return emitted_lengths(labels, step, angle, self.positions, self.step, incoming, outgoing, side)

    def mean_path(self) -> Floats:
        """As `InBeam` says, from the area: a projection's chords add up to it whatever the angle."""
        points = np.bincount(self.phantom.labels.ravel(), minlength=len(self.phantom.materials))
        area = points / len(self.phantom.labels) * self.phantom.step**2
        return np.asarray(area / (len(self.positions) * self.step))

    def shares(self) -> Floats:
        """As `InBeam` says."""
        return voxel_shares(self.phantom)


class ThinSample:
    """The plane of a phantom, THICKNESS deep, rastered: rows are the scan's slices, columns its positions."""

    def __init__(self, phantom: Phantom, grid: ScanGrid) -> None:
        self.depths: Floats = np.zeros(1)
        size = phantom.labels.shape[1]
        spot = (np.arange(SPOT) + 0.5) / SPOT - 0.5
        rows, columns = (
            np.floor((axis - axis.mean())[:, None] / phantom.step + spot * abs(pitch) / phantom.step + 0.5 * size)
            for axis, pitch in ((grid.slices, pitch_of(grid.slices)), (grid.positions, grid.step))
        )
        points = phantom.labels[0][
            rows.astype(int).clip(0, size - 1)[:, :, None, None], columns.astype(int).clip(0, size - 1)
        ]
        members = [(points == i).mean(axis=(1, 3)) for i in range(len(phantom.materials))]
        self._shares: Floats = np.stack(members, axis=-1)

    def lengths(self, at: int, angle: float) -> Floats:
        """As `InBeam` says; the angle is that of the sample's normal."""
        return np.asarray(self._shares[at][:, None, :] * THICKNESS)

    def emitted(self, at: int, angle: float, incoming: Floats, outgoing: Floats, side: int) -> Floats:
        """As `InBeam` says; so thin a sample keeps nothing back."""
        return np.repeat(self.lengths(at, angle), len(outgoing), axis=1)

    def mean_path(self) -> Floats:
        """As `InBeam` says."""
        return np.asarray(self._shares.mean(axis=(0, 1)) * THICKNESS)

    def shares(self) -> Floats:
        """As `InBeam` says."""
        return self._shares[None]


def voxel_shares(phantom: Phantom) -> Floats:
    """Share of each material in each voxel, shape (slice, y, x, material)."""
    slices, fine, _ = phantom.labels.shape
    count = fine // phantom.oversampling
    blocks = phantom.labels.reshape(slices, count, phantom.oversampling, count, phantom.oversampling)
    members = [(blocks == i).mean(axis=(2, 4)) for i in range(len(phantom.materials))]
    return np.stack(members, axis=-1)


def pitch_of(points: Floats) -> float:
    """Signed distance of two points of an axis in µm, 1 for a single one."""
    return float(points[1] - points[0]) if len(points) > 1 else 1.0


def field_of(grid: ScanGrid) -> float:
    """The larger side of what is scanned, µm."""
    sides = [len(grid.positions) * abs(grid.step)]
    if grid.raster:
        sides.append(len(grid.slices) * abs(pitch_of(grid.slices)))
    return max(sides)
