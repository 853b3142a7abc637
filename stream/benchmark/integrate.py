"""Integration, alone and together with decoding, beside pyFAI's and scipy's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.benchmark.frames import Frames, geometry, integrator
from stream.benchmark.peers import Floats, PyFai, ScipyCsr
from stream.benchmark.rounds import Figure, Job, Row, interleave, ratio
from stream.benchmark.threads import Threads
from stream.core.config import IntegrationConfig
from stream.core.errors import MessageError
from stream.core.messages import EncodedArray, Pattern
from stream.ingest.integrate import CpuIntegrator, load_mask
from stream.ingest.reduction import TOGETHER

BOUND = 1e-5
"""Of the pattern's maximum, from pyFAI."""
BOUND_SINGLE = 1e-4
"""The same from scipy's product, which adds up in single precision."""
TRIALS = 3


@dataclass
class Bench:
    """Ours and the peers for one detector and method; what they lay out, they lay out once.

    ways holds which way of using the threads is pyFAI's better one, with and without decoding.
    """

    size: str
    config: IntegrationConfig
    ways: dict[str, str] = field(default_factory=dict)

    @cached_property
    def ours(self) -> CpuIntegrator:
        """As ingest makes it."""
        place = geometry(self.size)
        return CpuIntegrator.create(place, self.config, load_mask(None, place))

    @cached_property
    def pyfai(self) -> PyFai:
        """With geometry and engine of its own."""
        return PyFai(integrator(self.size), self.config)

    @cached_property
    def scipy(self) -> ScipyCsr:
        """With the matrix of `pyfai`, which has integrated an image before."""
        weights = geometry(self.size).weights(self.config.solid_angle, self.config.polarization)
        return ScipyCsr(self.pyfai.matrix(), weights)

    def reduce(self, arrays: Sequence[EncodedArray]) -> list[Pattern]:
        """Compressed bytes in, patterns out, as many together as ingest takes where frames wait."""
        patterns = []
        for found in self.ours.many(arrays):
            if isinstance(found, MessageError):
                raise found
            patterns.append(found)
        return patterns

    def integrate_rows(self, name: str, frames: Frames, threads: Threads, rounds: int, floor: float) -> list[Row]:
        """Decoded pixels in, pattern out: beside pyFAI, and beside scipy."""
        images = frames.cycled(threads.frames).images
        theirs, said = self._fastest("integrate", self.pyfai, images, threads)
        jobs = [threads.spread(self.ours, images), theirs, threads.spread(self.scipy, images)]
        figures = interleave(jobs, rounds, floor)
        mine = [intensity(self.ours(image)) for image in frames.images]
        return [
            self._row(name, figures[0], figures[1], said, deviation(mine, [*map(self.pyfai, frames.images)]), BOUND),
            self._row(
                name, figures[0], figures[2], "scipy CSR", deviation(mine, [*map(self.scipy, frames.images)]),
                BOUND_SINGLE,
            ),
        ]  # fmt: skip

    def reduce_rows(self, name: str, frames: Frames, threads: Threads, rounds: int, floor: float) -> list[Row]:
        """Compressed bytes in, pattern out: beside dectris-compression and pyFAI."""
        theirs, said = self._fastest("reduce", self.pyfai.reduce, frames.cycled(threads.frames).encoded, threads)
        lots = [frames.cycled(TOGETHER).encoded] * threads.count
        figures = interleave([Job(threads.spread(self.reduce, lots).call, TOGETHER * len(lots)), theirs], rounds, floor)
        mine = [intensity(pattern) for pattern in self.reduce(frames.encoded)]
        apart = deviation(mine, [*map(self.pyfai.reduce, frames.encoded)])
        return [self._row(name, figures[0], figures[1], f"dectris + {said}", apart, BOUND)]

    def _fastest(self, what: str, work: Callable[[Any], object], items: list[Any], threads: Threads) -> tuple[Job, str]:
        """The better way for pyFAI, and its name: OpenMP threads within a frame, or a frame in each of our threads."""
        ways = {"pyFAI, OpenMP": threads.openmp(work, items), "pyFAI, threads": threads.spread(work, items)}
        if what not in self.ways:
            tried = interleave(list(ways.values()), TRIALS, 0.0)
            self.ways[what] = min(zip(tried, ways, strict=True), key=lambda pair: pair[0].median)[1]
        return ways[self.ways[what]], self.ways[what]

    @staticmethod
    def _row(name: str, ours: Figure, theirs: Figure, peer: str, apart: float, bound: float) -> Row:
        return Row(
            name=name, unit="ms/frame", ours=ours, peer=peer, theirs=theirs, ratio=ratio(ours, theirs),
            deviation=apart, bound=bound,
        )  # fmt: skip


def intensity(pattern: Pattern) -> Floats:
    """Counts a pixel, NaN where no pixel is."""
    return pattern.sums / np.where(pattern.norms > 0, pattern.norms, np.nan).astype(np.float64)


def deviation(ours: list[Floats], theirs: list[npt.NDArray[Any]]) -> float:
    """The largest one, relative to the largest of theirs; infinite where only one of them is NaN."""
    a, b = np.array(ours), np.array(theirs)
    if (np.isnan(a) != np.isnan(b)).any():
        return np.inf
    return float(np.nanmax(np.abs(a - b)) / np.nanmax(np.abs(b)))
