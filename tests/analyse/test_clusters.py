"""Clusters of patterns that are known to be of few kinds."""

from __future__ import annotations

import numpy as np
import pytest

from stream.analyse.classify.preprocess import Q_GRID
from stream.analyse.clusters import GROUPS, Clusters


@pytest.fixture
def kinds() -> np.ndarray:
    """Six patterns, the brighter the later."""
    q = Q_GRID.centers
    places = np.linspace(0.4, 3.4, GROUPS)
    patterns = [(n + 0.2) * (np.exp(-(((q - place) / 0.2) ** 2)) + 0.05) for n, place in enumerate(places)]
    return np.array(patterns, dtype=np.float32)


def test_kinds_are_found_and_numbered_by_brightness(kinds: np.ndarray) -> None:
    rng = np.random.default_rng(4)
    truth = rng.integers(GROUPS, size=600)
    values = kinds[truth] * rng.normal(1, 0.02, (600, 1)).astype(np.float32)
    values[:, 117:] = np.nan  # not measured
    values[7] = np.nan
    clusters = Clusters()
    clusters.find(values, 1.0)
    found = clusters.index(values)
    assert found[7] == -1
    np.testing.assert_array_equal(np.delete(found, 7), np.delete(truth, 7))
    told = clusters.told()
    assert len(told["patterns"]) == GROUPS
    assert told["patterns"][2][118] is None
    np.testing.assert_allclose(told["patterns"][2][:117], kinds[2][:117], rtol=0.02)


def test_other_slices_are_told_by_the_same_centres(kinds: np.ndarray) -> None:
    clusters = Clusters()
    clusters.find(np.repeat(kinds, 20, axis=0), 1.0)
    assert clusters.index(kinds[[4, 1]]).tolist() == [4, 1]


def test_nothing_is_found_in_nothing() -> None:
    clusters = Clusters()
    clusters.find(np.full((50, Q_GRID.bins), np.nan, np.float32), np.nan)
    assert (clusters.index(np.ones((3, Q_GRID.bins), np.float32)) == -1).all()
    assert clusters.told()["patterns"] == []
