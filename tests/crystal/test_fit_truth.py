"""Noiseless patterns of overlapping phases: cell to 1e-5, strain to 1 %, size to 3 %, each shape under its own profile.

Each phase has a strain and a size of its own, and the sample's profile the shape that the fit is told (`fit`: finds).
"""

import numpy as np
import pytest
from synthetic import AXIS, hump, instrument, lines

from stream.analyse.crystal.fit import Crystal, Hump, PatternFit
from stream.analyse.crystal.structure import load_structure

# share of the volume, cell, strain, size in nm
TRUTH = {
    "nmc622": (0.72, (2.8753 * 1.004, 2.8753 * 1.004, 14.2356 * 1.003), 7.9e-4, 150.0),
    "lnmo-spinel": (0.28, (8.165, 8.165, 8.165), 9.4e-4, 120.0),
    "rocksalt": (0.30, (4.176, 4.176, 4.176), 6.0e-4, 80.0),
}
HUMPS = [Hump("carbon", 5.5, 1.0), Hump("glass", 10.0, 3.2)]


@pytest.mark.parametrize("profile", ["lorentzian", "gaussian", "fit"])
@pytest.mark.parametrize("count", [2, 3])
def test_cell_strain_and_size(profile: str, count: int) -> None:
    share = {"lorentzian": 1.0, "gaussian": 0.0, "fit": 0.5}[profile]
    names = list(TRUTH)[:count]
    pattern = np.zeros(AXIS.bins)
    for name in names:
        amount, cell, strain, size = TRUTH[name]
        structure = load_structure(name)
        volume = structure.volume * np.prod(np.divide(cell, structure.cell[:3]))
        pattern += amount / volume**2 * lines(name, cell, strain, size, share=share)
    pattern = 1000 * pattern / pattern.max() + 60 * hump(5.5, 1.0) + 200 * hump(10.0, 3.2) + 4
    phases = [*(Crystal(name, load_structure(name)) for name in names), *HUMPS]
    fit = PatternFit(AXIS, phases, instrument(), profile=profile)  # type: ignore[arg-type]
    found = fit.fit(pattern[None], pattern).phases
    total = sum(TRUTH[name][0] for name in names)
    for name in names:
        amount, cell, strain, size = TRUTH[name]
        maps = found[name]
        assert maps.cell["a"][0] == pytest.approx(cell[0], rel=1e-5)
        assert maps.strain[0] == pytest.approx(strain, rel=0.01)
        assert maps.size[0] == pytest.approx(size, rel=0.03)
        assert maps.amount[0] / sum(m.amount[0] for m in found.values()) == pytest.approx(amount / total, abs=0.01)
