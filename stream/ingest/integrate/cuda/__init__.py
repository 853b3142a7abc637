"""Azimuthal integration on a CUDA device: compressed frames go there, patterns come back.

The sources bslz4.h and kernels.cu are compiled by CuPy when a device is opened.
"""

from __future__ import annotations

from stream.ingest.integrate.cuda.card import Card, CupyCard
from stream.ingest.integrate.cuda.integrator import CudaIntegrator

__all__ = ["Card", "CudaIntegrator", "CupyCard"]
