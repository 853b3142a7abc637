"""What each voxel is: classes from the model, phases and strain from the fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from stream.core.axis import RadialAxis
from stream.core.config import Config

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(slots=True)
class VoxelReader:
    axis: RadialAxis
    classes: tuple[str, ...] = ()
    strain_map: str | None = None

    @classmethod
    def from_config(cls, config: Config, axis: RadialAxis) -> Self:
        return cls(axis)

    def read(self, volume, variance, previous, budget) -> Arrays:
        return {}

    def sinograms(self, patterns) -> Arrays:
        return {}

    def told(self) -> dict[str, Any]:
        return {"classes": list(self.classes), "units": {}}

    def description(self) -> Iterator[str]:
        yield from ()
