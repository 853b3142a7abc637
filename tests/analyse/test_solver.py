"""Which device makes the final volumes, what it makes, and what is told of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from helpers.cuda_shim import ShimCard
from helpers.small_store import small_store

from stream.analyse.store import PatternStore
from stream.analyse.tomograph import Tomograph
from stream.analyse.tomography import sirt
from stream.analyse.tomography.cuda import Solver
from stream.core.config import ReconstructionConfig
from stream.core.errors import UnavailableError


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PatternStore:
    """Two slices of counts, some rays missing."""
    return small_store(tmp_path_factory.mktemp("store"), 5)


def final(store: PatternStore, solver: Solver, **config: Any) -> tuple[npt.NDArray[np.float32], Any, str]:
    volume = np.zeros((*store.grid.map_shape, store.axis.bins), np.float32)
    asked = ReconstructionConfig.model_validate({"iterations": 3, "center": 0.0} | config)
    tomograph = Tomograph(store, asked, volume, store.patterns.sum(axis=-1), 1e5, solver)
    assert tomograph.told["reconstruction_backend"] == "cpu", "live volumes"
    tomograph.settle()
    traces = [trace for _, trace in tomograph.finals()]
    return volume, np.array(traces), tomograph.told["reconstruction_backend"]


def test_final_slices_on_a_card(store: PatternStore, program: Path) -> None:
    expected, expected_trace, backend = final(store, Solver())
    assert backend == "cpu"
    card = ShimCard(program)
    volume, trace, backend = final(store, Solver.on_card(np, card))
    assert backend == "cuda"
    assert card.launches == 2 * 3 * 2, "slices, iterations, and there and back"
    np.testing.assert_allclose(volume, expected, rtol=0, atol=1e-4 * np.nanmax(expected))
    np.testing.assert_allclose(trace, expected_trace, rtol=1e-5)


@pytest.mark.parametrize("config", [{"channels": "basis:4"}, {"parallax": True}])
def test_what_the_card_does_not_do_is_the_cpus_and_told_so(store: PatternStore, config: dict[str, Any]) -> None:
    expected, _, _ = final(store, Solver(), **config)
    volume, _, backend = final(store, Solver.on_card(np, ShimCard(Path("nowhere"))), **config)
    assert backend == "cpu"
    np.testing.assert_array_equal(volume, expected)


@pytest.mark.parametrize("backend", ["auto", "cpu", "opencl"])
def test_the_cpu_unless_cuda_is_asked_for(backend: Any) -> None:
    assert Solver.open(backend) == Solver("cpu", sirt.solve)


def test_a_card_asked_for_and_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(UnavailableError, match="CUDA needs CuPy"):
        Solver.open("cuda")
