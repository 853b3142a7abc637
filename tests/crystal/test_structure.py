"""Structures against composition, density and published intensity ratios."""

from pathlib import Path

import numpy as np
import pytest

from stream.analyse.crystal.lattice import Lattice, cell_of, reciprocal_metric, volume_of
from stream.analyse.crystal.structure import BUNDLED, load_structure
from stream.core.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "density"),
    [("ceo2", 7.214), ("lab6", 4.711), ("si", 2.329), ("rocksalt", 6.807), ("lnmo-spinel", 4.447)],
)
def test_density(name: str, density: float) -> None:
    assert load_structure(name).density == pytest.approx(density, abs=2e-3)


@pytest.mark.parametrize(("name", "volume"), [("nmc622", 101.925), ("llnmo", 202.01)])
def test_published_cell_volume(name: str, volume: float) -> None:
    assert load_structure(name).volume == pytest.approx(volume, abs=5e-3)


def test_cell_mass_is_the_formula_times_z() -> None:
    formula = 6.94 + 0.6 * 58.693 + 0.2 * 54.938 + 0.2 * 58.933 + 2 * 15.999
    assert load_structure("nmc622").cell_mass == pytest.approx(3 * formula, abs=0.02)


@pytest.mark.parametrize(
    ("name", "wavelength", "d_of_line", "ratios"),
    [
        ("nmc622", 0.6199, [4.745, 2.453, 2.3726, 2.3504, 2.040], [100, 44, 6, 16, 82]),
        ("lnmo-spinel", 0.6199, [4.718, 2.464, 2.359, 2.043], [100, 50, 12, 61]),
        ("ceo2", 12.39842 / 71, [3.1243, 2.7058, 1.9133], [100, 29, 60]),
    ],
)
def test_intensity_ratios(name: str, wavelength: float, d_of_line: list[float], ratios: list[float]) -> None:
    lines = load_structure(name).reflections(1.5)
    intensity = lines.intensity(wavelength)
    found = np.array([intensity[np.argmin(np.abs(lines.d - d))] for d in d_of_line])
    assert 100 * found / found[0] == pytest.approx(ratios, abs=0.6)


def test_ceo2_against_another_program() -> None:
    """2θ at 0.4 Å, multiplicity and |F|² by Dans_Diffraction 3.4.0 (D. Porter, Diamond) from the same CIF file."""
    theirs = {
        (1, 1, 1): (8, 7.34044925, 37329.41654),
        (2, 0, 0): (6, 8.4779573, 19505.43285),
        (2, 2, 0): (12, 12.00063123, 39974.76264),
        (3, 1, 1): (24, 14.08169385, 23114.71034),
        (2, 2, 2): (8, 14.7112373, 14252.77720),
        (4, 0, 0): (6, 17.00276995, 26098.75997),
        (3, 3, 1): (24, 18.54122387, 16820.68943),
        (4, 2, 0): (24, 19.02731194, 11264.82125),
        (4, 2, 2): (24, 20.86279416, 19201.84958),
    }
    lines = load_structure("ceo2").reflections(1.1)
    found = np.column_stack([lines.multiplicity, np.rad2deg(lines.two_theta(0.4)), lines.f_squared])
    np.testing.assert_allclose(found, list(theirs.values()), rtol=3e-7)
    ours = [tuple(sorted(map(int, np.abs(hkl)), reverse=True)) for hkl in lines.hkl]
    assert ours == list(theirs)


def test_sets_that_share_a_d_stay_apart_with_their_own_multiplicity() -> None:
    lines = load_structure("lnmo-spinel").reflections(1.5, 1.6)
    pair = np.isclose(lines.d, 8.172 / np.sqrt(27))
    assert sorted(lines.multiplicity[pair]) == [8, 24]  # 333 and 511


def test_extinct_lines_are_left_out() -> None:
    d = load_structure("si").reflections(1.0).d
    assert not np.any(np.isclose(d, 5.4311 / 2))  # 200 of diamond


def test_where_nothing_reflects() -> None:
    found = load_structure("lnmo-spinel").reflections(10.0, 20.0)
    assert [len(column) for column in (found.hkl, found.multiplicity, found.d, found.f_squared)] == [0, 0, 0, 0]


def test_reflections_are_complete() -> None:
    """Σ of multiplicities = all lattice points of the sphere: the primitive cell extinguishes none."""
    lab6 = load_structure("lab6")
    grid = np.stack(np.meshgrid(*[np.arange(-6, 7)] * 3), axis=-1).reshape(-1, 3)
    d_min = 4.1569 / np.sqrt(30.5)
    inside = (np.sum(grid**2, axis=1) <= 30) & np.any(grid != 0, axis=1)
    assert lab6.reflections(d_min).multiplicity.sum() == inside.sum()


@pytest.mark.parametrize("name", BUNDLED)
def test_metric_parameters_return_the_cell(name: str) -> None:
    structure = load_structure(name)
    lattice = structure.lattice
    np.testing.assert_allclose(lattice.cell(lattice.parameters(structure.cell)), structure.cell, rtol=1e-12)


def test_triclinic_metric() -> None:
    cell = [3.1, 4.2, 5.3, 81.0, 95.0, 103.0]
    np.testing.assert_allclose(cell_of(reciprocal_metric(cell)), cell, rtol=1e-12)
    lattice = Lattice("triclinic")
    d = 1 / np.sqrt(lattice.rows(np.array([[0, 0, 1]])) @ lattice.parameters(cell))
    area = 3.1 * 4.2 * np.sin(np.deg2rad(103.0))
    assert d[0] == pytest.approx(float(volume_of(cell)) / area, rel=1e-12)


def test_a_file_is_as_good_as_a_name(shared_data: Path) -> None:
    path = shared_data / "cif" / "NMC622_R-3m.cif"
    assert load_structure(path).cell == load_structure("nmc622").cell


def test_unknown_name() -> None:
    with pytest.raises(ConfigError, match="'nmc811' is neither a file nor one of nmc622"):
        load_structure("nmc811")


@pytest.mark.parametrize("text", ["", "not a cif", "data_x\n_cell_length_a 4\n"])
def test_useless_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.cif"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"broken\.cif"):
        load_structure(path)


@pytest.mark.parametrize(
    ("system", "edges"),
    [("hexagonal", (2.8753, 2.8753, 14.2356, 90, 90, 120)), ("monoclinic-b", (4.95, 8.56, 5.03, 90, 109.3, 90))],
)
def test_errors_of_a_cell_are_the_scatter_of_cells(system: str, edges: tuple[float, ...]) -> None:
    lattice, rng = Lattice(system), np.random.default_rng(2)
    middle = lattice.parameters(edges)
    mixed = rng.normal(size=(len(middle), len(middle))) * 1e-5 * np.abs(middle)[:, None]
    covariance = mixed @ mixed.T
    stated = lattice.cell_errors(middle[None], covariance[None])[0]
    drawn = lattice.cell(rng.multivariate_normal(middle, covariance, 20_000)).std(axis=0)
    np.testing.assert_allclose(stated, drawn, rtol=0.03, atol=1e-9)


SALT = """data_global
_audit_creation_method 'by hand'
data_salt
_cell_length_a 4.177(1)
_cell_length_b 4.177(1)
_cell_length_c 4.177(1)
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_space_group_name_H-M_alt 'F m -3 m'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Ni1 Ni2+ 0 0 0
O1 O2- 0.5 0.5 0.5
loop_
_atom_site_aniso_label
_atom_site_aniso_U_11
_atom_site_aniso_U_22
_atom_site_aniso_U_33
_atom_site_aniso_U_12
_atom_site_aniso_U_13
_atom_site_aniso_U_23
Ni1 0.004 0.005 0.006 0 0 0
O1 0.006 0.006 0.006 0 0 0
"""


def test_a_users_file_with_a_block_before_ions_and_anisotropic_displacements(tmp_path: Path) -> None:
    (tmp_path / "salt.cif").write_text(SALT)
    salt = load_structure(tmp_path / "salt.cif")
    assert (salt.lattice.system, len(salt.positions), salt.elements) == ("cubic", 8, ("Ni", "O"))
    assert sorted(set(salt.b_iso.round(4))) == [round(8 * np.pi**2 * u, 4) for u in (0.005, 0.006)]
