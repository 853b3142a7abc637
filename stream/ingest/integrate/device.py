"""What every device does with an image before it takes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stream.core.errors import MessageError, Reject
from stream.ingest.integrate.cpu import DTYPES, CpuIntegrator


def flat_pixels(cpu: CpuIntegrator, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The pixels of a (rows, columns) image in native byte order, shape (pixels,).

    Raises
    ------
    MessageError
        for another shape or dtype than `cpu` takes.
    """
    if image.shape != cpu.shape:
        raise MessageError(Reject.SHAPE, f"an image of {image.shape} pixels from a detector of {cpu.shape}")
    dtype = image.dtype.newbyteorder("=")
    if dtype not in DTYPES:
        raise MessageError(Reject.DTYPE, f"an image of {image.dtype}: uint8, uint16 or uint32 is needed")
    return np.ascontiguousarray(image, dtype=dtype).reshape(-1)


def largest_valid(cpu: CpuIntegrator, dtype: np.dtype[Any]) -> int:
    """The largest valid count: all ones and all ones less 1 are none, nor is what exceeds the saturation."""
    largest = int(np.iinfo(dtype).max) - 2
    return largest if cpu.saturation is None else min(largest, cpu.saturation)
