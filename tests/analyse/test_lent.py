"""Strain that blurred classes lend each other, on images whose blur is scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from stream.analyse.lent import unmixed
from stream.analyse.statistics import class_statistics

CLASSES = ("empty", "particle", "particle_with_carbon")
TRUTH = {"particle": 7.9e-4, "particle_with_carbon": 9.4e-4}


def seen(images: np.ndarray) -> np.ndarray:
    return np.asarray(gaussian_filter(images, (0, 0.9, 0.9, 0)))


def rings() -> tuple[np.ndarray, np.ndarray]:
    """Classes and amounts (1, y, x) of particles with a rim two voxels wide."""
    y, x = np.mgrid[:48, :48]
    radius = np.minimum.reduce([np.hypot(y - a, x - b) for a, b in ((12, 12), (14, 35), (35, 20))])
    index = np.where(radius < 7, 1, 0)
    index[(radius >= 5) & (radius < 7)] = 2
    return index[None].astype(np.int8), np.where(index == 2, 0.75, index)[None].astype(np.float32)


def test_strains_of_blurred_classes_come_apart() -> None:
    index, amount = rings()
    strain = np.where(index == 2, TRUTH["particle_with_carbon"], TRUTH["particle"])
    blurred = seen(amount[..., None])[..., 0]
    with np.errstate(invalid="ignore"):
        found = seen((amount * strain)[..., None])[..., 0] / blurred
    arrays = {
        "maps/class_index": index,
        "maps/phase_layered": np.where(index > 0, amount, np.nan),
        "maps/strain_layered": np.where(blurred > 0.1, found, np.nan),
    }
    plain = class_statistics(arrays, "strain_layered", CLASSES)
    result = unmixed(plain, arrays, "layered", CLASSES, seen)
    assert list(result) == list(TRUTH)
    rise = {key: result["particle_with_carbon"][key] - result["particle"][key] for key in ("mean", "unmixed")}
    assert rise["mean"] < 0.85 * 1.5e-4
    assert rise["unmixed"] == pytest.approx(1.5e-4, rel=0.05)
    for name, truth in TRUTH.items():
        assert result[name]["unmixed"] == pytest.approx(truth, rel=0.01)
        assert 0.5 < result[name]["own"] < 1
        assert plain[name] == {key: result[name][key] for key in plain[name]}
    arrays["maps/strain_layered"] = arrays["maps/strain_layered"] + np.random.default_rng(4).normal(
        0, 1e-4, index.shape
    )
    noisy = unmixed(class_statistics(arrays, "strain_layered", CLASSES), arrays, "layered", CLASSES, seen)
    for name, truth in TRUTH.items():
        assert noisy[name]["unmixed_error"] == pytest.approx(1e-4 / np.sqrt(noisy[name]["n"]), rel=0.5)
        assert noisy[name]["unmixed"] == pytest.approx(truth, abs=3 * noisy[name]["unmixed_error"])


def test_a_sharp_picture_lends_nothing_and_a_hopeless_one_says_so() -> None:
    index, amount = rings()
    strain = np.where(index == 2, 9.4e-4, np.where(index == 1, 7.9e-4, np.nan))
    arrays = {"maps/class_index": index, "maps/phase_layered": amount, "maps/strain_layered": strain}
    plain = class_statistics(arrays, "strain_layered", CLASSES)
    sharp = unmixed(plain, arrays, "layered", CLASSES, lambda images: images)
    assert [one["unmixed"] for one in sharp.values()] == pytest.approx(list(TRUTH.values()))
    assert [one["own"] for one in sharp.values()] == [1, 1]
    smeared = unmixed(plain, arrays, "layered", CLASSES, lambda images: gaussian_filter(images, (0, 20, 20, 0)))
    assert all("unmixed" not in one for one in smeared.values())
    assert unmixed({}, {}, "layered", CLASSES, seen) == {}
