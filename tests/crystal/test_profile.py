"""The bin-averaged Voigt against scipy on a fine grid."""

import numpy as np
import pytest
from scipy.special import voigt_profile, wofz

from stream.analyse.crystal.profile import faddeeva, gauss_legendre, voigt_bins

EDGES = np.linspace(0, 1, 501)


def averaged(center: float, sigma: float, gamma: float, fine: int = 60) -> np.ndarray:
    grid = np.linspace(0, 1, 500 * fine + 1)
    return voigt_profile((grid[1:] + grid[:-1]) / 2 - center, sigma, gamma).reshape(500, fine).mean(axis=1)


@pytest.mark.parametrize(
    ("sigma", "gamma"), [(0.01, 0.01), (0.01, 0.0), (0.001, 0.02), (0.002, 0.001), (0.0008, 0.0008)]
)
def test_values_and_derivatives(sigma: float, gamma: float) -> None:
    nodes, weights = gauss_legendre(0.002, 2.355 * sigma + gamma)
    value, by_center, by_sigma, by_gamma = (np.empty(500) for _ in range(4))
    voigt_bins(EDGES, nodes, weights, 0.5013, sigma, gamma, value, by_center, by_sigma, by_gamma)

    def slope(**step: float) -> np.ndarray:
        at = {"center": 0.5013, "sigma": sigma, "gamma": gamma}
        up = averaged(**{k: v + step.get(k, 0) for k, v in at.items()})
        down = averaged(**{k: v - step.get(k, 0) for k, v in at.items()})
        return (up - down) / (2 * next(iter(step.values())))

    expected = [averaged(0.5013, sigma, gamma), slope(center=1e-6), slope(sigma=1e-6)]
    found = [value, by_center, by_sigma]
    if gamma > 0:
        expected.append(slope(gamma=1e-6))
        found.append(by_gamma)
    for ours, true in zip(found, expected, strict=True):
        assert np.abs(ours - true).max() < 3e-3 * np.abs(true).max()
    assert np.abs(value - expected[0]).max() < 2e-4 * value.max()


def test_faddeeva() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-20, 20, 500), 10 ** rng.uniform(-5, 1, 500)
    ours = [complex(*faddeeva(a, b)) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(ours, wofz(x + 1j * y), atol=1e-8)


def test_a_bin_wider_than_the_line_keeps_its_area() -> None:
    edges = np.linspace(-1, 1, 9)
    nodes, weights = gauss_legendre(0.25, 2.355 * 0.05)
    out = [np.empty(8) for _ in range(4)]
    voigt_bins(edges, nodes, weights, 0.1, 0.05, 0.0, *out)
    assert out[0].sum() * 0.25 == pytest.approx(1, abs=2e-3)
