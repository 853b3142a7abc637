"""Azimuthal integration: geometry and mask by pyFAI and fabio, the loop over the pixels by a compiled kernel."""

from __future__ import annotations

from stream.ingest.integrate.background import load_background
from stream.ingest.integrate.cpu import CpuIntegrator
from stream.ingest.integrate.geometry import Geometry, load_geometry, load_mask
from stream.ingest.integrate.images import read_image
from stream.ingest.integrate.still import integrate_still

__all__ = [
    "CpuIntegrator",
    "Geometry",
    "integrate_still",
    "load_background",
    "load_geometry",
    "load_mask",
    "read_image",
]
