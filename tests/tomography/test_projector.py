"""The projector against theory (chords, areas, the geometry's sign rules) and against ASTRA."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import disc_phantom
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.analyse.tomography.projector import Projector
from stream.core.errors import UsageError

HALF_TURN = np.arange(0, 180, 5.0)


def centred(count: int, step: float = 1.0) -> np.ndarray:
    return (np.arange(count) - (count - 1) / 2) * step


@settings(max_examples=25, deadline=None)
@given(
    angles=st.lists(st.floats(-360, 360), min_size=1, max_size=7),
    count=st.integers(3, 40),
    step=st.sampled_from([1.0, -1.0, 0.25, 2.5]),
    shift=st.floats(-3, 3),
    channels=st.sampled_from([1, 3, 64, 70]),
)
def test_back_is_the_transpose_of_forward(angles, count, step, shift, channels):
    projector = Projector(angles, centred(count, step) + 7.0, 7.0 + shift * step, threads=2)
    rng = np.random.default_rng(count)
    x = rng.random((count, count, channels), np.float32)
    y = rng.random((len(angles), count, channels), np.float32)
    ax = np.vdot(projector.forward(x).astype(float), y)
    assert ax == pytest.approx(np.vdot(x, projector.back(y).astype(float)), rel=1e-6)


def test_sums_of_the_papers_size_are_as_exact():
    """Each is a sum of up to 560 voxels, or 180 rays, in single precision."""
    projector = Projector(np.arange(180.0), centred(560), 0.3, threads=2)
    rng = np.random.default_rng(4)
    x, y = rng.random((560, 560, 2), np.float32), rng.random((180, 560, 2), np.float32)
    ax = np.vdot(projector.forward(x).astype(float), y)
    assert ax == pytest.approx(np.vdot(x, projector.back(y).astype(float)), rel=1e-6)


@pytest.mark.parametrize("step", [1.0, -1.0, 2.0])
def test_ray_sums_of_a_disc_are_its_chords(step):
    p = centred(80, step)
    disc = [(5.0 * step, -8.0 * step, 15.0 * abs(step), 1.0)]
    volume = disc_phantom.image(disc, 80, step).astype(np.float32)[..., None]
    rays = Projector(HALF_TURN, p + 3.0, 3.0).forward(volume)[..., 0]
    chords = disc_phantom.sinogram(disc, HALF_TURN, p, step)
    assert np.abs(rays - chords).max() < 0.05 * chords.max()  # voxels at the disc's edge are squares
    assert np.sqrt(np.mean((rays - chords) ** 2)) < 0.01 * chords.max()
    areas = rays.sum(axis=1) * abs(step)
    assert areas == pytest.approx(np.full(len(areas), np.pi * 225 * step**2), rel=2e-3)


@pytest.mark.parametrize("step", [1.0, -1.0])
@pytest.mark.parametrize(
    ("omega", "p"), [(0.0, 6.0), (90.0, -4.0), (45.0, (6.0 - 4.0) / np.sqrt(2)), (180.0, -6.0), (-90.0, 4.0)]
)
def test_a_point_appears_where_x_cos_plus_y_sin_says(omega, p, step):
    positions = centred(31, step)
    volume = np.zeros((31, 31, 1), np.float32)
    volume[int(15 - 4 / step), int(15 + 6 / step)] = 1.0  # x = 6 µm, y = -4 µm
    ray = Projector([omega], positions + 100.0, 100.0).forward(volume)[0, :, 0]
    assert np.average(positions, weights=ray) == pytest.approx(p, abs=0.05)  # strips are one step wide
    assert ray.sum() == pytest.approx(1.0, rel=1e-6)


def test_footprint_at_0_and_45_degrees():
    volume = np.zeros((5, 5, 1), np.float32)
    volume[2, 2] = 1.0
    rays = Projector([0.0, 45.0], centred(5), 0.0).forward(volume)[..., 0]
    tail = (np.sqrt(2) / 2 - 0.5) ** 2  # triangle of the square's corner beyond the strip
    assert rays[0] == pytest.approx([0, 0, 1, 0, 0], abs=1e-6)
    assert rays[1] == pytest.approx([0, tail, 1 - 2 * tail, tail, 0], abs=1e-6)


def test_row_sums_are_paths_through_the_field_of_view():
    projector = Projector(HALF_TURN, centred(101, 0.5), 0.0)
    chords = 2 * np.sqrt(25.25**2 - centred(101, 0.5) ** 2)
    assert np.abs(projector.row_sums - chords)[:, 5:-5].max() < 1.0
    weights = np.random.default_rng(0).random(projector.rays)
    total = np.vdot(weights, projector.row_sums)
    assert projector.column_sums(weights).sum() == pytest.approx(total, rel=1e-5)


def test_threads_do_not_change_a_bit():
    rng = np.random.default_rng(1)
    one, two = (Projector(HALF_TURN, centred(50), 0.3, threads=n) for n in (1, 2))
    x, y = rng.random((50, 50, 5), np.float32), rng.random((36, 50, 5), np.float32)
    assert np.array_equal(one.forward(x), two.forward(x))
    assert np.array_equal(one.back(y), two.back(y))


def test_few_channels_have_the_bits_that_they_have_among_many():
    rng = np.random.default_rng(3)
    projector = Projector(HALF_TURN, centred(50), 0.3)
    x, y = rng.random((50, 50, 70), np.float32), rng.random((36, 50, 70), np.float32)
    assert np.array_equal(projector.forward(x[..., 2:7]), projector.forward(x)[..., 2:7])
    assert np.array_equal(projector.back(y[..., 2:7]), projector.back(y)[..., 2:7])


def test_agrees_with_astras_strip_projector():
    astra = pytest.importorskip("astra")
    count, angles = 48, np.array([0.0, 3.0, 30.0, 45.0, 90.0, 100.0, 163.0])
    projector = Projector(angles, centred(count), 0.0)
    x = np.random.default_rng(2).random((count, count), np.float32) * projector.support
    geometry = astra.create_proj_geom("parallel", 1.0, count, np.deg2rad(angles))
    strip = astra.create_projector("strip", geometry, astra.create_vol_geom(count, count))
    ident, theirs = astra.create_sino(x[::-1], strip)  # ASTRA's first row is its largest y
    astra.data2d.delete(ident)
    astra.projector.delete(strip)
    assert projector.forward(x[..., None])[..., 0] == pytest.approx(theirs, abs=2e-4 * float(theirs.max()))


@pytest.mark.parametrize("positions", [[0.0, 1.0], [0.0, 1.0, 3.0], [2.0, 2.0, 2.0]])
def test_refuses_positions_that_are_no_grid(positions):
    with pytest.raises(UsageError, match=r"three positions|equidistant"):
        Projector([0.0], positions, 0.0)
