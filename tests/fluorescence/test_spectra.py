"""Spectra into elements: tables, a spectrum made line by line by hand, and how errors come out of many draws."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
import xraydb
from threadpoolctl import threadpool_limits

from stream.analyse.fluorescence.calibrate import refine
from stream.analyse.fluorescence.fit import fit_spectrum
from stream.analyse.fluorescence.lines import element_lines
from stream.analyse.fluorescence.response import Response, escape_shares
from stream.core.errors import ConfigError

Floats = npt.NDArray[np.float64]
pytestmark = pytest.mark.usefixtures("one_blas_thread")
BEAM = 18.4
ELEMENTS = [element_lines(name, BEAM) for name in ("Mn", "Co", "Ni")]
CHANNELS = np.arange(460.0, 900.0)
TRUE = Response(0.013, 0.01002, 0.05)


@pytest.fixture(scope="module")
def one_blas_thread() -> Iterator[None]:
    """As the process has it that analyses."""
    with threadpool_limits(1, "blas"):
        yield


def escaping(energy: float) -> float:
    """Share of photons (eV) that silicon loses, by integrating over depth and direction of the silicon's photon."""
    inwards, outwards = xraydb.mu_elam("Si", energy), xraydb.mu_elam("Si", 1739.8)
    nodes, weights = np.polynomial.legendre.leggauss(400)
    cosine, weights = (nodes + 1) / 2, weights / 2
    depths = inwards / (inwards + outwards / cosine)  # ∫ of μ e^(-μt) e^(-μ't/cos) over the depth t
    edge = xraydb.xray_edge("Si", "K")
    return float(edge.fyield * (1 - 1 / edge.jump_ratio) * 0.5 * (weights @ depths))


def by_hand(amounts: dict[str, float], background: float = 1.0) -> Floats:
    """Expected counts, line by line: σ from FWHM² = noise² + 5.545·F·ε·E, and what escapes."""
    energy = 0.013 + 0.01002 * CHANNELS
    spectrum = background * (30 * np.exp(-(energy - 4.5) / 2) + 3)
    for element, amount in amounts.items():
        lines = [line for line in xraydb.xray_lines(element).values() if line.initial_level == "K"]
        whole = sum(line.intensity for line in lines)
        for line in lines:
            lost = escaping(line.energy)
            for share, place in ((1 - lost, line.energy / 1000), (lost, line.energy / 1000 - 1.7398)):
                sigma = np.sqrt(5.545 * 0.05**2 + 5.545 * 0.115 * 0.00366 * line.energy / 1000) / 2.3548
                density = np.exp(-0.5 * ((energy - place) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
                spectrum += amount * line.intensity / whole * share * density * 0.01002
    return spectrum


def test_lines_are_those_of_the_tables() -> None:
    nickel = element_lines("Ni", BEAM)
    assert nickel.shares.sum() == pytest.approx(1)
    assert nickel.energies @ nickel.shares == pytest.approx(7.59, abs=0.02)
    beta = nickel.shares[nickel.energies > 8].sum() / nickel.shares[nickel.energies < 8].sum()
    assert beta == pytest.approx(0.1377, rel=0.08)  # Kβ/Kα of Ni, Scofield 1974
    assert element_lines("Pb", BEAM).energies.max() < 16  # its K edge is beyond the beam
    with pytest.raises(ConfigError, match="'Xx'"):
        element_lines("Xx", BEAM)
    with pytest.raises(ConfigError, match="H"):
        element_lines("H", BEAM)


def test_resolution_and_escape_are_those_of_silicon() -> None:
    assert 2.3548 * Response(0, 0.01).width(5.8988) == pytest.approx(0.157, abs=0.003)
    for energy in (2.3, 5.8988, 9.0):
        assert escape_shares(np.array([energy]))[0] == pytest.approx(escaping(1000 * energy), rel=1e-3)
    assert escape_shares(np.array([1.5]))[0] == 0
    assert (np.diff(escape_shares(np.array([2.0, 4.0, 6.0, 8.0]))) < 0).all()


def test_calibration_and_net_intensities_of_overlapping_elements() -> None:
    amounts = {"Mn": 4e4, "Co": 2e4, "Ni": 3e5}
    counts = np.random.default_rng(3).poisson(by_hand(amounts, 20.0)).astype(float)
    found = refine(counts, counts, CHANNELS, ELEMENTS, Response(0.0, 0.01))
    np.testing.assert_allclose(
        found.energies(np.array([590.0, 750.0])), TRUE.energies(np.array([590.0, 750.0])), atol=2e-3
    )
    assert found.noise == pytest.approx(TRUE.noise, abs=2e-3)
    fit = fit_spectrum(counts, counts, CHANNELS, ELEMENTS, found)
    assert fit.chi_square < 1.4
    np.testing.assert_allclose(fit.net, list(amounts.values()), rtol=0.02)


def test_weak_spectra_leave_the_energies_alone() -> None:
    counts = np.random.default_rng(3).poisson(by_hand({"Mn": 40, "Ni": 300})).astype(float)
    start = Response(0.0, 0.01)
    assert refine(counts, counts, CHANNELS, ELEMENTS, start) is start


def test_few_counts_are_measured_without_bias_and_with_true_errors() -> None:
    many = by_hand({"Mn": 4e4, "Co": 2e4, "Ni": 3e5}, 20.0)
    fit = fit_spectrum(many, many, CHANNELS, ELEMENTS, TRUE)
    amounts = np.array([40.0, 0.0, 150.0])
    expected = by_hand({"Mn": 40.0, "Ni": 150.0}, 0.05)
    draws = np.random.default_rng(5).poisson(expected, (4000, len(expected)))
    net, errors = fit.measure(draws), np.sqrt(fit.variances(draws))
    spread = net.std(axis=0)
    np.testing.assert_allclose(net.mean(axis=0), amounts, atol=4 * spread.max() / np.sqrt(4000) + 1.0)
    np.testing.assert_allclose(np.sqrt((errors**2).mean(axis=0)), spread, rtol=0.06)
