"""Clusters of patterns that are known to be of few kinds, as they come and change."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from stream.analyse.classify.clusters import Clusters, Partition, renumbered
from stream.analyse.classify.components import COMPONENTS, Components
from stream.analyse.classify.grouping import GROUPS, dbscan
from stream.analyse.classify.preprocess import Q_GRID, SliceScale
from stream.analyse.classify.sample import MOST, Sample

FULL = np.ones(3)


@pytest.fixture
def kinds() -> np.ndarray:
    """Six patterns, the brighter the later."""
    q = Q_GRID.centers
    places = np.linspace(0.4, 3.4, GROUPS)
    patterns = [(n + 0.2) * (np.exp(-(((q - place) / 0.2) ** 2)) + 0.05) for n, place in enumerate(places)]
    return np.array(patterns, dtype=np.float32)


def sampled(values: np.ndarray, level: float = 1.0) -> Sample:
    measured = ~np.isnan(values).all(axis=0)
    brightest = np.where(measured, np.float32(1), np.float32(np.nan))
    return Sample.of(values, SliceScale(level, brightest, FULL, values[:0]))


def grains(kinds: np.ndarray, truth: np.ndarray, seed: int = 4) -> np.ndarray:
    return kinds[truth] * np.random.default_rng(seed).normal(1, 0.02, (len(truth), 1)).astype(np.float32)


def found(values: np.ndarray, method: str = "k-means") -> Clusters:
    clusters = Clusters(method)  # type: ignore[arg-type]
    clusters.take(0, sampled(values))
    clusters.find()
    return clusters


def test_kinds_are_found_and_numbered_by_brightness(kinds: np.ndarray) -> None:
    truth = np.random.default_rng(4).integers(GROUPS, size=600)
    values = grains(kinds, truth)
    values[:, 117:] = np.nan  # not measured
    values[7] = np.nan
    clusters = found(values)
    index = clusters.index(values, 1.0)
    assert index[7] == -1
    np.testing.assert_array_equal(np.delete(index, 7), np.delete(truth, 7))
    published = clusters.told()
    assert (published["method"], len(published["patterns"])) == ("k-means", GROUPS)
    assert published["patterns"][2][118] is None
    np.testing.assert_allclose(published["patterns"][2][:117], kinds[2][:117], rtol=0.02)


def test_a_slice_of_which_nothing_is_known_yet_has_none(kinds: np.ndarray) -> None:
    clusters = Clusters()
    clusters.take(0, sampled(np.zeros((50, Q_GRID.bins), np.float32), level=0.0))
    clusters.find()
    assert (clusters.index(kinds, 0.0) == -1).all()


def test_dbscan_puts_no_two_kinds_together(kinds: np.ndarray) -> None:
    truth = np.random.default_rng(4).integers(GROUPS, size=600)
    values = grains(kinds, truth)
    index = found(values, "dbscan").index(values, 1.0)
    assert (index >= 0).mean() > 0.9
    assert all(len(set(truth[index == k])) == 1 for k in set(index.tolist()) - {-1})


def test_dbscan_tells_a_ring_from_its_middle_and_from_what_lies_apart() -> None:
    """Which k-means cannot: both have the same centre."""
    rng = np.random.default_rng(2)
    angle = rng.uniform(0, 2 * np.pi, 600)
    ring = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1) * 3 + rng.normal(0, 0.05, (600, 3))
    middle = rng.normal(0, 0.2, (300, 3))
    groups = dbscan(np.concatenate([ring, middle, [[9.0, 9.0, 9.0]]]))
    assert groups.index(np.array([[3.0, 0, 0], [0, -3.0, 0], [0, 0, 0], [9, 9, 9]])).tolist() == [0, 0, 1, -1]


def test_components_of_slices_are_those_of_all_their_newest_voxels(kinds: np.ndarray) -> None:
    """Against scikit-learn's, of everything at once; a slice that comes again replaces itself."""
    rng = np.random.default_rng(1)
    slices = [grains(kinds, rng.integers(GROUPS, size=n), n) for n in (150, 230, 90)]
    components = Components()
    for s, level in ((0, 3.0), (1, 1.0), (2, 1.0), (0, 1.0)):
        components.take(s, sampled(slices[s], level))
    axes = components.axes()
    assert axes is not None
    together = np.concatenate([sampled(values).points for values in slices])
    expected = PCA(COMPONENTS, svd_solver="full").fit(together)
    np.testing.assert_allclose(np.abs(axes.vectors.T @ expected.components_.T), np.eye(COMPONENTS), atol=1e-9)
    np.testing.assert_allclose(axes.mean, expected.mean_, atol=1e-12)


def test_other_slices_are_told_by_the_same_clusters(kinds: np.ndarray) -> None:
    clusters = found(np.repeat(kinds, 20, axis=0))
    assert clusters.index(kinds[[4, 1]], 1.0).tolist() == [4, 1]
    assert clusters.index(kinds[[4, 1]] * 3, 3.0).tolist() == [4, 1]  # a slice's scale is its own


def test_a_cluster_keeps_its_number_when_others_come_and_brightness_changes(kinds: np.ndarray) -> None:
    truth = np.repeat([1, 3, 5], 60)
    clusters = found(grains(kinds, truth))
    before = clusters.index(grains(kinds, truth), 1.0)
    grown = np.concatenate([truth, np.repeat([0, 2, 4], 60)])
    brighter = kinds * np.array([9, 1, 1, 1, 1, 0.5], np.float32)[:, None]
    clusters.take(0, sampled(grains(brighter, grown)))
    clusters.find()
    after = clusters.index(brighter, 1.0)
    assert len(set(after.tolist())) == GROUPS
    assert all(after[kind] in set(before[truth == kind].tolist()) for kind in (1, 3))


def test_numbers_follow_the_larger_share_and_are_used_once() -> None:
    group = np.array([0] * 9 + [1] * 5 + [2] * 4, np.int8)
    before = np.array([4] * 6 + [1] * 3 + [4] * 5 + [-1] * 4, np.int8)
    means = np.array([[3.0], [2.0], [1.0]], np.float32)
    assert renumbered(group, before, means).tolist() == [1, 4, 0]  # 3 + 5 voxels keep their number, not 6 alone


def test_a_partition_is_the_same_to_the_bit_when_it_was_told(kinds: np.ndarray) -> None:
    values = grains(kinds, np.arange(300) % GROUPS)
    for method in ("k-means", "dbscan"):
        partition = found(values, method).partition
        assert partition is not None
        again = Partition.from_dict(partition.as_dict())
        assert again.as_dict() == partition.as_dict()
        np.testing.assert_array_equal(again.index(values, 1.0), partition.index(values, 1.0))


def test_a_later_scan_is_numbered_as_the_clusters_were_named(kinds: np.ndarray) -> None:
    first = found(grains(kinds, np.arange(300) % GROUPS)).partition
    assert first is not None
    later = Clusters(named=first)
    later.take(0, sampled(grains(kinds[::-1] * 2, np.arange(300) % GROUPS), 2.0))
    later.find()
    np.testing.assert_array_equal(later.index(kinds * 2, 2.0), first.index(kinds, 1.0))


def test_nothing_is_found_in_nothing() -> None:
    clusters = found(np.full((50, Q_GRID.bins), np.nan, np.float32))
    assert (clusters.index(np.ones((3, Q_GRID.bins), np.float32), 1.0) == -1).all()
    assert clusters.told()["patterns"] == []


def test_voxels_that_are_all_alike_are_one_cluster() -> None:
    for method in ("k-means", "dbscan"):
        clusters = found(np.ones((200, Q_GRID.bins), np.float32), method)
        assert set(clusters.index(np.ones((9, Q_GRID.bins), np.float32), 1.0).tolist()) <= {0, -1}


def test_a_large_slice_is_looked_at_in_part() -> None:
    assert MOST / 2 <= len(sampled(np.ones((50_001, Q_GRID.bins), np.float32)).values) <= MOST
