"""An OpenCL device's part of the integration: silx's kernels decompress, pyFAI's own engine integrates."""

from __future__ import annotations

import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array

from stream.core.errors import ConfigError
from stream.core.messages import EncodedArray, Pattern
from stream.ingest.integrate.blobs import DTYPES
from stream.ingest.integrate.layout import Layout
from stream.ingest.integrate.split import SplitPixels
from stream.ingest.integrate.whole import UNIT_WEIGHT, WholePixels

SOURCE = "".join(
    f"""
kernel void counts_{name}(global const {kind} *pixels, uint limit, global float *counts, uint first) {{
    size_t i = get_global_id(0);
    counts[first + i] = pixels[i] > limit ? NAN : (float) pixels[i];
}}"""
    for name, kind in (("uint8", "uchar"), ("uint16", "ushort"), ("uint32", "uint"))
)
"""Counts as pyFAI's engine takes them: NaN is left out."""
LONGEST = 8192 + 400
"""Bytes of a compressed block that silx's kernel has room for; what it reads it believes."""


@dataclass(slots=True)
class Engine:
    """One detector's buffers, kernels and sparse matrix on the device; used by one thread at a time."""

    csr: Any
    queue: Any
    kernels: dict[str, Any]
    counts: Any
    weights: npt.NDArray[np.float32]
    unpackers: dict[np.dtype[Any], Any]
    lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def open(cls, layout: Layout, context: Any) -> Self:
        """Compile everything for the layout and send the matrix.

        Raises
        ------
        ConfigError
            where integration.filter is set.
        """
        from pyFAI.opencl.azim_csr import OCL_CSR_Integrator
        from pyopencl import CommandQueue, Kernel, Program
        from pyopencl.array import empty
        from silx.opencl.codec.bitshuffle_lz4 import BitshuffleLz4

        matrix, weights = _matrix(layout)
        lut = matrix.data, matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)
        with _quiet():
            csr = OCL_CSR_Integrator(lut, weights.size, ctx=context)
            program = Program(context, SOURCE).build()
            body = weights.size - weights.size % 8
            unpackers = {dtype: BitshuffleLz4(body * dtype.itemsize, body, dtype, ctx=context) for dtype in DTYPES}
        queue = CommandQueue(context)
        kernels = {dtype.name: Kernel(program, f"counts_{dtype.name}") for dtype in DTYPES}
        return cls(csr, queue, kernels, empty(queue, weights.size, np.float32), weights, unpackers)

    def send(self, pixels: npt.NDArray[Any], limit: int, first: int = 0) -> None:
        """Counts of an image, or of its pixels from `first` on."""
        from pyopencl.array import to_device

        self._count(to_device(self.queue, pixels), limit, first)

    def unpack(self, array: EncodedArray, limit: int) -> None:
        """Counts of an image whose blob is known to be sound.

        The pixels behind its last block are sent: silx 3.1 on PoCL 3.1 ends the process over those of a uint8 frame.
        """
        tail = self.weights.size % 8
        body, dtype = self.weights.size - tail, array.dtype
        behind = len(array.data) - tail * dtype.itemsize
        blob = struct.pack(">Q", body * dtype.itemsize) + bytes(array.data[8:behind])
        unpacker = self.unpackers[dtype]
        pixels = unpacker.decompress(blob)
        unpacker.queue.finish()
        self._count(pixels, limit, 0)
        if tail:
            self.send(np.frombuffer(array.data[behind:], dtype), limit, body)

    def _count(self, pixels: Any, limit: int, first: int) -> None:
        kernel = self.kernels[pixels.dtype.name]
        kernel(self.queue, (pixels.size,), None, pixels.data, np.uint32(limit), self.counts.data, np.uint32(first))
        self.queue.finish()

    def integrate(self) -> Pattern:
        """Σ c·counts, Σ c·weights and Σ c²·counts of the counts sent last, added by pyFAI in pairs of floats."""
        from pyFAI.containers import ErrorModel

        found = self.csr.integrate_ng(
            self.counts,
            variance=self.counts,
            error_model=ErrorModel.VARIANCE,
            solidangle=self.weights,
            solidangle_checksum=1,  # the same for every frame of this engine
        )
        return Pattern(sums=found.signal.copy(), norms=found.normalization.copy(), variances=found.variance.copy())


@contextmanager
def _quiet() -> Iterator[None]:
    """OpenCL compilers have much to say."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _matrix(layout: Layout) -> tuple[csr_array, npt.NDArray[np.float32]]:
    """The share of each pixel in each bin, (bins, pixels), and the weights of the pixels."""
    if isinstance(layout, WholePixels):
        rows, shares = layout.bins.astype(np.int64), np.ones(layout.bins.size, np.float32)
        columns, weights = np.arange(rows.size), layout.weights / UNIT_WEIGHT
    elif isinstance(layout, SplitPixels):
        (first, share), (pixels, places, parts) = layout.shared, layout.listed
        every, first = np.arange(first.size), first.astype(np.int64)
        rows = np.concatenate([first, first + 1, places])
        shares, columns = np.concatenate([share, 1 - share, parts]), np.concatenate([every, every, pixels])
        weights = layout.weights
    else:
        raise ConfigError("integration.backend is 'opencl': it knows no integration.filter")
    used = (rows < layout.axis.bins) & (shares > 0)
    shape = (layout.axis.bins, weights.size)
    matrix = coo_array((shares[used], (rows[used], columns[used])), shape=shape).tocsr()
    return matrix, weights.astype(np.float32)
