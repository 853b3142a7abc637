"""SIRT on a CUDA device: the same weights, the same iteration, every ray and every voxel summed by one thread.

The source projector.cu is compiled by CuPy when a device is taken for it.
"""

from __future__ import annotations

from stream.analyse.tomography.cuda.projector import CudaProjector, with_kernels
from stream.analyse.tomography.cuda.sirt import solve
from stream.analyse.tomography.cuda.solver import Solver

__all__ = ["CudaProjector", "Solver", "solve", "with_kernels"]
