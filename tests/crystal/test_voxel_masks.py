"""Every voxel without a strain says why: in a live slice read in part, and in the final one."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic import AXIS, instrument, lines

from stream.analyse.crystal.fit import PatternFit
from stream.analyse.crystal.model import Crystal
from stream.analyse.crystal.reasons import Reason
from stream.analyse.crystal.smooth import Hump
from stream.analyse.crystal.structure import load_structure
from stream.analyse.masks import NOT_YET, OUTSIDE
from stream.analyse.slices import WholeSlice
from stream.analyse.turns import FIRST
from stream.analyse.voxels import VoxelReader

LAYERED, SPINEL = Crystal("layered", load_structure("nmc622")), Crystal("spinel", load_structure("lnmo-spinel"))
SIZE = 12


@pytest.fixture(scope="module")
def voxels() -> WholeSlice:
    """Voxels of a circle: layered ones above, then a mixture, a trace, and nothing in the lowest rows."""
    layered = lines("nmc622", (2.881, 2.881, 14.31), strain=8e-4, size=150)
    spinel = lines("lnmo-spinel", (8.17, 8.17, 8.17), strain=8e-4, size=120)
    layered, spinel = layered / layered.max(), 0.1 * spinel / spinel.max()
    rows = [layered] * 5 + [layered + spinel] * 3 + [0.05 * layered] * 2 + [0 * layered] * 2
    volume = np.repeat(np.array(rows, np.float32)[:, None] + np.float32(0.01), SIZE, axis=1)
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    inside = np.hypot(y, x) <= SIZE / 2
    volume[~inside] = np.nan
    return WholeSlice(volume, inside, lambda some: np.full((len(some), AXIS.bins), 1e-8, np.float32))


def reader(fit: PatternFit) -> VoxelReader:
    return VoxelReader(AXIS, fit, None, "layered")


def test_the_final_masks_name_every_reason(voxels: WholeSlice) -> None:
    maps = reader(PatternFit(AXIS, [LAYERED, SPINEL], instrument())).read(0, voxels, {}, None)
    layered, spinel = maps["mask_layered"], maps["mask_spinel"]
    assert layered.dtype == spinel.dtype == np.int8
    np.testing.assert_array_equal(layered == OUTSIDE, ~voxels.inside)
    for phase in ("layered", "spinel"):
        np.testing.assert_array_equal(maps[f"mask_{phase}"] == 0, np.isfinite(maps[f"strain_{phase}"]))
    middle = SIZE // 2
    reasons = [Reason.OK] * 8 + [Reason.TRACE] * 2 + [Reason.NO_SIGNAL] * 2
    assert layered[:, middle].tolist() == reasons
    assert spinel[:, middle].tolist() == [Reason.NO_SIGNAL] * 5 + [Reason.TIED] * 3 + [Reason.NO_SIGNAL] * 4
    assert np.isfinite(maps["c_over_a_layered"][:8, middle]).all()
    assert np.isnan(maps["c_over_a_layered"][8:, middle]).all()


def test_what_is_not_fitted_yet_says_so(voxels: WholeSlice) -> None:
    one = reader(PatternFit(AXIS, [LAYERED], instrument()))
    before = one.blank(voxels.inside.shape)
    assert (before["mask_layered"] == NOT_YET).all()
    first = one.read(0, voxels, before, 0.0)["mask_layered"]
    assert ((first != NOT_YET) & voxels.inside).sum() == FIRST < voxels.count
    np.testing.assert_array_equal(first == OUTSIDE, ~voxels.inside)


def test_without_an_instrument_there_is_a_cell_and_a_reason(voxels: WholeSlice) -> None:
    maps = reader(PatternFit(AXIS, [LAYERED])).read(0, voxels, {}, None)
    assert maps["mask_layered"][0, SIZE // 2] == Reason.NO_INSTRUMENT
    assert np.isfinite(maps["c_over_a_layered"][0, SIZE // 2])


def test_a_hump_that_no_bin_sees_is_told() -> None:
    humps = [Hump("carbon", 2.3, 1.0), Hump("at the edge", 3.8, 1.0), Hump("glass", 10.0, 3.0), Hump("far", 27.0, 1.0)]
    told = [line for line in reader(PatternFit(AXIS, [LAYERED, *humps])).description() if "warning" in line]
    assert [line.split(":")[1] for line in told] == [" phase carbon", " phase far"]
    assert "27 ± 0.5 lies outside the patterns, 4 to 26 2th_deg" in told[1]
