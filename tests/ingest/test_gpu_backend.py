"""integration.backend: what is chosen where, and what is said where there is no device."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.cuda_shim import ShimCard
from helpers.device_frames import make_cpu

from stream.core.errors import ConfigError, UnavailableError
from stream.ingest.integrate.backend import open_backend
from stream.ingest.integrate.cuda import CudaIntegrator, CupyCard

SHAPE = (71, 95)


@pytest.fixture
def no_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cupy", "cupyx", "pyopencl"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.usefixtures("no_libraries")
@pytest.mark.parametrize(("backend", "says"), [("cuda", "CUDA needs CuPy"), ("opencl", "OpenCL cannot be used")])
def test_a_device_asked_for_and_not_there(backend: str, says: str) -> None:
    with pytest.raises(UnavailableError, match=says) as caught:
        open_backend(backend, make_cpu(SHAPE, 50))
    assert caught.value.exit_code == 4
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("no_libraries")
@pytest.mark.parametrize("backend", ["auto", "cpu"])
def test_the_cpu_where_there_is_no_device(backend: str) -> None:
    cpu = make_cpu(SHAPE, 50)
    assert open_backend(backend, cpu) is cpu


def test_auto_takes_a_card_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    class Named(ShimCard):
        name = "shim"

    monkeypatch.setattr(CupyCard, "open", lambda: Named(Path("nowhere")))
    cpu = make_cpu(SHAPE, 50)
    assert isinstance(open_backend("auto", cpu), CudaIntegrator)
    assert isinstance(open_backend("cuda", cpu), CudaIntegrator)
    assert open_backend("cpu", cpu) is cpu


def test_what_the_kernels_do_otherwise_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Split pixels have other last bits there: auto leaves them to the CPU, as it does filters."""
    monkeypatch.setattr(CupyCard, "open", lambda: ShimCard(Path("nowhere")))
    split, filtered = make_cpu(SHAPE, 50, method="bbox"), make_cpu(SHAPE, 50, filter={"sigma_clip": 5})
    assert open_backend("auto", split) is split
    assert open_backend("auto", filtered) is filtered
    assert isinstance(open_backend("cuda", split), CudaIntegrator)
    with pytest.raises(ConfigError, match=r"integration\.backend is 'cuda'"):
        open_backend("cuda", filtered)


def test_a_driver_that_fails_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __getattr__(self, name: str) -> object:
            raise RuntimeError("cudaErrorInsufficientDriver:\nCUDA driver version is insufficient")

    monkeypatch.setitem(sys.modules, "cupy", Broken())
    monkeypatch.setitem(sys.modules, "cupyx", type("cupyx", (), {"empty_pinned": np.empty}))
    with pytest.raises(UnavailableError, match=r"no CUDA device that can be used: cudaErrorInsufficientDriver: CUDA"):
        CupyCard.open()
