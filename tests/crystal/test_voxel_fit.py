"""The fit of a clicked voxel: both Williamson-Hall lines of a pattern whose strain and size are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.fake_run import FakeRun
from synthetic import AXIS, instrument, lines

from stream.analyse.crystal.fit import PatternFit
from stream.analyse.crystal.model import Crystal
from stream.analyse.crystal.structure import load_structure
from stream.core.errors import FitError
from stream.core.revision import Revision
from stream.dashboard.voxel_fit import VoxelFit

STRAIN, SIZE = 8e-4, 150.0
LAYERED, SPINEL = Crystal("layered", load_structure("nmc622")), Crystal("spinel", load_structure("lnmo-spinel"))


@pytest.fixture(scope="module")
def pattern() -> np.ndarray:
    made = lines("nmc622", (2.881, 2.881, 14.31), strain=STRAIN, size=SIZE)
    return (made / made.max() + 0.01).astype(np.float32)


def clicked(path: Path, pattern: np.ndarray, fit: PatternFit) -> dict:
    """What a click on a voxel of a slice that is all this pattern tells."""
    run = FakeRun(path, size=5, bins=AXIS.bins)
    np.tile(pattern, (5, 5, 1)).astype("<f4").tofile(run.directory.volume)
    noise = np.full((1, AXIS.bins), 1e-8)
    return VoxelFit(run.directory, run.config, fit)(Revision(number=1, arrays={"voxel_noise": noise}), 0, pattern)


@pytest.mark.parametrize("phases", [[LAYERED], [LAYERED, SPINEL]], ids=["alone", "beside a phase that is not there"])
def test_both_lines_are_those_of_the_sample(tmp_path: Path, pattern: np.ndarray, phases: list[Crystal]) -> None:
    found = clicked(tmp_path, pattern, PatternFit(AXIS, phases, instrument()))
    line = found["williamson_hall"]
    whole = line["whole_pattern"]
    intercept = 0.9 * AXIS.wavelength / (10 * SIZE)
    assert (line["phase"], whole["masked"]) == ("layered", None)
    assert line["strain"] == pytest.approx(STRAIN, rel=0.05)
    assert whole["strain"] == pytest.approx(STRAIN, rel=0.02)
    assert whole["intercept"] == pytest.approx(intercept, rel=0.1)
    assert line["intercept"] == pytest.approx(0.9 * AXIS.wavelength / (10 * line["size"]), rel=1e-6)
    assert len(line["x"]) == len(line["y"]) == len(line["y_error"]) >= 3
    np.testing.assert_allclose(line["y"], intercept + STRAIN * line["x"], rtol=0.1)  # some have a neighbour
    np.testing.assert_allclose(found["curve"], pattern, atol=0.01)


def test_without_an_instrument_it_says_so(tmp_path: Path, pattern: np.ndarray) -> None:
    found = clicked(tmp_path, pattern, PatternFit(AXIS, [LAYERED]))
    assert (found["williamson_hall"], found["williamson_hall_refused"]) == (None, "no instrument is calibrated")


def test_before_the_first_voxels_nothing_is_fitted(tmp_path: Path, pattern: np.ndarray) -> None:
    run = FakeRun(tmp_path, size=5, bins=AXIS.bins)
    with pytest.raises(FitError, match="no voxel has been read"):
        VoxelFit(run.directory, run.config)(Revision(number=1), 0, pattern)
