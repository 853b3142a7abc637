"""The CUDA projector and its SIRT on a CPU, under the sanitizers: the CPU's weights, a transpose, the CPU's volumes."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
from helpers import disc_phantom
from helpers.cuda_shim import ShimCard

from stream.analyse.tomography import sirt
from stream.analyse.tomography.cuda import CudaProjector, solve
from stream.analyse.tomography.cuda.projector import FOLDER
from stream.analyse.tomography.projector import Projector
from stream.analyse.tomography.steps import relative
from stream.core.errors import UsageError

CLOSE = 1e-4  # of the maximum
RANDOM = np.random.default_rng(48)


def geometry(count: int, angles: np.ndarray, step: float = 2.5, center: float = 1.3) -> Projector:
    return Projector(angles, (np.arange(count) - (count - 1) / 2) * step, center)


def both(projector: Projector, card: ShimCard, channels: int) -> tuple[np.ndarray, ...]:
    """A volume and rays at random, what the card projects of them, and what the CPU does."""
    count = projector.count
    volume = RANDOM.random((count, count, channels), np.float32)
    rays = RANDOM.random((*projector.rays, channels), np.float32)
    volume[~projector.support] = np.nan
    forward, back = np.full_like(rays, np.nan), np.full_like(volume, np.nan)
    ours = CudaProjector(projector, card)
    ours.forward(volume, forward)
    ours.back(rays, back)
    return volume, rays, forward, back


@pytest.mark.parametrize(
    ("count", "angles", "step", "channels"),
    [
        (17, np.array([0.0, 45.0, 90.0, 135.0, 180.0, 270.0]), -3.0, 3),  # footprints without ramps, or without top
        (24, np.linspace(-30, 331, 9), 0.5, 130),  # a second block of channels
        (3, np.array([33.0]), 1.0, 1),
    ],
)
def test_ray_sums_are_the_cpus_and_the_two_are_transposes(program, count, angles, step, channels):
    projector = geometry(count, angles, step)
    volume, rays, forward, back = both(projector, ShimCard(program), channels)
    np.testing.assert_allclose(forward, projector.forward(volume), rtol=0, atol=2e-6 * forward.max())
    np.testing.assert_allclose(back, projector.back(rays), rtol=0, atol=2e-6 * back.max())
    assert not back[~projector.support].any()
    there = np.sum(forward.astype(float) * rays)
    again = np.sum(np.nan_to_num(volume).astype(float) * back)
    assert there == pytest.approx(again, rel=1e-6)


def test_the_same_bits_whatever_the_order_of_the_threads(program):
    projector = geometry(16, np.arange(0, 180, 30.0))
    state = RANDOM.bit_generator.state
    first = both(projector, ShimCard(program, seed=1), 5)
    RANDOM.bit_generator.state = state
    for one, other in zip(first, both(projector, ShimCard(program, seed=2), 5), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def scan() -> tuple[Projector, np.ndarray, np.ndarray]:
    """Two slices of discs, rays without beam, an unmeasured projection, weights, holes, a bin that is never known."""
    projector = geometry(16, np.arange(0, 180, 15.0), 1.0, 0.4)
    sums = disc_phantom.sinogram(disc_phantom.PARTICLES, projector.angles_deg, projector.positions_um - 0.4, 1.0)
    slices = np.stack([sums, sums[:, ::-1]]).astype(np.float32)[..., None] * np.array([1, 2, 3, 4], np.float32)
    weights = (RANDOM.random((2, *projector.rays)) < 0.9) * RANDOM.choice([0.5, 1.0], (2, *projector.rays))
    weights[:, 3] = 0
    slices[weights == 0] = np.nan
    slices[..., 1][RANDOM.random(weights.shape) < 0.2] = np.nan
    slices[..., 2] = np.nan
    return projector, slices, weights


def test_volumes_are_the_cpus(program, scan, monkeypatch):
    monkeypatch.setattr("stream.analyse.tomography.cuda.sirt.TOGETHER", 3)  # and the fourth channel by itself
    projector, slices, weights = scan
    card = CudaProjector(projector, ShimCard(program))
    for sinogram, weight in zip(slices, weights, strict=True):
        expected, trace = sirt.reconstruct(projector, sinogram, weight, 4)
        volume, squares = solve(np, card, sinogram, weight, 4)
        assert np.array_equal(np.isnan(volume), np.isnan(expected))
        assert np.isnan(volume[..., 2]).all()
        assert np.array_equal(np.isfinite(volume[..., 0]), projector.support)
        assert np.nanmin(volume) == 0
        np.testing.assert_allclose(volume, expected, rtol=0, atol=CLOSE * np.nanmax(expected))
        np.testing.assert_allclose(relative(squares), trace, rtol=1e-5)


def test_nothing_measured_and_another_shape(program, scan):
    projector, slices, weights = scan
    card = CudaProjector(projector, ShimCard(program))
    volume, squares = solve(np, card, slices[0], 0 * weights[0], 3)
    assert np.isnan(volume).all()
    assert np.isnan(relative(squares)).all()
    assert squares.shape == (2, 3)
    with pytest.raises(UsageError, match="rays"):
        solve(np, card, slices[0, :, 1:], weights[0], 1)


def test_nvidias_compiler_takes_the_same_source(tmp_path):
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("there is no nvcc: the projector is NOT compiled for a device")
    command = [nvcc, "-std=c++17", "-arch=sm_80", "-Werror", "all-warnings", "-cubin", "-o", str(tmp_path / "cubin")]
    subprocess.run([*command, str(FOLDER / "projector.cu")], check=True)
