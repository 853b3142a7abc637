"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[1] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The recorded reference data beside the repository, whole."""
    if not SHARED.is_dir():
        pytest.skip(f"REFERENCE DATA MISSING: no folder {SHARED}; the checks against recorded data do not run")
    return SHARED


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The detector recordings: beside the repository, or the small copies in tests/data."""
    return SHARED if SHARED.is_dir() else HERE / "data"


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The CUDA kernels compiled for this machine's CPU, with the sanitizers on."""
    from helpers.cuda_shim import compile_shim  # few tests need what it imports

    return compile_shim(tmp_path_factory.mktemp("shim"))
