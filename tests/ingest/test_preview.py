"""The latest frame, reduced: the brightest pixel of each block, nothing where nothing is valid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stream.ingest.preview import MAX_SIDE, Preview, reduce_frame


@pytest.mark.parametrize("shape", [(512, 512), (513, 100), (1065, 1030), (3, 2000)])
def test_every_pixel_is_in_its_block(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    image = rng.poisson(3, shape).astype(np.uint16)
    mask = rng.random(shape) < 0.2
    found = reduce_frame(image, mask)
    factor = found["factor"]
    assert max(found["image"].shape) <= MAX_SIDE
    assert factor == -(-max(shape) // MAX_SIDE)
    for row, column in [(0, 0), (shape[0] - 1, shape[1] - 1), (shape[0] // 2, shape[1] // 3)]:
        r, c = row // factor * factor, column // factor * factor
        block = np.where(mask, np.nan, image)[r : r + factor, c : c + factor]
        expected = np.nan if np.isnan(block).all() else np.nanmax(block)
        np.testing.assert_array_equal(found["image"][row // factor, column // factor], expected)
    assert found["maximum"] == image[~mask].max()
    assert (found["masked"], found["saturated"]) == (mask.sum(), 0)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_pixels_that_say_nothing(dtype: type) -> None:
    image, mask = np.zeros((4, 4), dtype=dtype), np.zeros((4, 4), dtype=bool)
    image[0, 0], image[1, 1], image[2, 2] = np.iinfo(dtype).max, np.iinfo(dtype).max - 1, np.iinfo(dtype).max - 2
    mask[0, 0] = mask[3, 3] = True
    found = reduce_frame(image, mask)
    assert (found["saturated"], found["masked"]) == (1, 2)
    assert found["maximum"] == np.float32(np.iinfo(dtype).max - 2)
    assert np.isnan(found["image"][[0, 1, 3], [0, 1, 3]]).all()


def test_a_frame_without_a_valid_pixel_has_no_maximum() -> None:
    found = reduce_frame(np.ones((4, 4), dtype=np.uint16), np.ones((4, 4), dtype=bool))
    assert np.isnan(found["maximum"])
    assert np.isnan(found["image"]).all()


def test_a_frame_a_second(tmp_path: Path) -> None:
    preview = Preview(tmp_path / "frame.npz", np.zeros((8, 8), dtype=bool))
    for n in range(5):
        preview.offer(n, lambda n=n: np.full((8, 8), n, dtype=np.uint16))
    with np.load(tmp_path / "frame.npz") as file:
        assert file["frame"] == 0
    preview._due = 0.0
    preview.offer(9, lambda: np.full((8, 8), 9, dtype=np.uint16))
    with np.load(tmp_path / "frame.npz") as file:
        assert file["frame"] == 9
        assert file["image"].max() == 9
    assert [path.name for path in tmp_path.iterdir()] == ["frame.npz"]
