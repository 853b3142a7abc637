"""The graphics card through CuPy: memory, streams, and the compiled kernels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from stream.core.errors import UnavailableError
from stream.ingest.integrate.blobs import Bytes
from stream.ingest.integrate.images import one_line

STREAMS = 3
"""Batches under way: one is copied, one is worked on, one is prepared."""
FOLDER = Path(__file__).parent
OPTIONS = ("-std=c++17",)


def source() -> str:
    """The kernels in one text: CuPy keeps compiled code by its text, and would not see a changed header."""
    return (FOLDER / "kernels.cu").read_text().replace('#include "bslz4.h"', (FOLDER / "bslz4.h").read_text())


class Card(Protocol):
    """What the integrator asks of a device; `Any` stands for an array in its memory."""

    @property
    def streams(self) -> int:
        """Batches that may be under way at a time."""
        ...

    def stream(self) -> AbstractContextManager[None]:
        """What is asked for within it is done in this order, beside what other threads ask for."""
        ...

    def staging(self, size: int) -> Bytes:
        """Host memory, to be filled and then `put`."""
        ...

    def put(self, array: npt.NDArray[Any]) -> Any:
        """A copy on the device; `array` must live until the next `get`."""
        ...

    def zeros(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
        """An array of zeros on the device."""
        ...

    def get(self, array: Any) -> npt.NDArray[Any]:
        """A copy on the host, once what was asked for before is done."""
        ...

    def launch(self, kernel: str, grid: tuple[int, int], threads: int, shared: int, *arguments: Any) -> None:
        """Run a kernel of kernels.cu with `shared` bytes of shared memory; numbers are NumPy scalars of its types."""
        ...


@dataclass(frozen=True, slots=True)
class CupyCard:
    """The first CUDA device that CuPy finds; name is what it calls itself."""

    name: str
    cupy: Any
    module: Any
    empty_pinned: Any
    idle: SimpleQueue[Any]
    streams: int = STREAMS

    @classmethod
    def open(cls) -> Self:
        """Compile the kernels for the device.

        Raises
        ------
        UnavailableError
            where CuPy, a device, or what CuPy compiles with is missing.
        """
        try:
            import cupy
            from cupyx import empty_pinned
        except ImportError as error:
            raise UnavailableError(f"CUDA needs CuPy, which cannot be imported: {one_line(error)}") from None
        idle: SimpleQueue[Any] = SimpleQueue()
        try:
            name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
            module = cupy.RawModule(code=source(), options=OPTIONS)
            module.compile()
            for _ in range(STREAMS):
                idle.put(cupy.cuda.Stream(non_blocking=True))
        except Exception as error:  # CuPy's own, its libraries', and those of finding them
            raise UnavailableError(f"there is no CUDA device that can be used: {one_line(error)}") from error
        return cls(name, cupy, module, empty_pinned, idle)

    @contextmanager
    def stream(self) -> Iterator[None]:
        """See `Card`."""
        stream = self.idle.get()
        try:
            with stream:
                yield
        finally:
            try:
                stream.synchronize()  # after an error, too: what it works on is about to be freed
            finally:
                self.idle.put(stream)

    def staging(self, size: int) -> Bytes:
        """See `Card`; page-locked, so that it is copied while the host goes on."""
        pinned: Bytes = self.empty_pinned(size, dtype=np.uint8)
        return pinned

    def put(self, array: npt.NDArray[Any]) -> Any:
        """See `Card`."""
        there = self.cupy.empty(array.shape, dtype=array.dtype)
        there.set(array, stream=self.cupy.cuda.get_current_stream())
        return there

    def zeros(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
        """See `Card`."""
        return self.cupy.zeros(shape, dtype=dtype)

    def get(self, array: Any) -> npt.NDArray[Any]:
        """See `Card`."""
        return np.asarray(array.get(stream=self.cupy.cuda.get_current_stream()))

    def launch(self, kernel: str, grid: tuple[int, int], threads: int, shared: int, *arguments: Any) -> None:
        """See `Card`."""
        self.module.get_function(kernel)(grid, (threads,), arguments, shared_mem=shared)
