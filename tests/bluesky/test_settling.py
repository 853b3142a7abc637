"""How much a class map will still change, against maps whose noise is known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.ndimage import gaussian_filter

from stream.bluesky.settling import Settling, kept_by_all

TOTAL = 100


def maps(seed: int, noise: float, jitter: float) -> dict[int, npt.NDArray[np.int8]]:
    """Three classes by a smooth picture; each projection adds noise of its own, each map some that is not kept."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1:1:80j, -1:1:80j]
    picture = 3 * np.exp(-2 * (x**2 + y**2))
    drawn = np.cumsum(rng.normal(0, noise, (TOTAL, *picture.shape)), axis=0)
    found = {}
    for n in range(1, TOTAL + 1):
        seen = picture + drawn[n - 1] / n + rng.normal(0, jitter, picture.shape)
        found[n] = np.digitize(seen, (0.8, 2.0)).astype(np.int8)
    return found


def drawn_maps(seed: int, n: int) -> tuple[dict[int, npt.NDArray[np.int64]], npt.NDArray[np.int64]]:
    """The same with 40 × 40 voxels and neighbours that share their noise, after up to n projections and after all."""
    rng, width = np.random.default_rng(seed), 0.7
    y, x = np.mgrid[-1:1:40j, -1:1:40j]
    picture = 3 * np.exp(-2 * (x**2 + y**2))
    white = rng.normal(0, 1, (n + 1, *picture.shape))
    drawn = gaussian_filter(white, (0, width, width)) * (2 * width * np.sqrt(np.pi))  # variance 1 again
    drawn[n] *= np.sqrt(TOTAL - n)  # of the projections to come, at once
    rays = np.array([*range(1, n + 1), TOTAL])
    seen = np.digitize(picture + np.cumsum(drawn, axis=0) / rays[:, None, None], (0.8, 2.0))
    return dict(enumerate(seen[:n], 1)), seen[n]


@pytest.mark.parametrize(("seed", "noise", "jitter"), [(1, 1.0, 0.0), (2, 2.0, 0.0), (3, 1.0, 0.05)])
def test_what_is_expected_is_what_comes(seed: int, noise: float, jitter: float) -> None:
    truth = maps(seed, noise, jitter)
    whole, settling = maps(seed, noise, 0.0), Settling()
    for n in range(1, 91):
        settling.take(n, truth[n])
        if n >= 20 and n % 10 == 0:
            kept, size = min(
                (float((whole[n][whole[TOTAL] == c] == c).mean()), int((whole[n] == c).sum())) for c in range(3)
            )
            told = kept - 1.645 * np.sqrt(kept * (1 - kept) / size)  # one-sided, 95 %
            assert settling.settled(TOTAL) == pytest.approx(told, abs=0.02 + 0.1 * (1 - kept)), n


def test_all_classes_reach_it_together() -> None:
    """Drawn: of each class the voxels that keep it, by their number and probability."""
    rng, kept, sizes = np.random.default_rng(4), np.array([0.96, 0.97, 0.99, 1.0]), np.array([300, 400, 800, 5])
    drawn = (rng.binomial(sizes, kept, (20_000, 4)) / sizes).min(axis=1)
    told = kept_by_all(kept, np.sqrt(kept * (1 - kept) / sizes))
    assert (drawn >= told).mean() == pytest.approx(0.95, abs=0.02)


def test_it_is_as_sure_as_it_says() -> None:
    """Of many scans that are looked at when 40 of 100 projections are there, 95 in 100 keep what was told."""
    kept = []
    for seed in range(100):
        seen, whole = drawn_maps(seed, 40)
        settling = Settling(seen)
        classes = np.unique(whole)
        least = min(float((seen[40][whole == c] == c).mean()) for c in classes)
        kept.append(least >= settling.settled(TOTAL))
    assert np.mean(kept) >= 0.95 - 1.645 * np.sqrt(0.95 * 0.05 / len(kept))


def test_what_changed_since_the_map_before() -> None:
    settling = Settling({3: np.array([[-1, 0], [1, 2]])})
    assert np.isnan(settling.changed())
    settling.take(6, np.array([[-1, 0], [2, 2]]))
    assert settling.changed() == pytest.approx(1 / 3)
    settling.take(9, np.array([[-1, -1], [2, 2]]))
    assert settling.changed() == pytest.approx(1 / 3)
    assert np.isnan(Settling({n: np.full((2, 2), -1) for n in (3, 6)}).changed())


def test_nothing_is_expected_of_too_little_and_of_another_run() -> None:
    settling = Settling()
    assert np.isnan(settling.settled(TOTAL))
    for n in range(10, 20):
        settling.take(n, np.zeros((4, 4), np.int8))
    assert settling.settled(TOTAL) == 1.0
    settling.take(3, np.zeros((4, 4), np.int8))
    assert np.isnan(settling.settled(TOTAL))
    settling.take(4, None)
    assert not settling.maps
