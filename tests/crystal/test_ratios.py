"""Battery users' ratios, against gemmi's d spacings and the structure's own intensities."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest
from scipy.special import voigt_profile
from synthetic import AXIS, instrument, lines

from stream.analyse.crystal.fit import PatternFit
from stream.analyse.crystal.maps import FitResult
from stream.analyse.crystal.model import Crystal
from stream.analyse.crystal.structure import load_structure
from stream.analyse.ratios import ratio_maps, ratio_units
from stream.core.axis import RadialAxis

LAYERED = Crystal("layered", load_structure("nmc622"))
SPINEL = Crystal("spinel", load_structure("lnmo-spinel"))
CELL = (2.8810, 2.8810, 14.3100)


@pytest.fixture(scope="module")
def result() -> FitResult:
    """A layered voxel with spinel under its 003 and 104, one of spinel, and one that is not there."""
    layered = lines("nmc622", CELL, strain=8e-4, size=150)
    spinel = lines("lnmo-spinel", (8.17, 8.17, 8.17), strain=8e-4, size=120)
    spinel *= layered.sum() / spinel.sum()
    mixed, only = layered + 0.05 * spinel, 0.02 * layered + spinel
    patterns = np.stack([mixed, only, 0 * mixed]) + 0.01 * layered.max()
    variance = np.full_like(mixed, (1e-4 * layered.max()) ** 2)
    return PatternFit(AXIS, [LAYERED, SPINEL], instrument()).fit(patterns, variance)


def angle(hkl: tuple[int, int, int]) -> float:
    """2θ in degrees, by gemmi."""
    d = gemmi.UnitCell(*CELL, 90, 90, 120).calculate_d(hkl)
    return float(2 * np.rad2deg(np.arcsin(AXIS.wavelength / 2 / d)))


def test_the_ratios_of_a_layered_phase_with_spinel_under_its_lines(result: FitResult) -> None:
    found = ratio_maps(LAYERED, AXIS, result.phases["layered"])
    reflections = LAYERED.structure.reflections(1.2)
    strength = reflections.multiplicity * reflections.f_squared
    areas = []
    for hkl in ((0, 0, 3), (1, 0, 4)):
        theta = np.deg2rad(angle(hkl)) / 2
        areas.append(strength[(reflections.hkl == hkl).all(axis=1)][0] / (np.sin(theta) ** 2 * np.cos(theta)))
    assert found["c_over_a_layered"][0] == pytest.approx(CELL[2] / CELL[0], rel=2e-5)
    assert found["splitting_018_110_layered"][0] == pytest.approx(angle((1, 1, 0)) - angle((0, 1, 8)), abs=1e-3)
    assert found["ratio_003_104_layered"][0] == pytest.approx(areas[0] / areas[1], rel=0.01)


def test_what_is_tied_or_absent_has_no_ratio(result: FitResult) -> None:
    found = ratio_maps(LAYERED, AXIS, result.phases["layered"])
    assert np.isnan(found["ratio_003_104_layered"][1:]).all()
    assert np.isnan(found["c_over_a_layered"][2])


def test_only_layered_phases_with_both_lines_on_the_axis_have_them() -> None:
    assert ratio_units(SPINEL, AXIS) == {}
    assert ratio_units(LAYERED, AXIS) == {
        "c_over_a_layered": "1",
        "ratio_003_104_layered": "1",
        "splitting_018_110_layered": "degree",
    }
    short = RadialAxis("2th_deg", 4.0, 20.0, 1100, AXIS.wavelength)
    assert set(ratio_units(LAYERED, short)) == {"c_over_a_layered", "ratio_003_104_layered"}


@pytest.mark.parametrize("left", [1.0, 0.3, 0.0])
def test_the_superlattice_line_is_told_whatever_is_left_of_it(left: float) -> None:
    """Of Li-rich LLNMO, whose 020 vanishes with cycling."""
    rich = Crystal("rich", load_structure("llnmo"))
    reflections = rich.structure.reflections(1.2)
    area = reflections.intensity(AXIS.wavelength)
    weak = (reflections.hkl == (0, 2, 0)).all(axis=1)
    full = area[weak][0] / area[(reflections.hkl == (0, 0, 1)).all(axis=1)][0]
    two_theta = reflections.two_theta(AXIS.wavelength)
    sigma, gamma = instrument().widths(two_theta)
    beta = 0.9 * AXIS.wavelength / 1500 / np.cos(two_theta / 2) + 4 * 6e-4 * np.tan(two_theta / 2)
    grid = np.deg2rad(np.linspace(AXIS.low, AXIS.high, AXIS.bins * 8 + 1))
    grid = (grid[1:] + grid[:-1]) / 2
    shapes = zip(two_theta, np.where(weak, left, 1.0) * area, sigma, gamma + beta / np.pi, strict=True)
    fine = sum(strength * voigt_profile(grid - t, s, g) for t, strength, s, g in shapes)
    pattern = fine.reshape(AXIS.bins, 8).mean(axis=1)
    pattern = pattern / pattern.max() + 0.01
    result = PatternFit(AXIS, [rich], instrument()).fit(pattern[None], np.full_like(pattern, 1e-8))
    found = ratio_maps(rich, AXIS, result.phases["rich"])
    assert set(found) == set(ratio_units(rich, AXIS)) == {"superlattice_020_rich"}
    assert found["superlattice_020_rich"][0] == pytest.approx(left * full, rel=0.02, abs=1e-3 * full)
