"""A classifier learnt from the labelled voxels of one run, on simulated slices whose truth is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from stream.analyse.classify.check import check_folder
from stream.analyse.classify.choose import load_classifier
from stream.analyse.classify.clusters import Clusters
from stream.analyse.classify.labels import Labels
from stream.analyse.classify.learn.example import Slice, foreign_example
from stream.analyse.classify.learn.foreign import UNFAMILIAR
from stream.analyse.classify.learn.own import Own, judged_as, learn, write
from stream.analyse.classify.manifest import CLASSES
from stream.analyse.classify.preprocess import features, scale_of
from stream.analyse.classify.sample import Sample
from stream.core.errors import UsageError
from stream.simulate.training.dataset import simulate
from stream.simulate.training.strangers import draw_stranger


@pytest.fixture(scope="module")
def part() -> Slice:
    """One whose clusters tell three of its classes and more: of other slices they may not."""
    return simulate(10, 3, 64)[0]


@pytest.fixture(scope="module")
def sample(part: Slice) -> Sample:
    return Sample.of(part.values[part.labels >= 0], scale_of(part.values))


@pytest.fixture(scope="module")
def labelled(part: Slice, sample: Sample) -> npt.NDArray[np.int8]:
    """Each cluster is called what most of its voxels are; a cluster of something rare is not named."""
    clusters = Clusters()
    clusters.take(0, sample)
    clusters.find()
    assert clusters.partition is not None
    index, truth = clusters.index(sample.values, sample.scale.level), part.labels[part.labels >= 0]
    most = {int(k): np.bincount(truth[index == k], minlength=len(CLASSES)) for k in np.unique(index)}
    names = {k: CLASSES[count.argmax()] for k, count in most.items() if count.sum() >= 24}
    assert len(set(names.values())) >= 3
    return Labels(names, clusters.partition).of(sample)


@pytest.fixture(scope="module")
def own(sample: Sample, labelled: npt.NDArray[np.int8]) -> Own:
    return learn([(sample, labelled)])


def test_its_folder_is_one_that_a_config_may_name(own: Own, part: Slice, tmp_path: Path) -> None:
    entry = write(own, tmp_path)
    assert len(list(check_folder(tmp_path))) == 1
    loaded = load_classifier(str(tmp_path))
    assert (loaded.name, loaded.told["sha256"]) == ("own", entry.sha256)
    found = loaded.judge(part.values, loaded.scale(part.values))
    known = part.labels >= 0
    assert (found.index == part.labels)[known].mean() > 0.9
    assert (found.index[~known] == -1).all()
    inputs = features(part.values, scale_of(part.values))
    bare = own.model.probability(inputs)
    whole = found.probability.sum(axis=2)[known] > 0  # the others have a detector's fault
    assert whole.mean() > 0.99
    np.testing.assert_allclose(found.probability[known][whole], bare[known][whole][:, :UNFAMILIAR], atol=1e-4)
    never = [label for label in range(len(CLASSES)) if CLASSES[label] not in {"empty", "capillary", "particle"}]
    assert own.voxels <= known.sum()
    assert all(bare[known][:, label].max() < 1e-6 for label in never if label not in np.unique(found.index))


def test_the_same_labels_give_the_same_file(own: Own, sample: Sample, labelled: npt.NDArray[np.int8],
                                            tmp_path: Path) -> None:  # fmt: skip
    first, again = write(own, tmp_path / "a"), write(learn([(sample, labelled)]), tmp_path / "b")
    assert first.sha256 == again.sha256
    for name in ("own.onnx", "golden.npy", "manifest.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_its_probabilities_are_those_of_voxels_it_has_not_seen(sample: Sample, labelled: npt.NDArray[np.int8]) -> None:
    """Every other voxel is left out: the mean distance of probability and share right, over ten equal bins."""
    seen = labelled.copy()
    seen[::2] = -1
    own = learn([(sample, seen)])
    left = np.flatnonzero((labelled >= 0) & (seen < 0))
    probability = own.model.probability(features(sample.values[left], sample.scale)[:, None])[:, 0, :UNFAMILIAR]
    best, right = probability.max(axis=1), probability.argmax(axis=1) == labelled[left]
    sums = np.bincount((best * 10).astype(int).clip(0, 9), weights=best - right)
    assert np.abs(sums).sum() / len(best) < 0.05
    assert right.mean() == pytest.approx(own.right, abs=0.03)


@pytest.mark.parametrize("stranger", ["silicon", "graphite"])
def test_what_is_in_no_sample_is_unknown(own: Own, part: Slice, stranger: str) -> None:
    example = foreign_example(np.random.default_rng(5), part, 0, lambda rng, q: draw_stranger(rng, q, stranger))
    judged = judged_as(
        own.model.probability(example.inputs)[there := example.labels == UNFAMILIAR], example.labels[there]
    )
    assert (judged.called(own.threshold) == -1).mean() > 0.9


def test_voxels_that_are_too_few(sample: Sample, labelled: npt.NDArray[np.int8]) -> None:
    rare = np.where(np.arange(len(labelled)) < 23, np.int8(2), np.int8(3))
    with pytest.raises(UsageError, match="labels name 23 voxels carbon_binder, and a class is learnt from 24 or more"):
        learn([(sample, rare)])
    with pytest.raises(UsageError, match="labels name no class"):
        learn([(sample, np.full(len(labelled), -1, np.int8))])
