"""SIRT on sinograms that were not made with our projector: against the truth and against ASTRA."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from helpers import disc_phantom
from helpers.astra_reference import astra_sirt

from stream.analyse.tomography.progressive import ProgressiveSirt, fading
from stream.analyse.tomography.projector import Projector
from stream.analyse.tomography.sirt import reconstruct
from stream.core.errors import UsageError

REFERENCE = Path(__file__).parents[1] / "data" / "astra_sirt.npz"
COUNT, ANGLES = 48, np.arange(0, 180, 4.0)
POSITIONS = np.arange(COUNT) - (COUNT - 1) / 2
ALL = np.ones((len(ANGLES), COUNT), np.bool_)
TRUTH = disc_phantom.image(disc_phantom.PARTICLES, COUNT, 1.0)
DATA = disc_phantom.sinogram(disc_phantom.PARTICLES, ANGLES, POSITIONS, 1.0).astype(np.float32)


@pytest.fixture
def projector():
    return Projector(ANGLES, POSITIONS, 0.0, threads=2)


def error(volume: np.ndarray) -> float:
    """Root mean square difference from the truth, in units of the truth's."""
    inside = np.isfinite(volume)
    return float(np.sqrt(np.mean((volume - TRUTH)[inside] ** 2) / np.mean(TRUTH[inside] ** 2)))


def test_finds_the_phantom_per_micrometre(projector):
    volume, residual = reconstruct(projector, DATA[..., None], ALL, 200)
    assert error(volume[..., 0]) < 0.12
    assert np.median(volume[22:31, 26:34, 0][TRUTH[22:31, 26:34] == 1.0]) == pytest.approx(1.0, rel=0.03)
    assert residual[0] == 1.0
    assert np.all(np.diff(residual) < 0)
    assert np.array_equal(np.isnan(volume[..., 0]), ~projector.support)


@pytest.mark.parametrize("kind", ["strip", "linear"])
def test_same_image_as_astra(projector, kind):
    theirs = np.load(REFERENCE)[kind]
    ours = reconstruct(projector, DATA[..., None], ALL, 100)[0][..., 0]
    inside = projector.support
    difference = np.sqrt(np.mean((ours - theirs)[inside] ** 2) / np.mean(theirs[inside] ** 2))
    assert difference < (0.01 if kind == "strip" else 0.04)  # Joseph's weights are another model of the beam
    assert error(ours) < 1.001 * error(np.where(inside, theirs, np.nan))


@pytest.mark.parametrize("kind", ["strip", "linear"])
def test_the_stored_images_are_astras(projector, kind):
    pytest.importorskip(
        "astra", reason="astra-toolbox is not installed; its stored images are used (make bench has it)"
    )
    theirs = astra_sirt(kind, DATA, ANGLES, projector.support)
    np.testing.assert_allclose(np.load(REFERENCE)[kind], theirs, atol=1e-5 * theirs.max())


def test_missing_rays_do_not_pull_towards_zero(projector):
    measured = np.random.default_rng(3).random(ALL.shape) > 0.3
    holes = np.where(measured, DATA, np.nan)[..., None]
    weighted = reconstruct(projector, holes, measured, 200)[0][..., 0]
    filled = reconstruct(projector, np.nan_to_num(holes), ALL, 200)[0][..., 0]
    inside = projector.support
    assert weighted[inside].sum() == pytest.approx(TRUTH[inside].sum(), rel=0.01)
    assert filled[inside].sum() < 0.8 * TRUTH[inside].sum()
    assert error(weighted) < 0.2 < error(filled)


def test_a_ray_of_weight_zero_may_hold_anything(projector):
    measured = np.random.default_rng(4).random(ALL.shape) > 0.1
    garbage = np.where(measured, DATA, 1e6).astype(np.float32)[..., None]
    ours = reconstruct(projector, garbage, measured, 20)[0]
    assert np.array_equal(ours, reconstruct(projector, DATA[..., None], measured, 20)[0], equal_nan=True)


def test_nan_bins_are_no_zeros(projector):
    data = np.stack([DATA, DATA, DATA], axis=-1)
    data[np.random.default_rng(5).random(ALL.shape) < 0.2, 1] = np.nan
    data[..., 2] = np.nan
    volume, residual = reconstruct(projector, data, ALL, 200)
    assert error(volume[..., 1]) < 0.17
    assert np.isnan(volume[..., 2]).all()
    assert np.isfinite(residual).all()


def test_bits_depend_on_neither_threads_nor_neighbouring_channels():
    rng = np.random.default_rng(6)
    data = DATA[..., None] * rng.random(70, np.float32) + rng.random((*DATA.shape, 70), np.float32)
    measured = rng.random(DATA.shape) > 0.1
    one, two = (Projector(ANGLES, POSITIONS, 0.2, threads=n) for n in (1, 2))
    volume, residual = reconstruct(one, data, measured, 7)
    again, same = reconstruct(two, data, measured, 7)
    assert np.array_equal(volume, again, equal_nan=True)
    assert np.array_equal(residual, same)
    part = np.ascontiguousarray(data[..., 60:])
    assert np.array_equal(reconstruct(two, part, measured, 7)[0], volume[..., 60:], equal_nan=True)


def test_progressive_in_any_order_comes_to_the_offline_image(projector):
    offline = reconstruct(projector, DATA[..., None], ALL, 300)[0][..., 0]
    live = ProgressiveSirt(projector, 1)
    for chunk in np.array_split(np.random.default_rng(7).permutation(DATA.size), 10):
        angle, position = np.unravel_index(chunk, DATA.shape)
        live.add_many(angle, position, DATA[angle, position][:, None])
        live.iterate(20)
    live.iterate(100)
    inside = projector.support
    assert error(live.volume[..., 0]) < 1.25 * error(offline)
    difference = (live.volume[..., 0] - offline)[inside]
    assert np.sqrt(np.mean(difference**2) / np.mean(offline[inside] ** 2)) < 0.07
    assert live.residual < 0.03


def test_progressive_from_complete_data_is_reconstruct_bit_for_bit(projector):
    live = ProgressiveSirt(projector, 1)
    angle, position = np.indices(DATA.shape).reshape(2, -1)
    live.add_many(angle, position, DATA.reshape(-1, 1))
    trace = live.iterate(5)
    volume, residual = reconstruct(projector, DATA[..., None], ALL, 5)
    assert np.array_equal(live.volume, volume, equal_nan=True)
    assert np.array_equal(trace, residual)


def test_parts_of_a_round_go_through_all_sets_in_turn(projector):
    rounds = [ProgressiveSirt(projector, 1, sets=3) for _ in range(2)]
    for live in rounds:
        live.add_many(*np.indices(DATA.shape).reshape(2, -1), DATA.reshape(-1, 1))
        assert live.round == 3
    for steps in (1, 1, 4):
        rounds[0].iterate(steps)
    rounds[1].iterate(6)
    assert np.array_equal(rounds[0].volume, rounds[1].volume, equal_nan=True)
    plain = reconstruct(projector, DATA[..., None], ALL, 4)[0]  # a round comes as far as three iterations
    assert error(rounds[0].volume[..., 0]) < error(plain[..., 0])


def test_coverage_grows_and_takes_back(projector):
    live = ProgressiveSirt(projector, 2)
    assert np.nanmax(live.coverage()) == 0
    positions = range(COUNT)
    for angle in range(len(ANGLES) // 3):
        live.add_many([angle] * COUNT, positions, np.ones((COUNT, 2)))
    assert live.coverage()[24, 24] == pytest.approx(1 / 3, abs=1e-3)
    assert np.isnan(live.coverage()[0, 0])
    live.add_many([0] * COUNT, positions, np.ones((COUNT, 2)), 0.0)
    assert live.coverage()[24, 24] == pytest.approx(14 / 45, abs=1e-3)
    full = ProgressiveSirt(projector, 1)
    full.add_many(*np.indices(DATA.shape).reshape(2, -1), DATA.reshape(-1, 1))
    assert np.nanmin(full.coverage()) == pytest.approx(1.0)


def test_iterations_that_fit_into_a_time_are_told_from_the_latest(projector):
    live = ProgressiveSirt(projector, 1)
    live.add(3, 4, [1.0])
    assert live.affordable(1.0) == 1
    live.iterate(1)  # compiles
    started = time.perf_counter()
    live.iterate(20)
    each = (time.perf_counter() - started) / 20
    assert live.affordable(0.0) == 0
    assert live.affordable(10 * each) == pytest.approx(10, abs=3)


def test_channels_turn_into_others_and_the_volume_stays_warm(projector):
    """SIRT without the constraint is linear: turned halfway it comes to what turned channels come to."""
    rng = np.random.default_rng(8)
    data = DATA[..., None] * rng.random(3, np.float32) + rng.random((*DATA.shape, 3), np.float32)
    matrix = rng.standard_normal((5, 3)).astype(np.float32)
    lives = [ProgressiveSirt(projector, n, nonnegative=False) for n in (3, 5)]
    angle, position = np.indices(DATA.shape).reshape(2, -1)
    for live, channels in zip(lives, (data, data @ matrix.T), strict=True):
        live.add_many(angle, position, channels.reshape(DATA.size, -1))
        live.iterate(5)
    lives[0].transform(matrix)
    lives[0].iterate(5)
    lives[1].iterate(5)
    inside = projector.support
    np.testing.assert_allclose(lives[0].volume[inside], lives[1].volume[inside], atol=1e-4)
    assert np.isnan(lives[0].volume[~inside]).all()


def test_a_checkerboard_fades_by_half_and_nothing_is_lost(projector):
    """As no ray tells of it."""
    iterations, sets = 60, 6
    live = ProgressiveSirt(projector, 1, nonnegative=False, sets=sets, diffusion=fading(sets, iterations))
    live.add(0, 0, [np.nan])
    y, x = np.indices((COUNT, COUNT))
    live.volume[..., 0] = np.where(projector.support, 3.0 + (-1.0) ** (y + x), np.nan)
    before = np.nansum(live.volume)
    live.iterate(iterations // sets)
    middle = live.volume[20:28, 20:28, 0]
    assert np.ptp(middle) == pytest.approx(1.0, rel=1e-3)
    assert np.nansum(live.volume) == pytest.approx(before, rel=1e-6)
    assert np.array_equal(np.isnan(live.volume[..., 0]), ~projector.support)


def test_refuses_a_sinogram_of_another_scan(projector):
    with pytest.raises(UsageError, match=r"\(45, 48\) rays"):
        reconstruct(projector, DATA[:, 1:, None], ALL, 1)
