"""Models made from nothing, small: they load, beat chance, and are what NumPy and scikit-learn say they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import softmax

pytest.importorskip("onnx", reason="the extra `train` is not installed: no model can be made")

from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC

from stream.analyse.classify.check import check_folder
from stream.analyse.classify.learn import families
from stream.analyse.classify.learn.example import Example, clean_example
from stream.analyse.classify.learn.foreign import UNFAMILIAR, with_foreign
from stream.analyse.classify.learn.layers import Beside, Layer, standard
from stream.analyse.classify.learn.model import Machine
from stream.analyse.classify.learn.network import gradients, new_layers
from stream.analyse.classify.manifest import read_manifest
from stream.analyse.classify.model import load_model
from stream.analyse.classify.preprocess import SHARES
from stream.simulate.sample import voxel_shares
from stream.simulate.training.ceiling import ceiling, named_by_paths
from stream.simulate.training.dataset import make_examples, simulate
from stream.simulate.training.export import write_models
from stream.simulate.training.filled import FARTHEST, filled, most, scattered
from stream.simulate.training.recipe import Recipe, fit_families
from stream.simulate.training.samples import draw_sample
from stream.simulate.training.slices import Beam, draw_scan
from stream.simulate.training.strangers import lines

RECIPE = Recipe(seed=3, phantoms=9, largest=26, families=("svm", "knn", "mlp", "cnn"))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("slices")


@pytest.fixture(scope="module")
def examples(kept: Path) -> list[Example]:
    return make_examples(range(RECIPE.phantoms), RECIPE.seed, RECIPE.largest, kept)


@pytest.mark.timeout(120)
def test_a_tiny_training(tmp_path: Path, examples: list[Example], kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"EPOCHS": 2, "SEEN": 20_000, "SUPPORT": 1_000, "PROTOTYPES": 400}.items():
        monkeypatch.setattr(families, name, value)
    fitted = list(fit_families(RECIPE, examples, kept=kept))
    manifest = write_models(tmp_path, RECIPE, fitted, examples)
    assert len(list(check_folder(tmp_path))) == 4
    for each in fitted:
        loaded = load_model(tmp_path, manifest.entry(each.family))
        agreed = [(loaded.run(e.inputs), each.model.probability(e.inputs)) for e in examples[:8]]
        for found, expected in agreed:
            np.testing.assert_allclose(found, expected, atol=1e-4)
        assert loaded.sha256 in (tmp_path / f"{each.family}.md").read_text()
        unseen = [judged[judged.familiar] for judged, _ in each.validated]
        labels = np.concatenate([judged.labels for judged in unseen])
        commonest = np.bincount(labels).max() / len(labels)
        assert np.concatenate([judged.right(1.0) for judged in unseen]).mean() > commonest + 0.05, each.family
    assert read_manifest(tmp_path).default in RECIPE.families


def test_a_dataset_depends_on_seed_and_number_alone(examples: list[Example], kept: Path) -> None:
    again = make_examples([1], RECIPE.seed, RECIPE.largest)
    of_second = [example for example in examples if example.phantom == 1]
    assert len(again) == len(of_second) == 4
    for one, other in zip(again, of_second, strict=True):
        np.testing.assert_array_equal(one.inputs, other.inputs)
        np.testing.assert_array_equal(one.labels, other.labels)
    assert not np.array_equal(simulate(1, 4, RECIPE.largest)[0].labels, simulate(1, 3, RECIPE.largest, kept)[0].labels)


def test_true_paths_name_most_voxels_and_edges_not() -> None:
    """Of 5 phantoms; six angles are far too few for any."""
    _, samples, beams = zip(*(draw_scan(number, RECIPE.seed, 60) for number in range(5)), strict=True)

    def right(beams: Sequence[Beam]) -> float:
        named = [named_by_paths(sample, beam) for sample, beam in zip(samples, beams, strict=True)]
        return float(
            np.concatenate([(n == s.labels)[s.labels >= 0] for n, s in zip(named, samples, strict=True)]).mean()
        )

    few = [replace(beam, angles=np.arange(6) * 30.0) for beam in beams]
    assert right(few) < 0.9 < right(beams) < 0.99
    assert ceiling(range(5), RECIPE.seed, 60) == right(beams)


def test_a_filled_voxel_holds_one_thing() -> None:
    """That which most of it holds; the phantom is the same otherwise."""
    rng = np.random.default_rng([RECIPE.seed, 0])
    sample = draw_sample(rng, 60)
    after = filled(sample, rng)
    held, now = (voxel_shares(each.phantom)[0] for each in (sample, after))
    assert set(np.unique(now)) == {0.0, 1.0}
    assert (held.max(axis=2) < 0.9).any()
    np.testing.assert_array_equal(now.argmax(axis=2), held.argmax(axis=2))
    assert after.phantom.labels.shape == sample.phantom.labels.shape


def test_scattered_voxels_hold_what_another_near_them_held() -> None:
    """And a neighbour tells less of a voxel than in the phantom that they are of."""
    rng = np.random.default_rng([RECIPE.seed, 0])
    sample = draw_sample(rng, 60)
    held = most(sample)
    now = most(scattered(sample, rng))
    near = np.lib.stride_tricks.sliding_window_view(np.pad(held, FARTHEST, mode="edge"), (2 * FARTHEST + 1,) * 2)
    assert (near == now[..., None, None]).any(axis=(2, 3)).all()
    assert (now != held).mean() > 0.05

    def alike(materials: npt.NDArray[np.uint8]) -> float:
        return float((materials[1:] == materials[:-1]).mean())

    assert alike(now) < alike(held) - 0.05


def test_changed_phantoms_are_kept_apart(tmp_path: Path) -> None:
    """Simulated once each; of the changed ones there is the complete scan alone."""
    first = [simulate(1, RECIPE.seed, RECIPE.largest, tmp_path, change) for change in (None, filled, scattered)]
    again = [simulate(1, RECIPE.seed, RECIPE.largest, tmp_path, change) for change in (None, filled, scattered)]
    assert [[part.complete for part in parts] for parts in first] == [[True, False], [True], [True]]
    assert len(list(tmp_path.iterdir())) == 3
    for parts, others in zip(first, again, strict=True):
        for one, other in zip(parts, others, strict=True):
            np.testing.assert_array_equal(one.values, other.values)
            np.testing.assert_array_equal(one.labels, other.labels)
    assert not np.array_equal(first[1][0].values, first[2][0].values, equal_nan=True)


def test_no_phantom_is_in_two_parts() -> None:
    assert sorted([*RECIPE.learnt, *RECIPE.tested, *RECIPE.held]) == list(range(RECIPE.phantoms + len(RECIPE.held)))


def test_gradients_are_those_of_the_loss(examples: list[Example]) -> None:
    """Against differences of the summed cross entropy."""
    example = max(examples, key=lambda e: e.labels.size)
    rows = np.s_[8:16, 8:16]
    inputs, labels = example.inputs[rows][..., :5].astype(np.float64), example.labels[rows]
    layers = [
        Layer(layer.kernel.astype(np.float64), layer.bias.astype(np.float64) + 0.1, layer.relu)
        for layer in new_layers(np.random.default_rng(1), 5, [(1, 4), (3, 3), (1, UNFAMILIAR + 1)])
    ]

    def loss() -> float:
        image = inputs
        for layer in layers:
            image = layer(image)
        scores = image[labels >= 0]
        logarithm = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
        return float(-logarithm[np.arange(len(scores)), labels[labels >= 0]].sum())

    found = gradients(layers, inputs, labels)
    arrays = [array for layer in layers for array in (layer.kernel, layer.bias)]
    for array, gradient in zip(arrays, found, strict=True):
        place = np.unravel_index(int(np.abs(gradient).argmax()), array.shape)
        value, step = array[place], 1e-5
        array[place] = value + step
        above = loss()
        array[place] = value - step
        below = loss()
        array[place] = value
        assert gradient[place] == pytest.approx((above - below) / (2 * step), rel=1e-3)


def test_the_perceptrons_are_scikit_learn_s(examples: list[Example], monkeypatch: pytest.MonkeyPatch) -> None:
    """The layers hold the standardisation, too; of neighbours one sees the amounts alone, one nothing."""
    made: list[MLPClassifier] = []

    def keep(*shape: Any, **options: Any) -> MLPClassifier:
        made.append(MLPClassifier(*shape, **options))
        return made[-1]

    monkeypatch.setattr(families, "MLPClassifier", keep)
    monkeypatch.setattr(families, "LEARNT", 4_000)
    model = families.fit_mlp(examples, RECIPE.seed)
    image = examples[0].inputs
    first = standard(families.sample_inputs(examples, RECIPE.seed, families.SEEN)[0])
    seen = Beside(SHARES, families.SIDE)(first(image)).reshape(image.shape[0] * image.shape[1], -1)
    found = model.vectors(image)
    scores = found.reshape(len(seen), -1)
    for network, columns, mine in (
        (made[0], seen[:, : image.shape[2]], scores[:, : UNFAMILIAR + 1]),
        (made[1], seen, scores[:, UNFAMILIAR + 1 :]),
    ):
        np.testing.assert_allclose(softmax(mine, axis=1), network.predict_proba(columns), atol=1e-4)
    y, x = np.argwhere(examples[0].labels >= 0)[30]
    for feature in range(image.shape[2] - 1):  # the last carries the means of all
        changed = image.copy()
        changed[y, x, feature] += 1
        differs = (model.vectors(changed) != found).any(axis=2)
        differs[y, x] = False
        assert differs.any() == (feature in range(image.shape[2])[SHARES])


def test_the_machine_is_scikit_learn_s() -> None:
    """Decisions between each two classes, of 1,000 patterns."""
    rng = np.random.default_rng(4)
    labels = rng.integers(0, UNFAMILIAR + 1, 600)
    vectors = (rng.normal(size=(600, 7)) + labels[:, None]).astype(np.float32)
    unseen = (3 * rng.normal(size=(1000, 7)) + 2).astype(np.float32)
    fitted = SVC(C=3.0, gamma=0.1, decision_function_shape="ovo").fit(vectors, labels)
    np.testing.assert_allclose(Machine.of(fitted, 0.1)(unseen), fitted.decision_function(unseen), atol=1e-4)


def test_what_is_foreign_is_labelled_so(kept: Path) -> None:
    """And nothing else."""
    part = simulate(1, RECIPE.seed, RECIPE.largest, kept)[0]
    for seed in range(20):
        values, labels = with_foreign(np.random.default_rng(seed), part.values, part.labels, 1.0)
        changed = (np.nan_to_num(values) != np.nan_to_num(part.values)).any(axis=2)
        np.testing.assert_array_equal(changed, labels == UNFAMILIAR)


def test_a_preset_s_labels_are_its_contents() -> None:
    """A voxel that lies wholly in one material is named by that material alone."""
    sample = draw_sample(np.random.default_rng(2), 30)
    blocks = sample.phantom.labels[0].reshape(sample.count, 4, sample.count, 4)
    first = blocks[:, :1, :, :1]
    pure = (blocks == first).all(axis=(1, 3)) & (sample.labels >= 0)
    for material, label in ((0, 0), (1, 1), (2, 2)):
        of = pure & (first[:, 0, :, 0] == material)
        assert (sample.labels[of] == label).all()


def test_what_is_outside_has_no_features() -> None:
    example = clean_example(simulate(0, 3, 24)[0])
    assert not example.inputs[example.labels < 0].any()
    assert (example.inputs[example.labels >= 0][:, -1] == 1).all()


def test_lines_of_silicon() -> None:
    """a = 5.431 Å, in the powder pattern 111 100 %, 220 55 %, 311 30 %: per angle, and so per d², less steep."""
    places, areas = lines("silicon")
    strong = np.unique(np.round(places[areas > 0.05 * areas.max()], 3))
    np.testing.assert_allclose(strong[:3], 2 * np.pi / 5.431 * np.sqrt([3, 8, 11]), atol=2e-3)
