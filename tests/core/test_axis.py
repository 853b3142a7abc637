"""The radial axis against the formulas written out: q = 4π sin θ / λ."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.axis import RadialAxis, Unit, from_two_theta, to_two_theta
from stream.core.errors import ConfigError

UNITS: list[Unit] = ["2th_deg", "q_A^-1", "q_nm^-1"]


@given(degrees=st.floats(0.01, 179.0), wavelength=st.floats(0.05, 3.0))
def test_conversions(degrees: float, wavelength: float) -> None:
    q = 4 * math.pi * math.sin(math.radians(degrees) / 2) / wavelength
    for unit, value in zip(UNITS, (degrees, q, 10 * q), strict=True):
        assert float(from_two_theta(math.radians(degrees), unit, wavelength)) == pytest.approx(value, rel=1e-12)
        assert float(to_two_theta(value, unit, wavelength)) == pytest.approx(math.radians(degrees), rel=1e-9)


def test_bragg_s_law() -> None:
    """Si 111 (d = 3.1356 Å) at Cu Kα1 (1.54059 Å) lies at 28.44°."""
    q = 2 * math.pi / 3.1356
    assert np.rad2deg(to_two_theta(q, "q_A^-1", 1.54059)) == pytest.approx(28.44, abs=0.005)


def test_beyond_backscattering_there_is_nothing() -> None:
    limit = 4 * math.pi / 1.5
    found = to_two_theta([limit * 0.999, limit * 1.001], "q_A^-1", 1.5)
    assert np.isfinite(found).tolist() == [True, False]


@pytest.mark.parametrize("unit", UNITS)
def test_bins(unit: Unit) -> None:
    axis = RadialAxis(unit, 1.0, 6.0, 100, 0.5)
    assert axis.step == pytest.approx(0.05)
    np.testing.assert_allclose(axis.edges, np.linspace(1.0, 6.0, 101))
    np.testing.assert_allclose(axis.centers, (axis.edges[:-1] + axis.edges[1:]) / 2)
    np.testing.assert_allclose(axis.two_theta, to_two_theta(axis.centers, unit, 0.5))
    assert axis.two_theta_edges.shape == (101,)
    assert RadialAxis(**axis.as_dict()) == axis


@pytest.mark.parametrize(("low", "high", "bins"), [(2, 2, 10), (3, 2, 10), (1, 2, 0), (math.nan, 2, 10)])
def test_an_empty_axis_is_refused(low: float, high: float, bins: int) -> None:
    with pytest.raises(ConfigError, match=r"integration\.range"):
        RadialAxis("2th_deg", low, high, bins, 1.0)


@pytest.mark.parametrize(("unit", "high", "most"), [("2th_deg", 200.0, "180"), ("q_A^-1", 20.0, "12.5664")])
def test_nothing_scatters_further_than_straight_back(unit: Unit, high: float, most: str) -> None:
    """q = 4π / λ, of 1 Å."""
    with pytest.raises(ConfigError, match=f"scattering straight back is at {most}"):
        RadialAxis(unit, 1.0, high, 10, 1.0)


@pytest.mark.parametrize("unit", ["2th_deg", "q_A^-1", "q_nm^-1"])
def test_spacings_are_those_of_the_ends(unit: Unit) -> None:
    """2θ of 10° to 30° at 1 Å: d = λ / 2 sinθ = 5.737 and 1.932 Å; infinite at the beam."""
    low, high = (float(from_two_theta(np.deg2rad(angle), unit, 1.0)) for angle in (10.0, 30.0))
    assert RadialAxis(unit, low, high, 10, 1.0).spacings == pytest.approx((1.93185, 5.73686), abs=1e-5)
    assert RadialAxis(unit, 0.0, high, 10, 1.0).spacings == (pytest.approx(1.93185, abs=1e-5), np.inf)
