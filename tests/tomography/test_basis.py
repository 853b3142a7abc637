"""The spectral basis against the singular vectors of the patterns it is made of, and what becomes of a weak phase."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import disc_phantom

from stream.analyse.tomography.basis import MOST, RANK, Basis, Moments, find_basis
from stream.analyse.tomography.projector import Projector
from stream.analyse.tomography.spectral import SpectralSlice
from stream.core.errors import UsageError

COUNT, BINS, COUNTS = 48, 120, 20.0
ANGLES = np.arange(0, 180, 1.5)
POSITIONS = np.arange(COUNT) - (COUNT - 1) / 2
AXIS = np.linspace(0, 1, BINS)


def peak(center: float, width: float = 0.01) -> np.ndarray:
    return np.exp(-0.5 * ((AXIS - center) / width) ** 2)


GLASS = 0.3 * peak(0.4, 0.15)
PHASE = peak(0.3) + 0.5 * peak(0.55) + 0.2 * peak(0.8)
RARE = [(-9.0, 4.0, 2.6, 1.0)]  # 1 % of the voxels
AIR = 0.2  # in every ray


def paths() -> np.ndarray:
    """(angle, position, phase): glass, the phase, the rare one; chords of discs."""
    discs = disc_phantom.PARTICLES
    parts = (discs[:2], discs[2:], RARE)
    return np.stack([disc_phantom.sinogram(part, ANGLES, POSITIONS, 1.0) for part in parts], axis=-1)


def scan(rare: np.ndarray, counts: float = COUNTS, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Poisson patterns (angle, position, bin) and their variances."""
    clean = paths() @ np.array([GLASS, PHASE, rare]) + AIR
    patterns = (np.random.default_rng(seed).poisson(clean * counts) / counts).astype(np.float32)
    return patterns, patterns / np.float32(counts)


def moments_of(patterns: np.ndarray, variances: np.ndarray) -> Moments:
    moments = Moments(BINS)
    for rays, noise in zip(patterns, variances, strict=True):
        moments.add(rays, noise, np.ones(len(rays)))
    return moments


def reconstructed(basis: Basis, patterns: np.ndarray, iterations: int = 60) -> np.ndarray:
    """Voxels' patterns (y, x, bin)."""
    part = SpectralSlice(Projector(ANGLES, POSITIONS, 0.0, threads=2), basis)
    angle, position = np.indices(patterns.shape[:2]).reshape(2, -1)
    part.add(angle, position, patterns.reshape(-1, BINS), np.ones(angle.size))
    everywhere = np.arange(part.count)
    for _ in range(iterations // 10):
        part.iterate(10)
        part.constrain(everywhere)
    volume = np.full((COUNT, COUNT, BINS), np.nan, np.float32)
    volume[part.inside] = part.patterns(everywhere)
    return volume


def test_vectors_are_the_singular_vectors_of_the_weighted_patterns():
    patterns, variances = scan(PHASE[::-1])
    basis = find_basis(moments_of(patterns, variances), 6)
    rays = patterns.reshape(-1, BINS).astype(np.float64)
    sigma = np.sqrt(variances.reshape(-1, BINS).mean(axis=0))
    _, singular, vectors = np.linalg.svd(rays / sigma, full_matrices=False)
    np.testing.assert_allclose(basis.strength[:3], singular[:3] ** 2 / len(rays), rtol=1e-4)
    overlap = vectors[:3] @ (basis.analysis[:, :3] * sigma[:, None])
    np.testing.assert_allclose(np.abs(np.diag(overlap)), 1, atol=1e-4)
    assert basis.structures == 4  # air, glass and two phases
    np.testing.assert_allclose(basis.patterns(basis.coefficients(patterns[20])), patterns[20], atol=6 * sigma.max())


def test_noise_is_one_in_every_coefficient():
    patterns, _ = scan(PHASE[::-1], seed=1)
    again, variances = scan(PHASE[::-1], seed=2)
    basis = find_basis(moments_of(again, variances), 8)
    difference = basis.coefficients((patterns - again).reshape(-1, BINS)) / np.sqrt(2)
    np.testing.assert_allclose(difference.std(axis=0)[4:], 1, atol=0.15)


def test_a_weak_peak_in_one_voxel_of_a_hundred_survives():
    """Its height is one standard deviation of a ray's noise, in the rays that meet it."""
    at, beside = AXIS.searchsorted(0.66), np.r_[AXIS.searchsorted(0.61) : AXIS.searchsorted(0.63)]
    noise = np.sqrt(scan(0 * AXIS)[1][..., at].mean())
    rare = noise / 4.0 * peak(0.66)  # a ray meets four micrometres of it on average
    patterns, variances = scan(rare)
    basis = find_basis(moments_of(patterns, variances), RANK)
    assert basis.left_out < 1e-2
    found = disc_phantom.image(RARE, COUNT, 1.0)
    volume = reconstructed(basis, patterns)
    contrast = volume[..., at - 1 : at + 2].mean(axis=-1) - volume[..., beside].mean(axis=-1)
    inside, far = found > 0.9, np.isfinite(contrast) & (found == 0)
    seen, truth = contrast[inside].mean(), (rare[at - 1 : at + 2].mean() - rare[beside].mean())
    assert seen == pytest.approx(truth, rel=0.1)
    assert seen > 4 * contrast[far].std() / np.sqrt(inside.sum())


def test_what_a_basis_that_is_too_small_leaves_out_is_told_and_the_rank_grows():
    rng = np.random.default_rng(3)
    spectra = rng.random((70, BINS)) * 20 + 1
    patterns = (rng.poisson(rng.dirichlet(np.ones(70), 8000) @ spectra * 400) / 400).astype(np.float32)
    moments = moments_of(patterns[None], patterns[None] / np.float32(400))
    basis = find_basis(moments, 8)
    assert 70 <= basis.structures < basis.rank <= MOST
    assert (basis.rank + 16) % 64 == 0
    assert basis.left_out < 0.01
    few = find_basis(moments, 8, grows=False)
    assert few.rank == few.structures == 8
    sigma = np.sqrt(patterns.mean(axis=0) / 400)
    strength = np.linalg.svd(patterns / sigma, compute_uv=False) ** 2 / len(patterns)
    assert few.left_out == pytest.approx((strength[8:] - 1).sum() / (strength - 1).sum(), rel=1e-3)
    assert few.worst > 100 * basis.worst


def test_peaks_below_the_noise_of_all_directions_are_found_in_their_bins_and_the_rank_grows():
    rng = np.random.default_rng(5)
    narrow = np.exp(-0.5 * ((np.arange(400) - np.array([[60], [150], [250]])) / 1.2) ** 2)
    there = rng.random((24000, 3)) < 0.05
    patterns = rng.poisson(100 + 12 * there @ narrow).astype(np.float32)
    moments = Moments(400)
    moments.add(patterns, patterns, np.ones(len(patterns)))
    basis = find_basis(moments, 3)  # the mean pattern and two of the peaks have room
    assert basis.structures == 4
    assert basis.rank == RANK
    directions = narrow / np.linalg.norm(narrow, axis=1, keepdims=True)
    held = np.linalg.norm(directions @ (basis.analysis * moments.sigma[:, None]), axis=1)
    assert held.min() > 0.8  # the plain eigenvectors hold 0.57


def test_rays_that_are_taken_back_leave_nothing():
    patterns, variances = scan(PHASE[::-1])
    moments = moments_of(patterns[:30], variances[:30])
    for rays, noise, sign in ((patterns[30:], variances[30:], 1), (patterns[30:], variances[30:], -1)):
        for one, other in zip(rays, noise, strict=True):
            moments.add(one, other, np.ones(COUNT), sign)
    plain = moments_of(patterns[:30], variances[:30])
    np.testing.assert_allclose(moments.second, plain.second, rtol=1e-4)
    assert moments.rays == plain.rays
    assert moments.edge == pytest.approx(plain.edge, rel=0.02)


def test_bins_that_a_ray_lacks_are_no_zeros():
    patterns, variances = scan(PHASE[::-1])
    holes = patterns.copy()
    holes[np.random.default_rng(4).random(holes.shape) < 0.1] = np.nan
    holes[..., 7] = np.nan  # never reached
    basis = find_basis(moments_of(holes, np.where(np.isnan(holes), np.nan, variances)), 8)
    assert np.isnan(basis.synthesis[:, 7]).all()
    assert not basis.analysis[7].any()
    whole = basis.coefficients(np.where(np.isnan(holes), patterns, holes)[20])
    filled = basis.coefficients(holes[20])
    assert np.abs(filled - whole)[:, :3].max() < 4  # standard deviations of a ray's own noise
    assert np.isnan(basis.patterns(filled)[:, 7]).all()


def test_a_volume_turned_into_a_newer_basis_stays():
    patterns, variances = scan(PHASE[::-1])
    early = find_basis(moments_of(patterns[:10], variances[:10]), 8)
    late = find_basis(moments_of(patterns, variances), 12, early)
    part = SpectralSlice(Projector(ANGLES, POSITIONS, 0.0), early)
    angle, position = np.indices(patterns.shape[:2]).reshape(2, -1)
    part.add(angle, position, patterns.reshape(-1, BINS), np.ones(angle.size))
    part.iterate(20)
    everywhere = np.arange(part.count)
    before = part.patterns(everywhere)
    part.follow(late)
    np.testing.assert_allclose(part.patterns(everywhere), before, atol=0.02 * before.max())
    assert part.stale.all()
    part.renew(angle, position, patterns.reshape(-1, BINS))
    assert not part.stale.any()
    fresh = SpectralSlice(Projector(ANGLES, POSITIONS, 0.0), late)
    fresh.add(angle, position, patterns.reshape(-1, BINS), np.ones(angle.size))
    np.testing.assert_allclose(part.sirt.sinogram, fresh.sirt.sinogram, atol=1e-3)


def test_refuses_more_bins_than_moments_can_be_kept_for():
    with pytest.raises(UsageError, match=r"integration\.bins is 9000"):
        Moments(9000)
