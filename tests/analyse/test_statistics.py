"""Statistics by class against numpy's own draws, and the words of the masks."""

from __future__ import annotations

import numpy as np
import pytest

from stream.analyse.crystal.reasons import Reason
from stream.analyse.masks import MASK_REASONS, NOT_YET, OUTSIDE
from stream.analyse.statistics import class_statistics, gaussian

CLASSES = ("empty", "capillary", "carbon_binder", "particle", "particle_with_carbon")
RNG = np.random.default_rng(5)


@pytest.mark.parametrize("outliers", [0.0, 0.1])
def test_the_gaussian_is_that_of_the_core(outliers: float) -> None:
    core = RNG.normal(7.9e-4, 0.6e-4, 40_000)
    tail = RNG.uniform(1.2e-3, 4e-3, int(outliers * core.size))
    found = gaussian(np.concatenate([core, tail]))
    assert found["mean"] == pytest.approx(7.9e-4, abs=4 * 0.6e-4 / np.sqrt(core.size))
    assert found["sigma"] == pytest.approx(0.6e-4, rel=0.015)
    assert found["n"] == core.size + tail.size
    assert found["inliers"] == pytest.approx(0.9973 * core.size, rel=0.002)


def test_a_gaussian_of_few_or_equal_values() -> None:
    assert gaussian(np.full(9, 2.0)) == {"mean": 2.0, "sigma": 0.0, "n": 9, "inliers": 9}
    found = gaussian(np.array([1.0, 1.0, 1.0, 1.0, 3.0]))
    assert found["mean"] == pytest.approx(1.4)


def test_each_class_has_its_histogram_on_the_same_edges() -> None:
    index = np.repeat(np.array([0, 3, 4, -1], np.int8), 500).reshape(1, 20, 100)
    strain = np.where(index == 4, 9.4e-4, 7.9e-4) + RNG.normal(0, 0.5e-4, index.shape)
    strain[index == 0] = 2e-3  # at the edges of particles
    strain[0, 5, 0] = 5e-2  # of class 3
    arrays = {"maps/class_index": index, "maps/strain_layered": strain.astype(np.float32)}
    found = class_statistics(arrays, "strain_layered", CLASSES)
    assert list(found) == ["particle", "particle_with_carbon"]
    for name, (n, mean, outside) in {"particle": (500, 7.9e-4, 1), "particle_with_carbon": (500, 9.4e-4, 0)}.items():
        one = found[name]
        assert one["n"] == n
        assert one["mean"] == pytest.approx(mean, abs=1e-5)
        assert one["median"] == pytest.approx(mean, abs=1e-5)
        assert one["histogram"]["outside"] == pytest.approx(outside, abs=1)
        assert sum(one["histogram"]["counts"]) + one["histogram"]["outside"] == n
        assert len(one["histogram"]["edges"]) == len(one["histogram"]["counts"]) + 1
    assert found["particle"]["histogram"]["edges"] == found["particle_with_carbon"]["histogram"]["edges"]
    assert class_statistics(arrays, "strain_spinel", CLASSES) == {}


def test_every_code_of_a_mask_has_its_words() -> None:
    assert set(MASK_REASONS) == {str(code) for code in (OUTSIDE, NOT_YET, *map(int, Reason))}
    assert len(set(MASK_REASONS.values())) == len(Reason) + 2
