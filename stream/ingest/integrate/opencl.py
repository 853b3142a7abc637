"""The integration seam on an OpenCL device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from stream.core.axis import RadialAxis
from stream.core.errors import BraggstreamError, MessageError, UnavailableError
from stream.core.messages import EncodedArray, Pattern
from stream.core.wire import decompress
from stream.ingest.integrate.blobs import DTYPES, Places, find_blocks
from stream.ingest.integrate.cpu import CpuIntegrator
from stream.ingest.integrate.geometry import Mask
from stream.ingest.integrate.images import one_line
from stream.ingest.integrate.lz4_sound import is_sound
from stream.ingest.integrate.opencl_engine import LONGEST, Engine
from stream.ingest.integrate.outcome import outcomes


@dataclass(frozen=True, slots=True, eq=False)
class OpenclIntegrator:
    """Integrates with pyFAI's engine as `cpu` does, but for the last bits; for many threads, one after another.

    context
        of the device that silx chooses; device is its name.
    """

    cpu: CpuIntegrator
    context: Any
    engine: Engine

    @classmethod
    def create(cls, cpu: CpuIntegrator) -> Self:
        """Open the device.

        Raises
        ------
        UnavailableError
            where PyOpenCL, or a device for it, is missing.
        ConfigError
            where integration.filter is set.
        """
        try:
            import pyopencl  # noqa: F401
            from silx.opencl import ocl

            context = None if ocl is None else ocl.create_context()
            if context is None:
                raise UnavailableError("there is no OpenCL device")
            return cls(cpu, context, Engine.open(cpu.layout, context))
        except BraggstreamError:
            raise
        except Exception as error:  # a driver's own
            raise UnavailableError(f"OpenCL cannot be used: {one_line(error)}") from error

    @property
    def axis(self) -> RadialAxis:
        """See `CpuIntegrator`."""
        return self.cpu.axis

    @property
    def device(self) -> str:
        """What the device calls itself."""
        return str(self.context.devices[0].name).strip()

    def for_series(self, mask: Mask | None, saturation: int | None) -> Self:
        """See `Integrate`."""
        cpu = self.cpu.for_series(mask, saturation)
        engine = self.engine if mask is None else Engine.open(cpu.layout, self.context)
        return replace(self, cpu=cpu, engine=engine)

    def __call__(self, image: npt.NDArray[Any]) -> Pattern:
        """Integrate one (rows, columns) image that is not compressed.

        Raises
        ------
        MessageError
            for another shape or dtype.
        """
        pixels = self.cpu.flat(image)
        with self.engine.lock:
            self.engine.send(pixels, self.cpu.largest_valid(pixels.dtype))
            return self.engine.integrate()

    def encoded(self, array: EncodedArray) -> Pattern:
        """Integrate one image as it was sent; its blocks are looked through first, for silx's kernel believes them.

        Raises
        ------
        MessageError
            as `decompress`, and for another shape or dtype.
        """
        if not self._taken(array):
            return self(decompress(array))
        with self.engine.lock:
            self.engine.unpack(array, self.cpu.largest_valid(array.dtype))
            return self.engine.integrate()

    def many(self, arrays: Sequence[EncodedArray]) -> list[Pattern | MessageError]:
        """See `Integrate`."""
        return outcomes(self.encoded, arrays)

    def warm_up(self) -> None:
        """Run every kernel once, so that no frame waits for it."""
        for dtype in DTYPES:
            self(np.zeros(self.cpu.shape, dtype=dtype))

    def _taken(self, array: EncodedArray) -> bool:
        places: Places | None = find_blocks(array) if tuple(array.shape) == self.cpu.shape else None
        return places is not None and places.size > 1 and is_sound(array, places, LONGEST)
