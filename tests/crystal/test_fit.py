"""The whole-pattern fit on patterns whose truth is known."""

import numpy as np
import pytest
from synthetic import AXIS, NODES, PIXEL, WEIGHTS, hump, instrument, lines

from stream.analyse.crystal.fit import Crystal, Hump, PatternFit
from stream.analyse.crystal.reasons import Reason
from stream.analyse.crystal.structure import load_structure
from stream.core.axis import RadialAxis
from stream.core.errors import FitError

LAYERED = Crystal("layered", load_structure("nmc622"))
SPINEL = Crystal("spinel", load_structure("lnmo-spinel"))
CARBON, GLASS = Hump("carbon", 5.5, 1.0), Hump("glass", 10.0, 3.2)
PHASES = [LAYERED, SPINEL, CARBON, GLASS]
CELL = (2.8753 * 1.004, 2.8753 * 1.004, 14.2356 * 1.003)
SPINEL_CELL = (8.165, 8.165, 8.165)
# Scales of equal volumes stand as the inverse squares of the cells' volumes.
EQUAL_VOLUME = (101.923 * 1.004**2 * 1.003 / 8.165**3) ** 2


def fractions(share: float) -> float:
    """Weight fraction of spinel at a volume share, from the densities."""
    heavy = (1 - share) * 290.79 / (101.923 * 1.004**2 * 1.003), share * 1461.54 / 8.165**3
    return heavy[1] / sum(heavy)


def particle(share: float, texture: np.random.Generator | None = None, strain: float = 7.9e-4) -> np.ndarray:
    """Layered and spinel at a volume share, with humps and a background; its strongest bin is 1000."""
    pattern = (1 - share) * lines("nmc622", CELL, strain, 150, texture)
    if share > 0:
        pattern += share * EQUAL_VOLUME * lines("lnmo-spinel", SPINEL_CELL, 9.4e-4, 120, texture)
    pattern *= 1000 / pattern.max()
    return pattern + 60 * hump(5.5, 1.0) + 200 * hump(10.0, 3.2) + 4


@pytest.fixture(scope="module")
def fit() -> PatternFit:
    return PatternFit(AXIS, PHASES, instrument())


def test_noiseless_overlapping_phases(fit: PatternFit) -> None:
    pattern = particle(0.28)[None]
    result = fit.fit(pattern, pattern)
    layered, spinel = result.phases["layered"], result.phases["spinel"]
    assert layered.cell["a"][0] == pytest.approx(CELL[0], rel=1e-5)
    assert layered.cell["c"][0] == pytest.approx(CELL[2], rel=1e-5)
    assert spinel.cell["a"][0] == pytest.approx(8.165, rel=1e-5)
    assert layered.cell_volume[0] == pytest.approx(101.923 * 1.004**2 * 1.003, rel=3e-5)
    assert layered.strain[0] == pytest.approx(7.9e-4, rel=0.02)
    assert spinel.strain[0] == pytest.approx(9.4e-4, rel=0.02)
    assert layered.size[0] == pytest.approx(150, rel=0.1)
    assert spinel.size[0] == pytest.approx(120, rel=0.1)
    assert spinel.fraction[0] == pytest.approx(fractions(0.28), abs=5e-3)
    assert layered.fraction[0] + spinel.fraction[0] == pytest.approx(1)
    assert spinel.amount[0] / layered.amount[0] == pytest.approx(0.28 / 0.72, rel=0.02)
    assert result.humps["carbon"][0] == pytest.approx(60, rel=0.02)
    assert result.humps["glass"][0] == pytest.approx(200, rel=0.02)
    assert result.fit_quality[0] < 1e-3


def test_poisson_errors_cover(fit: PatternFit) -> None:
    clean = particle(0.28)
    patterns = np.random.default_rng(3).poisson(np.tile(clean, (300, 1))).astype(np.float32)
    result = fit.fit(patterns, clean)
    for name, truth in (("layered", 7.9e-4), ("spinel", 9.4e-4)):
        maps = result.phases[name]
        assert np.all(maps.reason == Reason.OK)
        assert 0.6 < np.mean(np.abs(maps.strain - truth) < maps.strain_error) < 0.76
        for parameter, values in maps.cell.items():
            inside = np.abs(values - np.median(values)) < maps.cell_error[parameter]
            assert 0.6 < np.mean(inside) < 0.76
        assert np.median(maps.strain) == pytest.approx(truth, abs=3 * np.std(maps.strain) / np.sqrt(300))
    assert np.median(result.fit_quality) == pytest.approx(1, abs=0.02)


def test_patterns_held_at_zero_keep_less_noise(fit: PatternFit) -> None:
    clean = particle(0.28)
    sigma = np.full(clean.size, 3 * np.median(clean))  # most bins are below it, as in a reconstructed voxel
    noise = np.random.default_rng(5).normal(0, sigma, (60, clean.size))
    start = fit.start(clean[None], sigma[None] ** 2)
    for held, patterns in ((False, clean + noise), (True, np.maximum(clean + noise, 0))):
        assert np.median(fit.fit(patterns, sigma**2, start, held=held).fit_quality) == pytest.approx(1, abs=0.05)
    assert np.median(fit.fit(patterns, sigma**2, start).fit_quality) < 0.7


def test_texture_leaves_strain_and_fraction_right(fit: PatternFit) -> None:
    rng = np.random.default_rng(11)
    patterns = np.array([particle(0.25, rng) for _ in range(24)])
    result = fit.fit(patterns, patterns)
    assert np.median(result.phases["layered"].strain) == pytest.approx(7.9e-4, rel=0.03)
    assert np.mean(result.phases["spinel"].fraction) == pytest.approx(fractions(0.25), abs=0.03)


def test_no_main_phase_is_restrained_not_lost(fit: PatternFit) -> None:
    pattern = particle(0.5)[None]
    result = fit.fit(pattern, pattern)
    assert result.phases["spinel"].fraction[0] == pytest.approx(fractions(0.5), abs=0.03)
    assert result.phases["spinel"].strain[0] == pytest.approx(9.4e-4, rel=0.03)
    assert result.phases["layered"].strain[0] == pytest.approx(7.9e-4, rel=0.03)


def test_little_of_a_phase_is_tied(fit: PatternFit) -> None:
    pattern = particle(0.1)[None]
    spinel = fit.fit(pattern, pattern).phases["spinel"]
    assert spinel.reason[0] == Reason.TIED
    assert np.isnan(spinel.strain[0])
    assert np.isnan(spinel.size[0])
    assert spinel.fraction[0] == pytest.approx(fractions(0.1), abs=0.02)


def test_voxels_without_crystals_are_masked(fit: PatternFit) -> None:
    flat = np.full((3, AXIS.bins), 4.0)
    flat[0] += 200 * hump(10.0, 3.2)
    flat[2, 5:] = np.nan
    noise = np.random.default_rng(1).poisson(np.nan_to_num(flat)) * np.where(np.isnan(flat), np.nan, 1)
    result = fit.fit(np.concatenate([noise, particle(0.28)[None]]), np.nan_to_num(flat[0], nan=1.0))
    layered = result.phases["layered"]
    assert list(layered.reason) == [Reason.NO_SIGNAL, Reason.NO_SIGNAL, Reason.NOT_FINITE, Reason.OK]
    assert np.isnan(layered.strain[:3]).all()
    assert np.isnan(layered.fraction[:3]).all()
    assert np.isnan(layered.cell["a"][:3]).all()
    assert layered.amount[0] < 0.02 * layered.amount[3]
    assert np.isnan(layered.amount[2])
    assert result.humps["glass"][0] == pytest.approx(200, rel=0.05)


def test_too_few_reflections() -> None:
    axis = RadialAxis("2th_deg", 6.0, 13.0, 350, AXIS.wavelength)
    pattern = lines("nmc622", CELL, 7.9e-4, 150, axis=axis)[None]
    pattern = pattern / pattern.max() * 1000 + 4
    layered = PatternFit(axis, [LAYERED], instrument(axis)).fit(pattern, pattern).phases["layered"]
    assert layered.reason[0] == Reason.TOO_FEW
    assert np.isnan(layered.strain[0])


@pytest.mark.parametrize(
    ("stretch", "strain", "size"), [(1.021, 7.9e-4, 150.0), (1.0, 0.025, 150.0), (1.0, 7.9e-4, 8.0)]
)
def test_what_is_beyond_a_bound_says_so(stretch: float, strain: float, size: float) -> None:
    """A cell larger by more than 2 %, strain of more than 2 %, crystallites below 10 nm."""
    pattern = lines("nmc622", (2.8753 * stretch, 2.8753 * stretch, 14.2356 * stretch), strain, size)
    pattern = (pattern * 1000 / pattern.max() + 4)[None]
    layered = PatternFit(AXIS, [LAYERED], instrument()).fit(pattern, pattern).phases["layered"]
    assert layered.reason[0] == Reason.AT_BOUND
    assert np.isnan(layered.strain[0])
    assert np.isnan(layered.cell["a"][0]) == (stretch > 1.02)


def test_crystallites_too_coarse_to_tell_have_strain_and_no_size() -> None:
    pattern = lines("nmc622", CELL, 7.9e-4, 5000.0)
    pattern = (pattern * 1000 / pattern.max() + 4)[None]
    layered = PatternFit(AXIS, [LAYERED], instrument()).fit(pattern, pattern).phases["layered"]
    assert layered.reason[0] == Reason.OK
    assert np.isnan(layered.size[0])
    assert layered.strain[0] == pytest.approx(7.9e-4, rel=0.05)


def test_without_an_instrument_cells_and_amounts_remain() -> None:
    pattern = particle(0.28)[None]
    result = PatternFit(AXIS, PHASES).fit(pattern, pattern)
    layered, spinel = result.phases["layered"], result.phases["spinel"]
    assert layered.reason[0] == Reason.NO_INSTRUMENT
    assert np.isnan(layered.strain[0])
    assert np.isnan(layered.size[0])
    assert layered.cell["a"][0] == pytest.approx(CELL[0], rel=5e-5)
    assert spinel.fraction[0] == pytest.approx(fractions(0.28), abs=0.03)


@pytest.mark.parametrize(("profile", "share"), [("gaussian", 0.0), ("fit", 0.5)])
def test_other_shapes_of_the_sample_profile(profile: str, share: float) -> None:
    pattern = lines("nmc622", CELL, 1.5e-3, 100, share=share)[None]
    pattern = pattern / pattern.max() * 1000 + 4
    fit = PatternFit(AXIS, [LAYERED], instrument(), profile=profile)  # type: ignore[arg-type]
    assert fit.fit(pattern, pattern).phases["layered"].strain[0] == pytest.approx(1.5e-3, rel=0.03)


def test_a_lorentzian_sample_taken_for_gaussian_is_wrong() -> None:
    """The shape is a real choice: the same pattern, another number."""
    pattern = particle(0.0)[None]
    fit = PatternFit(AXIS, PHASES, instrument(), profile="gaussian")
    assert fit.fit(pattern, pattern).phases["layered"].strain[0] < 0.9 * 7.9e-4


def test_q_axis() -> None:
    low, high = (4 * np.pi * np.sin(np.deg2rad(x) / 2) / AXIS.wavelength for x in (6.0, 26.0))
    axis = RadialAxis("q_A^-1", low, high, 1100, AXIS.wavelength)
    pattern = lines("nmc622", CELL, 7.9e-4, 150, axis=axis)[None]
    pattern = pattern / pattern.max() * 1000 + 4
    layered = PatternFit(axis, [LAYERED], instrument(axis)).fit(pattern, pattern).phases["layered"]
    assert layered.strain[0] == pytest.approx(7.9e-4, rel=0.02)
    assert layered.cell["c"][0] == pytest.approx(CELL[2], rel=1e-5)


def test_monoclinic_cell() -> None:
    """The fit's own free parameters a, b, c, beta, on a pattern of the unchanged structure."""
    layered = Crystal("llnmo", load_structure("llnmo"))
    fit = PatternFit(AXIS, [layered], instrument())
    from scipy.special import voigt_profile

    found = layered.structure.reflections(1.2)
    grid = np.deg2rad(np.linspace(AXIS.low, AXIS.high, AXIS.bins * 8 + 1))
    grid = (grid[1:] + grid[:-1]) / 2
    fine = np.zeros(grid.size)
    two_theta = found.two_theta(AXIS.wavelength)
    sigma, gamma = instrument().widths(two_theta)
    gamma = gamma + (0.9 * AXIS.wavelength / 1500 / np.cos(two_theta / 2) + 4 * 6e-4 * np.tan(two_theta / 2)) / np.pi
    for t, i, s, g in zip(two_theta, found.intensity(AXIS.wavelength), sigma, gamma, strict=True):
        for node, weight in zip(NODES * np.deg2rad(PIXEL) * np.cos(t) ** 2 / 2, WEIGHTS / 2, strict=True):
            fine += weight * i * voigt_profile(grid - t - node, s, g)
    pattern = fine.reshape(AXIS.bins, 8).mean(axis=1)[None]
    pattern = pattern / pattern.max() * 1000 + 4
    maps = fit.fit(pattern, pattern).phases["llnmo"]
    assert [maps.cell[k][0] for k in ("a", "b", "c", "beta")] == pytest.approx(
        [4.9554, 8.5637, 5.0487, 109.46], rel=2e-5
    )
    assert maps.strain[0] == pytest.approx(6e-4, rel=0.03)


def test_same_bits_whatever_the_neighbours_and_threads(fit: PatternFit) -> None:
    clean = particle(0.28)
    patterns = np.random.default_rng(8).poisson(np.tile(clean, (20, 1))).astype(np.float32)
    start = fit.start(patterns, np.broadcast_to(clean, patterns.shape))
    together = fit.fit(patterns, clean, start, threads=2)
    alone = fit.fit(patterns[::-1][3:4], clean, start, threads=1)
    for name in ("layered", "spinel"):
        ours, theirs = together.phases[name], alone.phases[name]
        for key in ("scale", "strain", "strain_error", "size", "cell_volume"):
            np.testing.assert_array_equal(getattr(ours, key)[16], getattr(theirs, key)[0])


def test_the_instruments_uncertainty_is_in_the_error() -> None:
    pattern = particle(0.0)[None] * 1e4
    small = PatternFit(AXIS, PHASES, instrument()).fit(pattern, pattern).phases["layered"]
    large = PatternFit(AXIS, PHASES, instrument(variance=1e-7)).fit(pattern, pattern).phases["layered"]
    assert large.strain_error[0] > 3 * small.strain_error[0]


def test_curve_and_extrapolation(fit: PatternFit) -> None:
    pattern = particle(0.28)[None]
    result = fit.fit(pattern, pattern, curve=True)
    assert result.curve is not None
    np.testing.assert_allclose(result.curve[0], pattern[0], rtol=0.02, atol=1)
    assert not result.extrapolated
    narrow = instrument().model_copy(update={"valid": (9.0, 26.0)})
    assert PatternFit(AXIS, PHASES, narrow).fit(pattern, pattern).extrapolated


def test_amorphous_phases_alone() -> None:
    pattern = (200 * hump(10.0, 3.2) + 4)[None]
    result = PatternFit(AXIS, [CARBON, GLASS]).fit(pattern, pattern)
    assert result.humps["glass"][0] == pytest.approx(200, rel=1e-3)
    assert result.phases == {}


def test_unknown_main_phase() -> None:
    with pytest.raises(FitError, match="'carbon', which is none of the crystalline phases"):
        PatternFit(AXIS, PHASES, main="carbon")


def test_another_wavelength() -> None:
    other = instrument().model_copy(update={"wavelength": 0.7085})
    with pytest.raises(FitError, match=r"calibrated at 0\.7085"):
        PatternFit(AXIS, PHASES, other)
