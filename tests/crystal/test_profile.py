"""The Voigt behind pixel and bin against scipy on a fine grid."""

import numpy as np
import pytest
from scipy.special import voigt_profile, wofz

from stream.analyse.crystal.profile import faddeeva, voigt_bins

EDGES = np.linspace(0, 1, 501)


EVEN = np.zeros(500)
PIXEL, WEIGHT = np.polynomial.legendre.leggauss(32)


def averaged(center: float, sigma: float, gamma: float, box: float, fine: int = 30) -> np.ndarray:
    """Bins of midpoints, the pixel by Gauss-Legendre."""
    grid = np.linspace(0, 1, 500 * fine + 1)
    grid = (grid[1:] + grid[:-1]) / 2 - center
    behind = sum(w / 2 * voigt_profile(grid - box / 2 * x, sigma, gamma) for x, w in zip(PIXEL, WEIGHT, strict=True))
    return np.asarray(behind).reshape(500, fine).mean(axis=1)


@pytest.mark.parametrize(
    ("sigma", "gamma", "box"),
    [
        (0.01, 0.01, 0.03),
        (0.01, 0.0, 0.002),
        (0.001, 0.02, 0.01),
        (0.002, 0.001, 0.004),
        (0.0008, 0.0008, 0.003),
        (0.004, 0.004, 1e-4),
    ],
)
def test_values_and_derivatives(sigma: float, gamma: float, box: float) -> None:
    value, by_center, by_sigma, by_gamma = (np.empty(500) for _ in range(4))
    for along, by_width in (((1.0, 0.0), by_sigma), ((0.0, 1.0), by_gamma)):
        voigt_bins(EDGES, EVEN, EVEN, box, 0.5013, sigma, gamma, along, value, by_center, by_width)

    def slope(**step: float) -> np.ndarray:
        at = {"center": 0.5013, "sigma": sigma, "gamma": gamma}
        up = averaged(**{k: v + step.get(k, 0) for k, v in at.items()}, box=box)
        down = averaged(**{k: v - step.get(k, 0) for k, v in at.items()}, box=box)
        return (up - down) / (2 * next(iter(step.values())))

    expected = [averaged(0.5013, sigma, gamma, box), slope(center=1e-6), slope(sigma=1e-6)]
    found = [value, by_center, by_sigma]
    if gamma > 0:
        expected.append(slope(gamma=1e-6))
        found.append(by_gamma)
    for ours, true in zip(found, expected, strict=True):
        assert np.abs(ours - true).max() < 1e-3 * np.abs(true).max()
    assert np.abs(value - expected[0]).max() < 1e-4 * value.max()


def test_bins_that_are_filled_unevenly() -> None:
    """What a bin sees lies a sixth of it aside, and is narrower than the bin: corrections of first order."""
    sigma, gamma, box, step = 0.01, 0.003, 0.01, 0.002
    shift, excess = np.full(500, step / 6), np.full(500, -(step**2) / 24)
    found = [np.empty(500) for _ in range(3)]
    voigt_bins(EDGES, shift, excess, box, 0.5013, sigma, gamma, (1.0, 0.0), *found)
    other = averaged(0.5013 - step / 6, np.sqrt(sigma**2 + excess[0]), gamma, box)
    even = averaged(0.5013, sigma, gamma, box)
    assert np.abs(found[0] - other).max() < 0.05 * np.abs(even - other).max()


def test_faddeeva() -> None:
    rng = np.random.default_rng(0)
    for y in 10 ** rng.uniform(-5, 1, 20):
        x, w = rng.uniform(-20, 20, 50), np.empty((4, 50))
        faddeeva(x, y, w)
        np.testing.assert_allclose(w[0] + 1j * w[1], wofz(x + 1j * y), atol=1e-8)


def test_antiderivative_of_faddeeva() -> None:
    nodes, weights = np.polynomial.legendre.leggauss(60)
    for low, high, y in ((-1.0, 2.0, 0.1), (3.0, 8.0, 2.0), (-30.0, -20.0, 1e-3)):
        integral = np.sum(weights * wofz((low + high) / 2 + (high - low) / 2 * nodes + 1j * y)) * (high - low) / 2
        w = np.empty((4, 2))
        faddeeva(np.array([low, high]), y, w)
        assert np.diff(w[2] + 1j * w[3])[0] == pytest.approx(integral, abs=3e-8)


def test_a_bin_wider_than_the_line_keeps_its_area() -> None:
    edges = np.linspace(-1, 1, 9)
    out = [np.empty(8) for _ in range(3)]
    voigt_bins(edges, np.zeros(8), np.zeros(8), 0.01, 0.1, 0.05, 0.0, (1.0, 0.0), *out)
    assert out[0].sum() * 0.25 == pytest.approx(1, abs=1e-6)
