"""SIRT on many channels beside ASTRA's CPU SIRT, and beside scipy's sparse product with the very same weights."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from stream.analyse.tomography.projector import Floats, Projector
from stream.analyse.tomography.sirt import reconstruct
from stream.benchmark.astra import Astra
from stream.benchmark.discs import DISCS, disc_image, disc_sinogram
from stream.benchmark.rounds import Job, Row, interleave, ratio

CHANNELS, ITERATIONS = 64, 4
SETTLED = 100  # iterations after which the images are compared
LIKE, OTHER = 0.01, 0.04
"""How far apart the images may be, relative: of like weights (ASTRA's strips), and of others (its `linear`)."""
SAME = 1e-4
"""The same weights, stored in single precision."""
UNIT = "ms/channel"
ALONE = "ASTRA is not installed (pip install astra-toolbox)"


@dataclass(frozen=True, slots=True)
class Size:
    """Voxels a side (and positions), and angles."""

    count: int
    angles: int


@dataclass(frozen=True, slots=True)
class Scan:
    """Discs, whose rays are known by theory: no projector made them."""

    projector: Projector
    sinogram: Floats
    truth: Floats

    @classmethod
    def of(cls, size: Size, threads: int) -> Scan:
        """Positions one unit apart."""
        degrees = np.arange(size.angles) * 180.0 / size.angles
        positions = np.arange(size.count, dtype=np.float64) - (size.count - 1) / 2
        discs = [(x * size.count, y * size.count, r * size.count, value) for x, y, r, value in DISCS]
        sinogram = disc_sinogram(discs, degrees, positions).astype(np.float32)
        projector = Projector(degrees, positions, 0.0, threads)
        return cls(projector, sinogram, disc_image(discs, size.count).astype(np.float32))

    @property
    def channels(self) -> Floats:
        """(angle, position, channel): every channel another amount."""
        return np.asarray(self.sinogram[..., None] * np.linspace(1, 2, CHANNELS, dtype=np.float32))

    def image(self, iterations: int) -> Floats:
        """(y, x) as we reconstruct it."""
        return reconstruct(self.projector, self.sinogram[..., None], np.ones(self.projector.rays), iterations)[0][
            ..., 0
        ]

    def apart(self, one: Floats, other: Floats) -> float:
        """Root mean square difference in the field of view, relative to the other."""
        inside = self.projector.support
        return float(np.linalg.norm((one - other)[inside]) / np.linalg.norm(other[inside]))


def sirt_rows(name: str, size: Size, threads: int, rounds: int, floor: float) -> list[Row]:
    """Milliseconds that one iteration of one channel takes."""
    scan = Scan.of(size, threads)
    data, measured = scan.channels, np.ones(scan.projector.rays, dtype=bool)
    ours = Job(lambda: reconstruct(scan.projector, data, measured, ITERATIONS), CHANNELS * ITERATIONS)
    return [_beside_astra(name, scan, ours, rounds, floor), _beside_sparse(f"{name}-sparse", scan, ours, rounds, floor)]


def _beside_astra(name: str, scan: Scan, ours: Job, rounds: int, floor: float) -> Row:
    if importlib.util.find_spec("astra") is None:
        return Row(name=name, unit=UNIT, ours=interleave([ours], rounds, floor)[0], note=f"iteration; {ALONE}")
    peer = Astra("linear", scan.projector, scan.sinogram)
    mine, theirs = interleave([ours, Job(lambda: peer.run(ITERATIONS), ITERATIONS)], rounds, floor)
    image = scan.image(SETTLED)
    linear, strip = (Astra(kind, scan.projector, scan.sinogram).image(SETTLED) for kind in ("linear", "strip"))
    note = (
        f"{scan.projector.rays[0]} angles, {CHANNELS} channels, iteration; ASTRA has one thread. After {SETTLED}: "
        f"apart from its strip weights {scan.apart(image, strip):.2%} (at most {LIKE:.0%}), from truth "
        f"{scan.apart(image, scan.truth):.2%}, its linear {scan.apart(linear, scan.truth):.2%}"
    )
    return Row(
        name=name, unit=UNIT, ours=mine, peer="ASTRA linear", theirs=theirs, ratio=ratio(mine, theirs),
        deviation=scan.apart(image, linear), bound=OTHER, note=note,
    )  # fmt: skip


def _beside_sparse(name: str, scan: Scan, ours: Job, rounds: int, floor: float) -> Row:
    peer = Sparse(scan)
    mine, theirs = interleave([ours, Job(lambda: peer.run(ITERATIONS), CHANNELS * ITERATIONS)], rounds, floor)
    apart = scan.apart(peer.run(ITERATIONS)[..., 0], scan.image(ITERATIONS))
    return Row(
        name=name, unit=UNIT, ours=mine, peer="scipy CSR", theirs=theirs, ratio=ratio(mine, theirs),
        deviation=apart, bound=SAME, note=f"{peer.matrix.nnz / 1e6:.1f} million weights; scipy has one thread",
    )  # fmt: skip


class Sparse:
    """SIRT by two sparse products, (rays, voxels) and its transpose times 64 channels."""

    def __init__(self, scan: Scan) -> None:
        self._inside = scan.projector.support
        self.matrix = area_weights(scan.projector)
        self._back = csr_array(self.matrix.T)
        self._data = scan.channels.reshape(-1, CHANNELS)
        rows, columns = self.matrix.sum(axis=1), self.matrix.sum(axis=0)
        crossing = rows > 1e-3
        self._rows = np.where(crossing, 1 / np.where(crossing, rows, 1), 0).astype(np.float32)[:, None]
        self._columns = (1 / columns).astype(np.float32)[:, None]

    def run(self, iterations: int) -> Floats:
        """The image (y, x, channel) after so many iterations from zero."""
        x = np.zeros((self.matrix.shape[1], CHANNELS), np.float32)
        for _ in range(iterations):
            x += self._columns * (self._back @ (self._rows * (self._data - self.matrix @ x)))
            np.maximum(x, 0, out=x)
        image = np.full((*self._inside.shape, CHANNELS), np.nan, np.float32)
        image[self._inside] = x
        return image


def area_weights(projector: Projector) -> csr_array[Any]:
    """(rays, voxels in the field of view) areas of unit squares in unit strips."""
    positions = projector.positions_um
    y, x = (axis - (projector.count - 1) / 2 for axis in np.nonzero(projector.support))
    rays, voxels, weights = [], [], []
    for a, omega in enumerate(np.deg2rad(projector.angles_deg)):
        u = x * np.cos(omega) + y * np.sin(omega)
        first = np.round(u - positions[0]).astype(np.int64) - 1
        for p in range(3):
            edge = positions[0] + first + p - 0.5 - u
            area = footprint(edge + 1, omega) - footprint(edge, omega)
            known = (area > 0) & (first + p >= 0) & (first + p < len(positions))
            rays.append((a * len(positions) + first + p)[known])
            voxels.append(np.flatnonzero(known))
            weights.append(area[known].astype(np.float32))
    place = np.concatenate(rays), np.concatenate(voxels)
    return csr_array((np.concatenate(weights), place), shape=(np.prod(projector.rays), x.size))


def footprint(t: npt.NDArray[np.float64], omega: float) -> npt.NDArray[np.float64]:
    """Area of a unit square left of a line at distance t from its middle, whose normal is at omega."""
    long, short = sorted((abs(np.cos(omega)), abs(np.sin(omega))), reverse=True)
    if short < 1e-9:
        return np.clip(t, -0.5, 0.5)
    knots = np.array([-long - short, -long + short, long - short, long + short]) / 2
    ramps = [np.square(np.maximum(t - knot, 0)) for knot in knots]
    return np.asarray((ramps[0] - ramps[1] - ramps[2] + ramps[3]) / (2 * long * short))
