"""Which device integrates the frames: integration.backend."""

from __future__ import annotations

from typing import Literal

import structlog

from stream.core.errors import UnavailableError
from stream.ingest.integrate.cpu import CpuIntegrator
from stream.ingest.integrate.cuda import CudaIntegrator, CupyCard
from stream.ingest.integrate.opencl import OpenclIntegrator
from stream.ingest.integrate.whole import WholePixels

Integrator = CpuIntegrator | CudaIntegrator | OpenclIntegrator

log = structlog.get_logger()


def open_backend(backend: Literal["auto", "cpu", "opencl", "cuda"], cpu: CpuIntegrator) -> Integrator:
    """What integrates the frames as `cpu` does, on the device asked for.

    auto is a CUDA device where there is one and both give the same bits (whole pixels, no filter), else the CPU. The
    last bits of CUDA's split pixels and of OpenCL's patterns differ, so these are taken only when asked for.

    Raises
    ------
    UnavailableError
        where the device or its libraries are missing.
    ConfigError
        where CUDA does not know the layout.
    """
    if backend == "cuda":
        return CudaIntegrator.create(cpu, CupyCard.open())
    if backend == "opencl":
        return OpenclIntegrator.create(cpu)
    if backend == "auto" and isinstance(cpu.layout, WholePixels):
        try:
            card = CupyCard.open()
        except UnavailableError as error:
            log.info("integrate.backend", backend="cpu", why=str(error))
        else:
            log.info("integrate.backend", backend="cuda", device=card.name)
            return CudaIntegrator.create(cpu, card)
    return cpu
