"""The projector on a card: its tables there, and its two kernels."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.analyse.tomography.projector import Projector
from stream.core.errors import UnavailableError
from stream.ingest.integrate.cuda.card import OPTIONS, Card, CupyCard
from stream.ingest.integrate.images import one_line

FOLDER = Path(__file__).parent
WARP = 32
WARPS = 4
PER = 4
"""Channels of a thread, as in projector.cu."""


def with_kernels(card: CupyCard) -> CupyCard:
    """The same card and streams, launching the kernels of projector.cu.

    Raises
    ------
    UnavailableError
        where they cannot be compiled for it.
    """
    module = card.cupy.RawModule(code=(FOLDER / "projector.cu").read_text(), options=OPTIONS)
    try:
        module.compile()
    except Exception as error:  # CuPy's own, and those of finding what it compiles with
        raise UnavailableError(f"the projector cannot be compiled for {card.name}: {one_line(error)}") from error
    return replace(card, module=module)


class CudaProjector:
    """Ray sums and their transpose with the weights of `host`, on arrays in the memory of `card`."""

    def __init__(self, host: Projector, card: Card) -> None:
        self.host, self.card = host, card

    def forward(self, volume: Any, out: Any) -> None:
        """Project volume (y, x, channel), per micrometre, to ray sums (angle, position, channel)."""
        self._launch("project", volume, out)

    def back(self, rays: Any, out: Any) -> None:
        """Transpose of `forward`: (angle, position, channel) to (y, x, channel), 0 outside the field of view."""
        self._launch("backproject", rays, out)

    @cached_property
    def _tables(self) -> tuple[Any, Any]:
        """Put there in the stream of their first use."""
        return self.card.put(np.ascontiguousarray(self.host._extent, np.int32)), self.card.put(_views(self.host))

    def _launch(self, kernel: str, source: Any, out: Any) -> None:
        sums, channels = out.shape[0] * out.shape[1], out.shape[2]
        grid = -(-sums // WARPS), -(-channels // (WARP * PER))
        sizes = (*self.host.rays, channels)
        self.card.launch(kernel, grid, WARP * WARPS, 0, source, *self._tables, *map(np.int32, sizes), out)


def _views(host: Projector) -> NDArray[np.float64]:
    """(angle, 7) what the kernels' View has; the formulas are those of the host's weights."""
    cos, sin = host._cos, host._sin
    outer, inner = 0.5 * (abs(cos) + abs(sin)), 0.5 * abs(abs(cos) - abs(sin))
    slope = np.minimum(abs(cos), abs(sin))
    curvature = np.where(slope > 1e-6, 0.5 / np.maximum(slope, 1e-6), 0)
    origin = -host._p0 - 0.5 * (host.count - 1) * (cos + sin)
    height = host._side / np.maximum(abs(cos), abs(sin))
    return np.ascontiguousarray(np.stack([cos, sin, origin, outer, inner, height, curvature], axis=-1))
