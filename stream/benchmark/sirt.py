"""SIRT on many channels beside ASTRA's CPU SIRT with its `linear` projector."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any

import numpy as np

from stream.analyse.tomography.projector import Floats, Projector
from stream.analyse.tomography.sirt import reconstruct
from stream.benchmark.rounds import Job, Row, interleave, ratio

CHANNELS, ITERATIONS = 64, 4
SETTLED = 30  # iterations after which the images are compared
BOUND = 0.02
"""The projectors differ: ours weighs by areas, ASTRA's interpolates."""
UNIT = "ms/channel"


@dataclass(frozen=True, slots=True)
class Size:
    """Voxels a side (and positions), and angles."""

    count: int
    angles: int


def sirt_row(name: str, size: Size, threads: int, rounds: int, floor: float) -> Row:
    """Milliseconds that one iteration of one channel takes."""
    degrees = np.arange(size.angles) * 180.0 / size.angles
    projector = Projector(degrees, np.arange(size.count) - (size.count - 1) / 2, 0.0, threads)
    sinogram = projector.forward(phantom(projector))
    measured = np.ones(sinogram.shape[:2], dtype=bool)
    ours = Job(lambda: reconstruct(projector, sinogram, measured, ITERATIONS), CHANNELS * ITERATIONS)
    if importlib.util.find_spec("astra") is None:
        (mine,) = interleave([ours], rounds, floor)
        return Row(
            name=name, unit=UNIT, ours=mine, note="iteration; ASTRA is not installed (pip install astra-toolbox)"
        )
    peer = Astra(degrees, sinogram[..., 0], projector.support)
    mine, theirs = interleave([ours, Job(lambda: peer.run(ITERATIONS), ITERATIONS)], rounds, floor)
    apart = difference(projector, sinogram, measured, Astra(degrees, sinogram[..., 0], projector.support))
    note = f"{size.angles} angles, {CHANNELS} channels, iteration; ASTRA has one thread"
    return Row(
        name=name, unit=UNIT, ours=mine, peer="ASTRA linear", theirs=theirs, ratio=ratio(mine, theirs),
        deviation=apart, bound=BOUND, note=note,
    )  # fmt: skip


def phantom(projector: Projector) -> Floats:
    """Smooth discs, (y, x, channel); every channel another amount of them."""
    count = projector.count
    y, x = (np.indices((count, count)) - (count - 1) / 2) / count
    image = np.exp(-(((x**2 + y**2) / 0.09) ** 4)) + np.exp(-((((x - 0.1) ** 2 + (y + 0.12) ** 2) / 0.006) ** 4))
    image[~projector.support | (image < 1e-3)] = 0  # nothing so small that arithmetic becomes slow
    return np.asarray(image[..., None] * np.linspace(1, 2, CHANNELS), dtype=np.float32)


def difference(projector: Projector, sinogram: Floats, measured: Any, peer: Astra) -> float:
    """Root mean square of the difference of both images, relative to that of ASTRA's, inside the field of view."""
    ours, _ = reconstruct(projector, np.ascontiguousarray(sinogram[..., :1]), measured, SETTLED)
    peer.run(SETTLED)
    inside = projector.support
    theirs = peer.image()[inside]
    return float(np.linalg.norm(ours[..., 0][inside] - theirs) / np.linalg.norm(theirs))


class Astra:
    """One channel, non-negative, in the field of view."""

    def __init__(self, degrees: Any, sinogram: Floats, support: Any) -> None:
        import astra

        self.astra = astra
        count = sinogram.shape[1]
        beams = astra.create_proj_geom("parallel", 1.0, count, np.deg2rad(degrees))
        space = astra.create_vol_geom(count, count)
        self.volume = astra.data2d.create("-vol", space)
        settings = astra.astra_dict("SIRT")
        settings["ProjectorId"] = astra.create_projector("linear", beams, space)
        settings["ProjectionDataId"] = astra.data2d.create("-sino", beams, np.ascontiguousarray(sinogram))
        settings["ReconstructionDataId"] = self.volume
        mask = astra.data2d.create("-vol", space, support[::-1].astype(np.float32))
        settings["option"] = {"MinConstraint": 0.0, "ReconstructionMaskId": mask}
        self.algorithm = astra.algorithm.create(settings)

    def run(self, iterations: int) -> None:
        """Go on from where it is."""
        self.astra.algorithm.run(self.algorithm, iterations)

    def image(self) -> Floats:
        """(y, x) as ours is."""
        return np.asarray(self.astra.data2d.get(self.volume)[::-1])
