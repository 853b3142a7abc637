"""Which device reconstructs the final volumes of every channel: integration.backend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stream.analyse.tomography import sirt
from stream.analyse.tomography.cuda.projector import CudaProjector, with_kernels
from stream.analyse.tomography.cuda.sirt import TOGETHER, solve
from stream.analyse.tomography.lanes import LANES
from stream.analyse.tomography.projector import Floats, Projector
from stream.ingest.integrate.cuda.card import Card, CupyCard

Solve = Callable[..., tuple[Floats, NDArray[np.float64]]]


@dataclass(frozen=True, slots=True)
class Solver:
    """SIRT from zero, called as `stream.analyse.tomography.sirt.solve`, for so many channels at a time.

    name is what the metadata say.
    """

    name: Literal["cpu", "cuda"] = "cpu"
    solve: Solve = sirt.solve
    channels: int = LANES

    @classmethod
    def open(cls, backend: Literal["auto", "cpu", "opencl", "cuda"]) -> Self:
        """A CUDA device where it is asked for, else the CPU: the last bits of the two differ, so auto is the CPU.

        Raises
        ------
        UnavailableError
            where the device or its libraries are missing.
        """
        if backend != "cuda":
            return cls()
        card = with_kernels(CupyCard.open())
        return cls.on_card(card.cupy, card)

    @classmethod
    def on_card(cls, xp: Any, card: Card) -> Self:
        """card launches the kernels of projector.cu; xp is the array namespace of its memory."""
        return cls("cuda", partial(_on_card, xp, card), TOGETHER)


def _on_card(
    xp: Any, card: Card, projector: Projector, sinogram: Floats, measured: ArrayLike, iterations: int
) -> tuple[Floats, NDArray[np.float64]]:
    return solve(xp, CudaProjector(projector, card), sinogram, measured, iterations)
