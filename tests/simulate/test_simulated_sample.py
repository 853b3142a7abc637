"""The simulated sample: phantom, path lengths, powder lines, truth."""

import h5py
import numpy as np
import pytest
from scipy.optimize import curve_fit

from stream.analyse.classify.contents import classify
from stream.analyse.classify.manifest import CLASSES
from stream.analyse.crystal.structure import load_structure
from stream.core.config.scan import ScanConfig
from stream.core.errors import UsageError
from stream.core.scan import ScanGrid
from stream.simulate.defaults import default_integrator
from stream.simulate.forward import path_lengths
from stream.simulate.phantom import make_phantom
from stream.simulate.powder import TwoThetaGrid, crystal_pattern, draw_texture, hump_pattern, load_lines
from stream.simulate.presets import PRESETS, Crystal, Hump, find_preset
from stream.simulate.scan import VirtualScan
from stream.simulate.truth import truth_maps, write_truth

WAVELENGTH = 0.6738
GRID = TwoThetaGrid(np.deg2rad(0.001), 22000, WAVELENGTH)
DENSITIES = {"layered": 4.7, "spinel": 4.4, "rocksalt": 6.8}


def disc(size, step, radius, center):
    x = (np.arange(size) - (size - 1) / 2) * step
    return (np.hypot(x[None, :] - center[0], x[:, None] - center[1]) <= radius).astype(np.uint8)


@pytest.mark.parametrize("angle", [0.0, 17.0, 45.0, 90.0, 203.0])
def test_rays_through_a_disc_have_the_length_of_its_chords(angle):
    center, radius, width = (3.0, -2.0), 5.0, 1.0
    positions = np.arange(-11.5, 12.0)
    labels = disc(24 * 8, 1 / 8, radius, center)
    lengths = path_lengths(labels, 2, 1 / 8, angle, positions, width)[:, 1]

    omega = np.deg2rad(angle)
    middle = center[0] * np.cos(omega) + center[1] * np.sin(omega)
    t = np.clip((positions[:, None] + np.array([-0.5, 0.5]) * width - middle) / radius, -1, 1)
    area = radius**2 * (t * np.sqrt(1 - t**2) + np.arcsin(t))  # of the disc below t
    expected = (area[:, 1] - area[:, 0]) / width
    np.testing.assert_allclose(lengths, expected, atol=0.15)
    assert lengths.sum() * width == pytest.approx(np.pi * radius**2, rel=0.01)


def test_a_point_is_seen_where_x_cos_plus_y_sin_equals_p():
    labels = np.zeros((40, 40), dtype=np.uint8)
    labels[30, 8] = 1  # y = 10.5, x = -11.5
    for angle in (0.0, 30.0, 90.0, 140.0):
        p = -11.5 * np.cos(np.deg2rad(angle)) + 10.5 * np.sin(np.deg2rad(angle))
        seen = path_lengths(labels, 2, 1.0, angle, np.array([p - 2, p, p + 2]), 0.2)[:, 1]
        assert seen[1] > 0.9
        assert seen[0] == seen[2] == 0


def test_lengths_of_all_materials_add_up_to_the_path_through_the_grid():
    phantom = make_phantom(PRESETS["ncm622-cycled"], DENSITIES, 16, 1.0, np.zeros(1), 5)
    lengths = path_lengths(phantom.labels[0], len(phantom.materials), phantom.step, 0.0, np.array([-3.5, 2.5]), 1.0)
    np.testing.assert_allclose(lengths.sum(axis=1), 16.0, rtol=0.01)


@pytest.mark.parametrize("name", ["nmc622", "lnmo-spinel", "llnmo", "rocksalt", "lab6", "ceo2", "si"])
def test_lines_agree_with_a_sum_over_symmetry_equivalent_sets(name):
    lines = load_lines(name, 1.2)
    reflections = load_structure(name).reflections(1.2)
    for d, strength in zip(lines.d, lines.strength, strict=True):
        together = np.isclose(reflections.d, d, rtol=1e-5)
        other = (reflections.multiplicity * reflections.f_squared)[together].sum()
        assert other == pytest.approx(strength, rel=1e-3, abs=1e-4 * lines.strength.max())


def test_intensities_of_ncm622_match_published_ratios():
    """003:101:006:012:104 = 100:44:6:16:82 at 0.6199 Å, checked by hand for this structure."""
    grid = TwoThetaGrid(np.deg2rad(0.001), 20000, 0.6199)
    lines, crystal = load_lines("nmc622", grid.d_min), Crystal(structure="nmc622", size=5000.0)
    pattern = crystal_pattern(lines, crystal, 0.0, 1.0, np.ones(lines.d.size), grid)
    areas = []
    for d in lines.d[:5]:
        line = 2 * np.arcsin(0.6199 / (2 * d))
        areas.append(pattern[np.abs(grid.centers - line) < np.deg2rad(0.03)].sum())
    np.testing.assert_allclose(100 * np.array(areas) / areas[0], [100, 44, 6, 16, 82], atol=1)


@pytest.mark.parametrize(("strain", "size"), [(7.9e-4, 150.0), (0.0, 60.0), (1.2e-3, 400.0)])
def test_lines_sit_at_bragg_angles_with_the_breadth_of_size_and_strain(strain, size):
    lines, scale = load_lines("nmc622", GRID.d_min), 1.004
    crystal = Crystal(structure="nmc622", size=size)
    pattern = crystal_pattern(lines, crystal, strain, scale, np.ones(lines.d.size), GRID)

    def lorentzian(x, area, center, width, floor):
        return area * width / np.pi / ((x - center) ** 2 + width**2) + floor

    for d in lines.d[[0, 4]]:  # 003 and 104, which stand alone
        bragg = 2 * np.arcsin(WAVELENGTH / (2 * d * scale))
        window = np.abs(GRID.centers - bragg) < np.deg2rad(0.2)
        start = (pattern[window].max() * 1e-3, bragg, 2e-4, 0.0)
        (_, center, width, _), _ = curve_fit(lorentzian, GRID.centers[window], pattern[window], start, xtol=1e-12)
        theta = bragg / 2
        breadth = 0.9 * WAVELENGTH * 1e-10 / (size * 1e-9 * np.cos(theta)) + 4 * strain * np.tan(theta)
        assert center == pytest.approx(bragg, abs=2e-7)
        assert np.pi * abs(width) == pytest.approx(breadth, rel=0.01)


def test_a_hump_is_a_gaussian_in_q_with_its_area():
    pattern = hump_pattern(Hump(q=1.55, width=0.5, strength=1.0), 3.0, GRID)
    assert pattern.sum() * GRID.step == pytest.approx(3.0)
    assert GRID.q[pattern.argmax()] == pytest.approx(1.55, abs=2e-3)
    above = GRID.q[pattern > pattern.max() / 2]
    assert np.ptp(above) == pytest.approx(0.5, abs=2e-3)


def test_texture_stays_within_ten_per_cent_and_follows_its_seed():
    texture = draw_texture(500, 3, "layered")
    assert np.all(np.abs(texture - 1) <= 0.1)
    assert np.ptp(texture) > 0.15
    assert np.array_equal(texture, draw_texture(500, 3, "layered"))
    assert not np.array_equal(texture, draw_texture(500, 4, "layered"))
    assert not np.array_equal(texture, draw_texture(500, 3, "spinel"))


@pytest.mark.parametrize("preset", list(PRESETS))
def test_materials_hold_the_weight_fractions_of_the_preset(preset):
    sample = PRESETS[preset]
    phantom = make_phantom(sample, DENSITIES, 16, 1.0, np.zeros(1), 1)
    for i, wanted in ((3, sample.bulk), (4, sample.contact)):
        weights = {c.phase: c.volume * DENSITIES[c.phase] for c in phantom.materials[i] if c.phase in DENSITIES}
        for phase, weight in wanted.items():
            assert weights[phase] / sum(weights.values()) == pytest.approx(weight)
        assert sum(c.volume for c in phantom.materials[i]) == pytest.approx(1.0)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("count", "step"), [(16, 1.0), (48, 1.0), (32, 1.5)])
def test_every_seed_brings_every_material_and_no_two_are_alike(seed, count, step):
    phantom = make_phantom(PRESETS["ncm622-cycled"], DENSITIES, count, step, np.zeros(1), seed)
    shares = np.bincount(phantom.labels.ravel(), minlength=13) / phantom.labels.size
    assert shares[1] > 0.05
    assert shares[2] > 0.03
    assert shares[3::2].sum() > 0.04
    assert shares[4::2].sum() > 0.01
    other = make_phantom(PRESETS["ncm622-cycled"], DENSITIES, count, step, np.zeros(1), seed + 100)
    assert not np.array_equal(phantom.labels, other.labels)


def test_particles_change_smoothly_from_slice_to_slice():
    phantom = make_phantom(PRESETS["ncm622-cycled"], DENSITIES, 48, 1.0, np.arange(12.0), 2)
    particle = phantom.labels >= 3
    changed = (particle[1:] != particle[:-1]).mean(axis=(1, 2))
    assert particle.shape[0] == 12
    assert np.all(changed > 0)
    assert changed.mean() < 0.5 * (particle[6:] != particle[:-6]).mean()


def virtual_scan(count=16, seed=3, preset="ncm622-cycled", step=1.0):
    scan = ScanConfig.model_validate(
        {
            "name": "t",
            "angles": {"start": 0.0, "step": 45.0, "count": 4},
            "positions": {"start": -step * (count - 1) / 2, "step": step, "count": count},
        }
    )
    return VirtualScan(ScanGrid.from_config(scan), default_integrator(), find_preset(preset), seed=seed)


def test_truth_counts_the_fine_points_of_each_voxel():
    scan = virtual_scan()
    maps, labels = truth_maps(scan), scan.phantom.labels[0]
    row, column = np.argwhere(maps["class_index"][0] == 4)[0]
    points = labels[4 * row : 4 * row + 4, 4 * column : 4 * column + 4].ravel()
    contents = [c for label in points for c in scan.phantom.materials[label]]
    layered = [c for c in contents if c.phase == "layered"]
    volume = sum(c.volume for c in layered)
    assert maps["phase_layered"][0, row, column] == pytest.approx(volume / 16)
    strain = sum(c.volume * c.strain for c in layered) / volume
    assert maps["strain_layered"][0, row, column] == pytest.approx(strain)
    assert maps["cell_volume_layered"][0, row, column] == pytest.approx(101.925 * 1.0126, rel=1e-3)


def test_truth_says_what_the_preset_says_and_is_masked_outside_the_circle(tmp_path):
    scan = virtual_scan(48)
    write_truth(scan, tmp_path / "t.h5")
    with h5py.File(tmp_path / "t.h5") as file:
        maps = {name: data[()] for name, data in file["maps"].items()}
        assert (file.attrs["seed"], file.attrs["preset"]) == (3, "ncm622-cycled")
        assert file.attrs["wavelength"] == pytest.approx(WAVELENGTH)
        assert list(file.attrs["classes"]) == list(CLASSES)
    classes = maps["class_index"]
    assert classes.shape == (1, 48, 48)
    assert set(np.unique(classes)) == {-1, 0, 1, 2, 3, 4}
    outside = classes[0] == -1
    assert outside[0, 0]
    assert not outside[24, 0]
    for values in maps.values():
        if values.dtype.kind == "f":
            assert np.isnan(values[0][outside]).all()
    assert np.nanmedian(maps["strain_layered"][classes == 3]) == pytest.approx(7.9e-4, rel=0.05)
    assert np.nanmedian(maps["strain_layered"][classes == 4]) == pytest.approx(9.4e-4, rel=0.05)
    assert np.nanmax(maps["fraction_spinel"]) == pytest.approx(0.24, abs=1e-3)
    assert np.isnan(maps["strain_layered"][maps["phase_layered"] <= 0.05]).all()


def test_truth_follows_the_sign_of_the_step():
    forward, backward = truth_maps(virtual_scan()), truth_maps(virtual_scan(step=-1.0))
    np.testing.assert_array_equal(backward["phase_glass"], forward["phase_glass"][:, ::-1, ::-1])
    assert not np.array_equal(backward["class_index"], forward["class_index"])


def test_classes_describe_the_content_of_a_voxel():
    crystalline = np.array([0.0, 0.0, 0.3, 0.6, 0.6, 0.2, 0.45])
    carbon = np.array([0.0, 0.0, 0.6, 0.05, 0.1, 0.2, 0.45])
    glass = np.array([0.0, 0.5, 0.0, 0.0, 0.0, 0.2, 0.0])
    assert [CLASSES[i] for i in classify(crystalline, carbon, glass)] == [
        "empty",
        "capillary",
        "carbon_binder",
        "particle",
        "particle_with_carbon",
        "empty",
        "empty",
    ]


def test_an_unknown_preset_is_named():
    with pytest.raises(UsageError, match="'nmc' is not known; there are ncm622-pristine"):
        find_preset("nmc")
