"""A model made from nothing, small: it loads, beats chance, and is what scikit-learn says it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("skl2onnx", reason="the extra `train` is not installed: no model can be made")

from stream.analyse.classify.model import load_classifier
from stream.simulate.training.dataset import UNFAMILIAR, make_dataset
from stream.simulate.training.export import Recipe, write_model
from stream.simulate.training.fit import Split, fit
from stream.simulate.training.samples import draw_sample


@pytest.mark.timeout(120)
def test_a_tiny_training(tmp_path: Path) -> None:
    split = Split(range(6), range(6, 8), range(8, 10))
    data = make_dataset(range(10), seed=5, largest=24)
    fitted = fit(data, split, seed=5)
    write_model(tmp_path, Recipe("tiny", 5, 10, 24), fitted, data, split)

    loaded = load_classifier(str(tmp_path))
    assert loaded.name == "tiny"
    rows = data.inputs[:: max(1, len(data.labels) // 1000)]
    np.testing.assert_allclose(loaded.run(rows), fitted.pipeline.predict_proba(rows), atol=1e-4)

    test = data[np.isin(data.phantom, split.test) & (data.labels < UNFAMILIAR)]
    commonest = np.bincount(test.labels).max() / len(test.labels)
    right = loaded.run(test.inputs)[:, :UNFAMILIAR].argmax(axis=1) == test.labels
    assert right.mean() > commonest + 0.1
    assert loaded.sha256 in (tmp_path / "tiny.md").read_text()


def test_a_dataset_depends_on_seed_and_number_alone() -> None:
    both = make_dataset(range(2), seed=3, largest=20)
    second = make_dataset(range(1, 2), seed=3, largest=20)
    of_second = both[both.phantom == 1]
    np.testing.assert_array_equal(of_second.inputs, second.inputs)
    np.testing.assert_array_equal(of_second.labels, second.labels)
    assert not np.array_equal(make_dataset(range(1, 2), seed=4, largest=20).labels, second.labels)


def test_no_phantom_is_in_two_parts() -> None:
    split = Split.of(30)
    numbers = [*split.train, *split.calibrate, *split.test]
    assert sorted(numbers) == list(range(30))


def test_a_preset_s_labels_are_its_contents() -> None:
    """A voxel that lies wholly in one material is named by that material alone."""
    sample = draw_sample(np.random.default_rng(2), 30)
    blocks = sample.phantom.labels[0].reshape(sample.count, 4, sample.count, 4)
    first = blocks[:, :1, :, :1]
    pure = (blocks == first).all(axis=(1, 3)) & (sample.labels >= 0)
    for material, label in ((0, 0), (1, 1), (2, 2)):
        of = pure & (first[:, 0, :, 0] == material)
        assert (sample.labels[of] == label).all()
