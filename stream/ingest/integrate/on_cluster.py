"""The integration seam on a cluster: frames go to its workers as they were sent, patterns come back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy.typing as npt

from stream.core.axis import RadialAxis
from stream.core.errors import MessageError
from stream.core.messages import EncodedArray, Pattern
from stream.ingest.integrate.cpu import CpuIntegrator
from stream.ingest.integrate.geometry import Mask
from stream.scale.cluster import Cluster

FRAMES_A_TASK = 32  # handing a task over takes some 10 ms of processor time


@dataclass(frozen=True, slots=True, eq=False)
class ClusterIntegrator:
    """Integrates as `cpu` does, to the same bits; for many threads, each of which waits for its own frames.

    remote: what will be the integrator on the workers, laid out once and handed on among them.
    """

    cpu: CpuIntegrator
    cluster: Cluster
    remote: Any

    @classmethod
    def create(cls, cpu: CpuIntegrator, cluster: Cluster) -> Self:
        """Hand the integrator over."""
        return cls(cpu, cluster, cluster.begin(_itself, cpu))

    @property
    def axis(self) -> RadialAxis:
        """The bins."""
        return self.cpu.axis

    def for_series(self, mask: Mask | None, saturation: int | None) -> Self:
        """See `Integrate`."""
        here = self.cpu.for_series(mask, saturation)
        return replace(self, cpu=here, remote=self.cluster.begin(_for_series, self.remote, mask, saturation))

    def __call__(self, image: npt.NDArray[Any]) -> Pattern:
        """Integrate one image, here."""
        return self.cpu(image)

    def many(self, arrays: Sequence[EncodedArray]) -> list[Pattern | MessageError]:
        """See `Integrate`."""
        sent = [replace(array, data=bytes(array.data)) for array in arrays]
        found: list[Pattern | MessageError] = self.cluster.result(self.cluster.begin(_many, self.remote, sent))
        return found

    def warm_up(self) -> None:
        """Kernels are compiled where they run."""


def _itself(integrate: CpuIntegrator) -> CpuIntegrator:
    return integrate


def _for_series(integrate: CpuIntegrator, mask: Mask | None, saturation: int | None) -> CpuIntegrator:
    return integrate.for_series(mask, saturation)


def _many(integrate: CpuIntegrator, arrays: Sequence[EncodedArray]) -> list[Pattern | MessageError]:
    return integrate.many(arrays)
