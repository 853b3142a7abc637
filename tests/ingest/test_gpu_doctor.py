"""`braggstream doctor`: what it finds here, and that what it does on a GPU would notice a wrong one."""

from __future__ import annotations

import sys
from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import structlog
from helpers.cuda_shim import ShimCard

from stream.cli import main
from stream.core.errors import StoreError, UnavailableError
from stream.ingest.integrate.cpu import CpuIntegrator
from stream.ingest.integrate.opencl import OpenclIntegrator
from stream.service import doctor
from stream.service.doctor_gpu import CLOSE, Trial, check_cuda, check_patterns, make_trials, virtual_detector
from stream.service.doctor_sirt import Size, check_sirt


@pytest.fixture(scope="module")
def cpu() -> CpuIntegrator:
    return virtual_detector("Pilatus 100k", 400)


@pytest.fixture(scope="module")
def trials(cpu: CpuIntegrator) -> list[Trial]:
    return list(make_trials(cpu))


def test_a_card_that_is_right(cpu: CpuIntegrator, trials: list[Trial], program: Path) -> None:
    found = list(check_cuda(cpu, ShimCard(program), trials, frames=1))
    assert [finding.what for finding in found if finding.sound is not True] == []
    assert len(found) == 2 * len(trials) + 1
    assert sum("frames/s" in finding.text for finding in found) == len(trials)


def test_a_card_that_flips_a_bit(cpu: CpuIntegrator, trials: list[Trial], program: Path) -> None:
    class Flips(ShimCard):
        def get(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
            copy = array.copy()
            if copy.dtype != np.uint32 or copy.ndim > 1:  # not what tells of damage
                copy[0, 200] ^= 1
            return copy

    found = list(check_cuda(cpu, Flips(program), trials[:1], frames=1))
    assert [finding.sound for finding in found] == [False, False, False]
    assert not any("frames/s" in finding.text for finding in found), "no rate of wrong results"


def test_sirt_on_a_card_that_is_right_and_on_one_that_is_not(program: Path) -> None:
    class Wrong(ShimCard):
        def launch(self, kernel: str, grid: tuple[int, int], threads: int, shared: int, *arguments: Any) -> None:
            super().launch(kernel, grid, threads, shared, *arguments)
            if kernel == "backproject":
                arguments[-1][5, 5] *= 1.01

    size = Size(12, 6, 2, 2)
    found = check_sirt(np, ShimCard(program), size)
    assert found.sound
    assert "a channel and iteration takes" in found.text
    found = check_sirt(np, Wrong(program), size)
    assert found.sound is False
    assert "µs" not in found.text, "no rate of wrong results"


def test_opencl_patterns(cpu: CpuIntegrator, trials: list[Trial]) -> None:
    try:
        device = OpenclIntegrator.create(cpu)
    except UnavailableError as error:
        pytest.skip(f"OpenCL is NOT exercised: {error}")
    assert all(finding.sound for finding in check_patterns("opencl", device, trials, CLOSE, frames=1))


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["braggstream", "doctor", *options])
    code = main()
    structlog.reset_defaults()  # main has it write to a standard error that is soon gone
    out, err = capsys.readouterr()
    return code, out, err


def test_no_gpu_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("cupy", "pyopencl"):
        monkeypatch.setitem(sys.modules, name, None)
    code, out, err = run(monkeypatch, capsys, "--gpu")
    assert code == 4
    assert out == ""
    assert err.startswith("braggstream: there is no GPU to check: CUDA needs CuPy")
    assert err.count("\n") == 1


def test_this_installation_is_in_order(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("stream.service.warm.warm", lambda: 3.0)  # `make` runs it
    code, out, _ = run(monkeypatch, capsys)
    assert code == 0, out
    for row in ("python", "packages", "kernels", "model mlp", "disk", "port 8080", "limits", "cupy-cuda12x"):
        assert row in out


def test_what_is_not_in_order_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(name: str) -> None:
        raise StoreError(f"the model {name} has another SHA-256")

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("stream.service.warm.warm", lambda: 3.0)
    monkeypatch.setattr("stream.analyse.classify.choose.load_classifier", broken)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage(1, 1, 1_000_000))
    monkeypatch.setattr(doctor, "requires", lambda _: ["numpy>=2.0", "no-such-package>=1"])
    monkeypatch.setattr(doctor.resource, "getrlimit", lambda _: (64, 64))
    monkeypatch.chdir(tmp_path)
    code, out, err = run(monkeypatch, capsys)
    assert code == 4
    assert err == "braggstream: not in order: packages, models, disk, limits\n"
    assert "no-such-package>=1" in out
