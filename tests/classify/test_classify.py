"""Which voxel is what: the shipped model, and what may be loaded at all."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import numpy.typing as npt
import pytest

from stream.analyse.classify.check import check_folder
from stream.analyse.classify.choose import (
    LOOKED_AT,
    AnyClassifier,
    Auto,
    Ensemble,
    load_classifier,
    shared_information,
    vote,
)
from stream.analyse.classify.clusters import Clusters
from stream.analyse.classify.faults import SHORTEST, faulty, longest, still
from stream.analyse.classify.manifest import CLASSES, MANIFEST, read_manifest
from stream.analyse.classify.model import REACH, Prediction, models_folder
from stream.analyse.classify.preprocess import (
    Q_GRID,
    QGrid,
    features,
    hardly_measured,
    scale_of,
    slice_scale,
    to_q_grid,
)
from stream.analyse.classify.teaching import Teaching
from stream.analyse.implied import Implied
from stream.analyse.naming import Naming
from stream.analyse.slices import WholeSlice
from stream.analyse.tomography.projector import Projector
from stream.analyse.tomography.sirt import reconstruct
from stream.core.axis import RadialAxis, from_two_theta
from stream.core.config.models import ClassificationConfig
from stream.core.errors import ConfigError, StoreError
from stream.simulate.phantom import make_phantom
from stream.simulate.presets import PRESETS
from stream.simulate.training.samples import Sample, densities
from stream.simulate.training.slices import Beam, ray_patterns
from stream.simulate.training.strangers import STRANGERS, lines

Floats = npt.NDArray[np.float32]
AXIS = RadialAxis("2th_deg", 0.8, 21.5, 600, 0.6738)


@pytest.fixture(scope="module")
def classifier() -> AnyClassifier:
    return load_classifier(read_manifest(models_folder()).default)


@pytest.fixture(scope="module")
def unseen() -> tuple[Floats, npt.NDArray[np.int8]]:
    """Patterns (y, x, bin) of a preset's phantom, on AXIS, and their true classes."""
    rng = np.random.default_rng(20240)
    preset = PRESETS["ncm622-cycled"]
    phantom = make_phantom(preset, densities(preset), 40, 1.2, np.zeros(1), seed=977)
    sample = Sample(preset, phantom, 40, 1.2)
    beam = Beam(
        axis=AXIS,
        angles=np.arange(40) * 4.5,
        counts=1.5e5,  # 512 × 512 pixels at 0.6 counts
        air=0.12,
        subtracted=False,
        width=1.0,
        absorption=0.0,
        miscentred=0.0,
        resolution=np.deg2rad(0.03),
    )
    projector = Projector(beam.angles, sample.positions, 0.0)
    volume, _ = reconstruct(projector, ray_patterns(rng, sample, beam), np.ones(projector.rays), 100)
    return volume, sample.labels


def smooth_slice(axis: RadialAxis, rows: int = 40) -> Floats:
    """Made-up patterns that are smooth in q: the same function whatever axis they are sampled on."""
    q = from_two_theta(axis.two_theta, "q_A^-1", axis.wavelength)
    amount = np.repeat(np.linspace(0, 1, rows), 8).reshape(rows, 8, 1)
    glass, carbon = np.exp(-(((q - 1.55) / 0.25) ** 2)), 2 * np.exp(-(((q - 0.374) / 0.1) ** 2))
    return (amount * glass + (1 - amount) * carbon + 0.05 * q).astype(np.float32)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", ["auto", "ensemble", *(entry.name for entry in read_manifest(models_folder()).models)])
def test_an_unseen_phantom_is_named_rightly(name: str, unseen: tuple[Floats, npt.NDArray[np.int8]]) -> None:
    patterns, truth = unseen
    prediction = load_classifier(name).predict(patterns, AXIS)
    right = prediction.index == truth
    assert right[truth >= 0].mean() > 0.85
    for label, of in enumerate(CLASSES):
        assert right[truth == label].mean() > 0.6, of
    assert (prediction.index[truth < 0] == -1).all()
    assert prediction.index.dtype == np.int8
    assert prediction.probability.shape == (*truth.shape, len(CLASSES))
    assert np.all(prediction.probability[truth >= 0].sum(axis=1) <= 1 + 1e-5)


@pytest.mark.parametrize("factor", [1e3, 1e-4])
def test_the_unit_of_intensity_does_not_matter(
    classifier: AnyClassifier, unseen: tuple[Floats, npt.NDArray[np.int8]], factor: float
) -> None:
    patterns, _ = unseen
    expected = classifier.predict(patterns, AXIS)
    found = classifier.predict(patterns * np.float32(factor), AXIS)
    np.testing.assert_allclose(found.probability, expected.probability, atol=1e-4)


def test_a_part_of_a_slice_with_its_scale_gives_the_same(
    classifier: AnyClassifier, unseen: tuple[Floats, npt.NDArray[np.int8]]
) -> None:
    patterns, _ = unseen
    whole = classifier.predict(patterns, AXIS)
    first, last = 11, 23
    part = classifier.predict(patterns[first - REACH : last + REACH], AXIS, slice_scale(patterns, AXIS))
    own = slice(REACH, REACH + last - first)
    np.testing.assert_allclose(part.probability[own], whole.probability[first:last], atol=1e-5)


@pytest.mark.parametrize(
    "axis",
    [
        RadialAxis("q_A^-1", 0.1, 3.9, 1500, 0.41),
        RadialAxis("q_nm^-1", 1.0, 39.0, 1500, 0.8),
        RadialAxis("2th_deg", 0.5, 30.0, 2000, 0.8),
    ],
)
def test_wavelength_and_unit_do_not_matter(classifier: AnyClassifier, axis: RadialAxis) -> None:
    reference = RadialAxis("2th_deg", 0.5, 24.5, 2200, 0.6738)
    expected = classifier.predict(smooth_slice(reference), reference)
    found = classifier.predict(smooth_slice(axis), axis)
    np.testing.assert_allclose(found.probability, expected.probability, atol=0.02)


def test_rebinning_keeps_a_straight_line() -> None:
    """The mean of a linear function over a bin is its value in the middle."""
    axis = RadialAxis("q_A^-1", 0.0, 4.0, 997, 0.7)
    values = to_q_grid((3 * axis.centers + 1)[None].astype(np.float32), axis)
    np.testing.assert_allclose(values[0], 3 * Q_GRID.centers + 1, atol=2e-3)


def test_what_was_not_measured_stays_unknown_to_the_model() -> None:
    axis = RadialAxis("q_A^-1", 0.45, 3.0, 500, 0.7)
    patterns = np.ones((3, 500), np.float32)
    patterns[:, 200:240] = np.nan  # a gap
    values = to_q_grid(patterns, axis)
    gap = (Q_GRID.centers > axis.edges[200] + 0.02) & (Q_GRID.centers < axis.edges[240] - 0.02)
    missing = (Q_GRID.centers < 0.43) | (Q_GRID.centers > 3.02) | gap
    assert np.isnan(values[:, missing]).all()
    np.testing.assert_allclose(values[np.isfinite(values)], 1, rtol=1e-5)
    inputs = features(values, scale_of(values))
    known = np.flatnonzero(np.isfinite(values[0]))
    np.testing.assert_allclose(inputs[:, -3:-1] * Q_GRID.bins, np.tile(known[[0, -1]], (3, 1)), rtol=1e-5)
    inside = slice(known[0], known[-1] + 1)
    np.testing.assert_allclose(inputs[:, inside], np.arcsinh(4.0), rtol=1e-5)  # the gap is bridged
    assert not inputs[:, known[-1] + 1 : Q_GRID.bins].any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_non_finite_voxel_is_unknown_and_harms_no_other(
    classifier: AnyClassifier, unseen: tuple[Floats, npt.NDArray[np.int8]], bad: float
) -> None:
    patterns, _ = unseen
    expected = classifier.predict(patterns, AXIS)
    spoilt = patterns.copy()
    spoilt[17, 20, 300] = bad
    spoilt[9, 20] = bad
    spoilt[25, 20, 300:] = bad  # half of it was measured
    found = classifier.predict(spoilt, AXIS)
    assert found.index[17, 20] == found.index[9, 20] == found.index[25, 20] == -1
    assert (found.index == expected.index).mean() > 0.98  # neighbours may change


def test_nothing_to_judge_by_is_unknown(classifier: AnyClassifier) -> None:
    dark = np.zeros((5, 4, AXIS.bins), np.float32)
    assert (classifier.predict(dark, AXIS).index == -1).all()
    assert (classifier.predict(dark * np.nan, AXIS).index == -1).all()
    short = RadialAxis("q_A^-1", 1.2, 1.9, 100, 0.7)
    assert (classifier.predict(smooth_slice(short), short).index == -1).all()
    assert classifier.predict(dark[:0], AXIS).index.shape == (0, 4)


def test_silicon_is_unknown(classifier: AnyClassifier, unseen: tuple[Floats, npt.NDArray[np.int8]]) -> None:
    """a = 5.431 Å; intensities of the powder pattern: 111 100, 220 55, 311 30."""
    patterns, truth = unseen
    q = from_two_theta(AXIS.two_theta, "q_A^-1", AXIS.wavelength)
    lines = [(3, 100), (8, 55), (11, 30)]
    silicon = sum(h * np.exp(-(((q - 2 * np.pi * np.sqrt(n) / 5.431) / 0.012) ** 2) / 2) for n, h in lines)
    brightness = patterns[truth == 3].mean() / np.mean(silicon)
    chosen = (truth >= 0) & (np.add.outer(np.arange(40) // 3, np.arange(40) // 3) % 5 == 0)
    mixed = patterns.copy()
    mixed[chosen] = (0.3 * patterns[chosen] + brightness * silicon).astype(np.float32)
    assert (classifier.predict(mixed, AXIS).index[chosen] == -1).mean() >= 0.9


def spoilt_by(name: str, patterns: Floats, truth: npt.NDArray[np.int8]) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """The slice with a stranger as bright as a particle in 4 % of it, and where."""
    chosen = (truth >= 0) & (np.add.outer(np.arange(40) // 3, np.arange(40) // 3) % 20 == 0)
    spoilt = patterns.copy()
    if name == "the same everywhere":
        spoilt[chosen] = patterns[truth == 3].mean()
    else:
        places, areas = lines(name)
        q = from_two_theta(AXIS.two_theta, "q_A^-1", AXIS.wavelength)
        stranger = areas @ np.exp(-(((q - places[:, None]) / 0.012) ** 2) / 2)
        stranger *= patterns[truth == 3].mean() / stranger.mean()
        spoilt[chosen] = (0.4 * patterns[chosen] + 0.6 * stranger).astype(np.float32)
    return spoilt, chosen


@pytest.mark.parametrize("name", [*STRANGERS, "the same everywhere"])
def test_what_no_class_holds_is_unknown(
    classifier: AnyClassifier, unseen: tuple[Floats, npt.NDArray[np.int8]], name: str
) -> None:
    """A window, ice, another crystal; or what a detector did to them."""
    spoilt, chosen = spoilt_by(name, *unseen)
    assert (classifier.predict(spoilt, AXIS).index[chosen] == -1).mean() >= 0.9


@pytest.mark.parametrize("family", ["cnn", "svm", "knn"])
@pytest.mark.parametrize("name", STRANGERS)
def test_no_family_takes_a_stranger_for_what_it_knows(
    family: str, unseen: tuple[Floats, npt.NDArray[np.int8]], name: str
) -> None:
    """Iron, steel and copper have one line in reach, beside those of particles."""
    spoilt, chosen = spoilt_by(name, *unseen)
    assert (load_classifier(family).predict(spoilt, AXIS).index[chosen] == -1).mean() > 0.75


FAULTS = {
    "lower half": (0.0, 0.5, 0.0),
    "upper half": (0.5, 1.0, 0.0),
    "stripe": (0.45, 0.55, 0.0),
    "ceiling": (0.5, 1.0, 3.0),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_detector_s_fault_is_unknown(
    classifier: AnyClassifier, unseen: tuple[Floats, npt.NDArray[np.int8]], name: str
) -> None:
    """Bins of the axis that read nothing, or their ceiling, in 4 % of the slice, where the voxel had light there."""
    patterns, truth = unseen
    first, last, value = FAULTS[name]
    part = slice(round(first * AXIS.bins), round(last * AXIS.bins))
    chosen = (truth >= 0) & (np.add.outer(np.arange(40) // 3, np.arange(40) // 3) % 20 == 0)
    spoilt = patterns.copy()
    spoilt[chosen, part] = np.float32(value * patterns[truth == 3].mean())
    lit = chosen & ((patterns[..., part].mean(axis=2) > 0.1 * patterns[truth == 3].mean()) | (value > 0))
    assert lit.sum() > 30
    found = classifier.predict(spoilt, AXIS)
    assert (found.index[lit] == -1).mean() >= 0.9
    assert not found.probability[lit & (found.index == -1)].sum(axis=1).all()
    assert (found.index[~chosen & (truth >= 0)] == -1).mean() <= 0.02


@pytest.mark.parametrize(("counts", "most"), [(0.5, 0.02), (3.0, 0.002), (100.0, 0.0)])
def test_few_counts_are_no_fault(counts: float, most: float) -> None:
    """A raster's frames, of so many counts a bin in the mean: bins without any are many, and come in stretches."""
    q = from_two_theta(AXIS.two_theta, "q_A^-1", AXIS.wavelength)
    crystal = sum(np.exp(-(((q - place) / 0.012) ** 2)) for place in (1.32, 1.6, 1.9, 2.6, 2.9, 3.05))
    kinds = np.stack([0 * q, np.exp(-(((q - 1.55) / 0.25) ** 2)), np.exp(-(((q - 0.374) / 0.08) ** 2)), crystal])
    kinds = kinds / np.maximum(kinds.mean(axis=1, keepdims=True), 1e-9) + 0.05
    rng = np.random.default_rng(9)
    values = to_q_grid(rng.poisson(counts * rng.dirichlet(np.full(4, 0.3), 3000) @ kinds).astype(np.float32), AXIS)
    stretches = longest(still(values / np.float32(scale_of(values).level))).sum(axis=1)
    assert (stretches >= SHORTEST).mean() > {0.5: 0.5, 3.0: 0.01, 100.0: -1}[counts]
    assert faulty(values, scale_of(values)).mean() <= most


def test_the_longest_stretch() -> None:
    steps = np.array([[1, 1, 0, 1, 1, 1], [1, 1, 0, 1, 1, 0], [0] * 6, [1] * 6], bool)
    expected = [[0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 0], [0] * 6, [1] * 6]
    np.testing.assert_array_equal(longest(steps), np.array(expected, bool))


def test_bins_that_are_dead_everywhere_were_not_measured(
    classifier: AnyClassifier, unseen: tuple[Floats, npt.NDArray[np.int8]]
) -> None:
    patterns, _ = unseen
    dead, gone = patterns.copy(), patterns.copy()
    dead[..., 500:], gone[..., 500:] = 0, np.nan
    found, expected = classifier.predict(dead, AXIS), classifier.predict(gone, AXIS)
    assert (found.index == expected.index).mean() > 0.98  # the bin at the edge is seen by half


@pytest.mark.parametrize(
    ("low", "high", "matter"),
    [(0.2, 3.7, []), (0.3, 3.7, []), (0.4, 3.7, ["carbon"]), (1.5, 4.0, ["carbon"]), (1.65, 4.0, ["carbon", "glass"])],
)
def test_what_the_range_hardly_measures_is_told(low: float, high: float, matter: list[str]) -> None:
    """Carbon's hump is at 0.37 Å⁻¹, glass's at 1.55: without it a voxel of carbon looks as an empty one."""
    axis = RadialAxis("q_A^-1", low, high, 600, 0.7)
    assert hardly_measured(axis) == matter
    naming = Naming.from_config(ClassificationConfig(), axis, Implied.of([], axis))
    assert naming is not None
    assert naming.told()["model"]["unseen"] == matter
    _, *warned = naming.description()
    assert [line.split("'s hump")[0].split()[-1] for line in warned] == matter


def test_what_a_class_holds_is_known(classifier: AnyClassifier, unseen: tuple[Floats, npt.NDArray[np.int8]]) -> None:
    patterns, truth = unseen
    assert (classifier.predict(patterns, AXIS).index[truth >= 0] == -1).mean() <= 0.02


def test_the_golden_rows_come_out() -> None:
    models = read_manifest(models_folder()).models
    assert {entry.family for entry in models} == {"cnn", "mlp", "svm", "knn"}
    assert len(list(check_folder(models_folder()))) == len(models)


def test_the_manifest_s_grid_is_the_code_s(classifier: AnyClassifier) -> None:
    manifest = read_manifest(models_folder())
    entry = manifest.entry(manifest.default)
    assert QGrid(entry.q_low, entry.q_high, entry.q_bins) == Q_GRID
    assert classifier.classes == CLASSES
    assert hashlib.sha256((models_folder() / entry.file).read_bytes()).hexdigest() == classifier.sha256
    assert classifier.sha256 in (models_folder() / f"{entry.name}.md").read_text()


@pytest.mark.parametrize("flips", [50, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_flipped_bit_is_refused(tmp_path: Path, flips: int) -> None:
    folder = shutil.copytree(models_folder(), tmp_path / "models")
    manifest = read_manifest(folder)
    rng = np.random.default_rng(0)
    for name in [*(entry.file for entry in manifest.models), manifest.golden.file]:
        good = (folder / name).read_bytes()
        for at in rng.integers(8 * len(good), size=flips // 5).tolist():
            flipped = bytearray(good)
            flipped[at // 8] ^= 1 << (at % 8)
            (folder / name).write_bytes(flipped)
            with pytest.raises(StoreError, match="SHA-256"):
                list(check_folder(folder))
        (folder / name).write_bytes(good)
    assert load_classifier(str(folder)).classes == CLASSES


def test_names_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'resnet'.*auto"):
        load_classifier("resnet")
    with pytest.raises(ConfigError, match=r"manifest\.json"):
        load_classifier(str(tmp_path))
    golden = {"file": "golden.npy", "sha256": "0" * 64}
    models = [{"name": "a", "family": "svm", "file": "../../etc/passwd.onnx"}]
    (tmp_path / MANIFEST).write_text(json.dumps({"default": "a", "golden": golden, "models": models}))
    with pytest.raises(ConfigError, match=r"models\.0\.file"):
        load_classifier(str(tmp_path))


def reload(folder: Path, content: bytes) -> AnyClassifier:
    """Put a file under the manifest with the right hash, and load it."""
    manifest = json.loads((models_folder() / MANIFEST).read_text())
    entry = next(entry for entry in manifest["models"] if entry["name"] == manifest["default"])
    entry["sha256"] = hashlib.sha256(content).hexdigest()
    (folder / entry["file"]).write_bytes(content)
    (folder / MANIFEST).write_text(json.dumps({**manifest, "models": [entry]}))
    return load_classifier(str(folder))


def test_external_data_and_foreign_operators_are_refused(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="the extra `train` is not installed: no model can be altered")
    manifest = read_manifest(models_folder())
    entry = manifest.entry(manifest.default)
    good = (models_folder() / entry.file).read_bytes()

    outside = onnx.load_from_string(good)
    tensor = outside.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    with pytest.raises(StoreError, match="outside its file"):
        reload(tmp_path, outside.SerializeToString())

    custom = onnx.load_from_string(good)
    custom.graph.node[0].domain = "com.example"
    with pytest.raises(StoreError, match=r"com\.example"):
        reload(tmp_path, custom.SerializeToString())

    nested = onnx.load_from_string(good)
    body = onnx.helper.make_graph([onnx.helper.make_node("Evil", [], ["y"], domain="com.example")], "b", [], [])
    nested.graph.node.append(onnx.helper.make_node("If", ["c"], ["z"], then_branch=body, else_branch=body))
    with pytest.raises(StoreError, match=r"com\.example"):
        reload(tmp_path, nested.SerializeToString())

    for junk in (b"", b"\x00" * 100, good[: len(good) // 2], b"<html>not a model</html>"):
        with pytest.raises(StoreError, match="not"):
            reload(tmp_path, junk)


def test_importing_needs_no_training_tools() -> None:
    code = "import sys, stream.analyse.classify.choose; print([m for m in ('sklearn', 'onnx') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def constant(classes: list[int], sure: float) -> Prediction:
    """Of one row of voxels, each of a class with this probability; -1 where unknown."""
    probability = np.full((1, len(classes), len(CLASSES)), 0.01, np.float32)
    for place, label in enumerate(classes):
        if label >= 0:
            probability[0, place, label] = sure
    return Prediction(np.array([classes], np.int8), probability)


def test_a_vote() -> None:
    """The most name it; a tie goes to the more probable; unknown is a vote, too."""
    found = vote([constant([1, 2, -1, 3], 0.6), constant([1, 4, -1, 3], 0.9), constant([0, 2, 1, -1], 0.7)])
    assert found.index.tolist() == [[1, 2, -1, 3]]
    assert vote([constant([1], 0.6), constant([4], 0.9)]).index.tolist() == [[4]]


def test_auto_tells_its_choice_and_settles(unseen: tuple[Floats, npt.NDArray[np.int8]]) -> None:
    patterns, _ = unseen
    auto = load_classifier("auto")
    assert isinstance(auto, Auto)
    assert auto.name == read_manifest(models_folder()).default
    assert "no data" in auto.told["reason"]
    found = auto.predict(patterns, AXIS)
    assert "with the vote" in auto.told["reason"]
    assert "with clusters" in auto.told["reason"]
    assert auto.told["sha256"] == read_manifest(models_folder()).entry(auto.name).sha256
    np.testing.assert_array_equal(found.index, load_classifier(auto.name).predict(patterns, AXIS).index)
    auto.settle()
    assert "no data" in auto.told["reason"]


@pytest.mark.parametrize(
    ("share", "fitted", "kept"), [(0.05, None, True), (0.2, None, False), (0.08, 0.08, True), (0.08, 0.3, False)]
)
def test_the_best_by_its_card_is_kept_unless_it_contradicts_the_rest(
    unseen: tuple[Floats, npt.NDArray[np.int8]], share: float, fitted: float | None, kept: bool
) -> None:
    """All others are of one mind; the best names a share of the voxels otherwise, and another of the fitted ones."""
    patterns, truth = unseen
    auto = load_classifier("auto")
    assert isinstance(auto, Auto)
    common = auto.members[0].predict(patterns, AXIS)
    rng = np.random.default_rng(5)
    other = rng.random(truth.shape) < share
    off = Prediction(np.where(other, (common.index + 1) % len(CLASSES), common.index), common.probability)
    assert truth.size <= LOOKED_AT
    best, *others = auto.members
    best.judge = lambda values, scale: off  # type: ignore[method-assign]
    for member in others:
        member.judge = lambda values, scale: common  # type: ignore[method-assign]
    values = auto.values(patterns, AXIS)
    implied = None
    if fitted is not None:  # so many of the off ones among the fitted
        implied = common.index[..., None] == np.arange(len(CLASSES))
        implied[~other & (rng.random(truth.shape) < 1 - share / fitted)] = False
    auto.judge(values, auto.scale(values))
    assert auto.due(fitted=True)
    assert not auto.due(fitted=False)
    auto.look(values, auto.scale(values), implied)
    assert auto.due(fitted=True) is (implied is None)
    assert (auto.name == best.name) is kept
    assert auto.reason.startswith("the best by its card" if kept else "agrees best")
    agreed = (off.index == common.index)[truth >= 0].mean()
    assert f"{agreed:.1%} with the vote" in auto.reason
    if implied is None:
        assert "fit" not in auto.reason
    else:
        there = implied.any(axis=2) & (truth >= 0)
        assert f"{(off.index == common.index)[there].mean():.1%} with the fit" in auto.reason


def test_models_are_compared_again_as_the_data_double(
    unseen: tuple[Floats, npt.NDArray[np.int8]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What names the first projections best need not be the best for all of them."""
    patterns, truth = unseen
    auto = load_classifier("auto")
    naming = Naming(AXIS, Implied((), {}, {}), auto, Clusters(), Teaching())
    voxels = WholeSlice(patterns, truth >= 0, lambda some: np.ones((len(some), AXIS.bins), np.float32))
    planes, counted = naming.blank(truth.shape), []
    look = Mock(wraps=auto.look)
    monkeypatch.setattr(auto, "look", look)
    for _ in range(9):
        planes |= naming.live(0, voxels, planes, 60.0)
        naming._choice.awaited()
        counted.append(look.call_count)
    assert counted == [1, 2, 2, 3, 3, 3, 3, 4, 4]


def test_live_voxels_are_looked_at_again_when_they_are_fitted(unseen: tuple[Floats, npt.NDArray[np.int8]]) -> None:
    """First by vote and clusters alone, then with what a crystal's amounts allow, once."""
    patterns, truth = unseen
    auto = load_classifier("auto")
    naming = Naming(AXIS, Implied(("layered",), {}, {}), auto, Clusters(), Teaching())
    inside = truth >= 0
    voxels = WholeSlice(patterns, inside, lambda some: np.ones((len(some), AXIS.bins), np.float32))
    planes = {"phase_layered": np.where(truth >= 3, 7e-5, 0.0), "mask_layered": np.zeros(truth.shape, np.int8)}
    planes |= naming.blank(truth.shape)
    reasons = []
    for fitted in (0, 12, 40, 40):
        known = {**planes, "phase_layered": np.where(np.arange(40)[:, None] < fitted, planes["phase_layered"], np.nan)}
        planes |= naming.live(0, voxels, known, 60.0)
        naming._choice.awaited()
        reasons.append(auto.told["reason"])
    first, few, most, all_ = reasons
    assert "with clusters, of 4" in first == few
    assert "% with the fit, of 4" in most == all_
    assert (planes["class_index"] == truth)[inside].mean() > 0.85


def test_shared_information_is_scikit_learn_s() -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="the extra `train` is not installed")
    rng = np.random.default_rng(6)
    one = rng.integers(-1, 5, 500).astype(np.int8)
    other = np.where(rng.random(500) < 0.7, one // 2, rng.integers(0, 6, 500)).astype(np.int8)
    assert shared_information(one, other) == pytest.approx(metrics.normalized_mutual_info_score(one, other), rel=1e-9)
    assert shared_information(one, one) == pytest.approx(1.0)
    assert shared_information(one * 0, one * 0) == 1.0


def test_the_ensemble_tells_its_members() -> None:
    ensemble = load_classifier("ensemble")
    assert isinstance(ensemble, Ensemble)
    assert {member["name"] for member in ensemble.told["members"]} == {"cnn", "mlp", "svm", "knn"}
