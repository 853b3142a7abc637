"""Particles found again on phantoms whose particles are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from stream.analyse.classify.contents import classify
from stream.analyse.classify.manifest import CLASSES
from stream.analyse.particle_table import Table, correlations, largest, particle_table, weighted
from stream.analyse.particles import find_particles, separate
from stream.simulate.phantom import CARBON, Phantom, make_phantom, place
from stream.simulate.presets import find_preset

COUNT, STEP = 101, 1.0
LEAST = 2 * np.sqrt(4 / np.pi) * STEP  # diameter of the smallest particle that is told of
DENSITIES = {"layered": 4.78, "spinel": 4.4}


@dataclass(frozen=True)
class Section:
    """A true particle's section: the equal circle's diameter and its centre in µm, where it is on the fine grid."""

    diameter: float
    y: float
    x: float
    fine: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Electrode:
    """A simulated slice: its maps, the particles found, the true sections that are large enough to be told of."""

    phantom: Phantom
    maps: dict[str, npt.NDArray[np.floating]]
    labels: npt.NDArray[np.int32]
    sections: list[Section]

    def at(self, section: Section) -> int:
        """The particle found at the section's centre, -1 for none."""
        middle = (COUNT - 1) / 2
        return int(self.labels[0, round(section.y / STEP + middle), round(section.x / STEP + middle)])


def volume(phantom: Phantom, phase: str, strained: bool = False) -> npt.NDArray[np.float64]:
    """Volume fraction of a phase in each voxel, (slice, y, x); times its strain where asked."""
    amounts = [
        sum(c.volume * (c.strain if strained else 1.0) for c in material if c.phase == phase)
        for material in phantom.materials
    ]
    fine = np.array(amounts, dtype=np.float64)[phantom.labels]
    n = phantom.oversampling
    return fine.reshape(len(fine), fine.shape[1] // n, n, fine.shape[2] // n, n).mean(axis=(2, 4))


def electrode(seed: int) -> Electrode:
    preset, slices = find_preset("ncm622-cycled"), np.zeros(1)
    phantom = make_phantom(preset, DENSITIES, COUNT, STEP, slices, seed)
    volumes = {name: volume(phantom, name) for name in ("layered", "spinel", "carbon", "glass")}
    solid = volumes["layered"] + volumes["spinel"]
    classes = classify(solid, volumes["carbon"], volumes["glass"])
    with np.errstate(invalid="ignore", divide="ignore"):
        strain = np.where(solid >= 0.5, volume(phantom, "layered", strained=True) / volumes["layered"], np.nan)
        spinel = np.where(solid > 0, volumes["spinel"] / solid, np.nan)
    maps = {"class_index": classes, "strain_layered": strain, "strain_error_layered": np.full(strain.shape, 2e-5)}
    field = COUNT * STEP / 2
    inner = 0.93 * field - max(0.07 * field, 1.5 * STEP)
    _, balls = place(np.random.default_rng([seed, 1]), field, inner, 0.0)
    n = phantom.labels.shape[1]
    axis = (np.arange(n) - (n - 1) / 2) * phantom.step
    covers = [ball.covers(np.zeros((1, 1)), axis[:, None], axis[None]) for ball in balls]
    diameters = [float(2 * np.sqrt(cover.sum() / np.pi) * phantom.step) for cover in covers]
    sections = [
        Section(diameter, *ball.center[1:], cover)
        for ball, cover, diameter in zip(balls, covers, diameters, strict=True)
        if diameter >= LEAST
    ]
    return Electrode(phantom, maps | {"fraction_spinel": spinel}, find_particles(classes, CLASSES), sections)


def true_contact(one: Electrode, section: Section) -> float:
    """Share of a section's outline on the fine grid that has carbon/binder behind it."""
    labels, covers = one.phantom.labels[0], section.fine
    ends = touching = 0
    for axis, way in ((0, 1), (0, -1), (1, 1), (1, -1)):
        outside = covers & ~np.roll(covers, way, axis)
        ends += outside.sum()
        touching += (outside & (np.roll(labels, way, axis) == CARBON)).sum()
    return float(touching / ends)


@pytest.fixture(scope="module", params=[1, 2, 3])
def one(request: pytest.FixtureRequest) -> Electrode:
    return electrode(request.param)


@pytest.fixture(scope="module")
def table(one: Electrode) -> Table:
    across = (np.arange(COUNT) - (COUNT - 1) / 2) * STEP
    return particle_table(
        one.maps, one.labels, CLASSES, (np.zeros(1), across, across), "layered", ["layered", "spinel"]
    )


def test_number_and_diameters_are_those_of_the_phantom(one: Electrode, table: Table) -> None:
    assert len(table["index"]) == pytest.approx(len(one.sections), rel=0.06)
    own = np.array([one.at(section) for section in one.sections])
    known = own >= 0
    assert known.mean() > 0.9  # the rest is thinner than a voxel somewhere
    true = np.array([section.diameter for section in one.sections])
    off = (table["diameter_um"][own] - true)[known] / STEP
    assert np.mean(np.abs(off) <= 0.5) > 0.9
    assert abs(np.median(off)) < 0.2


def test_contact_is_the_outlines(one: Electrode, table: Table) -> None:
    big = [section for section in one.sections if section.diameter > 8 * STEP]
    found = np.array([table["contact"][one.at(section)] for section in big])
    true = np.array([true_contact(one, section) for section in big])
    assert len(big) >= 5
    assert np.abs(found - true).max() < 0.15
    assert abs(np.median(found - true)) < 0.02


def test_strain_rises_at_the_surface_of_particles_in_contact(one: Electrode, table: Table) -> None:
    big = table["area_um2"] > 60
    covered, free = big & (table["contact"] > 0.5), big & (table["contact"] == 0)
    assert (table["strain_surface"][covered] > 1.05 * table["strain_interior"][covered]).all()
    np.testing.assert_allclose(table["strain_surface"][free], table["strain_interior"][free], rtol=0.01)
    assert (table["fraction_spinel"][covered] > table["fraction_spinel"][free].max(initial=0.0)).all()
    np.testing.assert_array_equal(table["surface_voxels"] + table["interior_voxels"], table["area_um2"] / STEP**2)
    assert correlations(table)["contact"]["rho"] > 0.7
    assert correlations(table)["contact"]["n"] == len(table["index"])


def test_discs_that_touch_are_two_and_a_lens_is_one() -> None:
    y, x = np.mgrid[:30, :40]
    two = (np.hypot(y - 14, x - 11) <= 7) | (np.hypot(y - 14, x - 25) <= 7)
    labels = separate(two)
    assert labels.max() == 1
    assert sorted(np.bincount(labels[two])) == pytest.approx([two.sum() / 2] * 2, abs=8)
    assert separate(np.hypot((y - 14) / 5, (x - 19) / 15) <= 1).max() == 0
    assert separate(np.zeros((5, 5), bool)).max() == -1


def test_specks_are_left_out_and_the_largest_comes_first() -> None:
    index = np.zeros((2, 12, 12), np.int8)
    index[0, 1:3, 1:3] = index[1, 2:8, 2:8] = 3
    index[0, 8, 5:8] = 4  # three voxels are too few to have a size
    labels = find_particles(index, CLASSES)
    assert np.bincount(labels[labels >= 0]).tolist() == [36, 4]
    assert (labels[1, 2:8, 2:8] == 0).all()
    assert (labels[0, 8] == -1).all()


def test_weighted_mean_and_its_error() -> None:
    values, errors = np.array([[[1.0, 3.0, np.nan, 10.0]]]), np.array([[[1.0, 0.5, 1.0, 2.0]]])
    labels = np.array([[[0, 0, 0, 1]]], dtype=np.int32)
    mean, error = weighted(values, errors, labels, labels >= 0, 3)
    chi2 = (1 - 2.6) ** 2 + 4 * (3 - 2.6) ** 2
    np.testing.assert_allclose(mean, [2.6, 10.0, np.nan])
    np.testing.assert_allclose(error, [np.sqrt(chi2 / 5), 2.0, np.nan])


def test_the_list_for_the_metadata_is_bounded_and_plain() -> None:
    rows = largest({"index": np.arange(600), "strain": np.full(600, np.nan)})
    assert len(rows) == 500
    assert rows[-1] == {"index": 499, "strain": None}


def test_no_correlation_is_told_of_what_ranks_nothing() -> None:
    table = {"strain": np.arange(8.0), "diameter_um": np.arange(8.0) ** 2, "contact": np.zeros(8)}
    assert correlations(table) == {"diameter": {"rho": pytest.approx(1.0), "p": pytest.approx(0.0), "n": 8}}
    assert correlations({name: values[:4] for name, values in table.items()}) == {}
