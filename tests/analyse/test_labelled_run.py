"""Clusters named in a running scan: learnt from beside the updates, used from then on, the same in a replay."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from helpers.chain import assert_identical, results, tiny_site

from stream.analyse.classify.check import check_folder
from stream.analyse.classify.learn import own
from stream.analyse.classify.manifest import CLASSES, read_manifest
from stream.analyse.pipeline import Pipeline
from stream.analyse.process import Follower
from stream.cli.train import train
from stream.core.axis import RadialAxis, from_two_theta
from stream.core.commands import post_command
from stream.core.config import load_config
from stream.core.errors import UsageError
from stream.core.messages import Pattern
from stream.core.revision import Revision, read_revision
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.ingest.journal import Journal
from stream.ingest.ledger import FrameRow, Ledger
from stream.ingest.ledger_reader import LedgerReader
from stream.simulate.training.labelled import labelled_slices

N, BINS = 12, 240
AXIS = RadialAxis("2th_deg", 1.0, 20.0, BINS, 0.6738)
KINDS = ("empty", "capillary", "particle")  # of four rows each
TRUTH = np.repeat([CLASSES.index(kind) for kind in KINDS], N * N // 3).reshape(N, N)


def counts() -> np.ndarray:
    """(N · N, BINS) of a raster: air, then glass, then crystals."""
    q = from_two_theta(AXIS.two_theta, "q_A^-1", AXIS.wavelength)
    crystal = sum(np.exp(-(((q - place) / 0.03) ** 2)) for place in (1.32, 2.6, 3.05))
    means = np.stack([0 * q, 60 * np.exp(-(((q - 1.55) / 0.25) ** 2)), 300 * crystal]) + 4.0
    return np.random.default_rng(8).poisson(np.repeat(means, N * N // 3, axis=0)).astype(np.float32)


def of_clusters(index: np.ndarray) -> dict[int, str]:
    """The class of each cluster (y, x) by most of its voxels."""
    numbers = [int(k) for k in np.unique(index[index >= 0])]
    return {k: CLASSES[int(np.bincount(TRUTH[index == k]).argmax())] for k in numbers}


@dataclass
class Raster:
    """A run directory of a raster whose journal the test fills."""

    folder: Path
    model: str | None = "mlp"
    directory: RunDirectory = field(init=False)

    def __post_init__(self) -> None:
        scan = {"mode": "raster", "angles": None, "slices": {"start": 0.0, "step": 2.0, "count": N}}
        changes = {"integration": {"bins": BINS}, "reconstruction": {"update_every": 0.1}, "regions": []}
        site = tiny_site(self.folder, scan=scan, phases=[], classification={"model": self.model}, **changes)
        self.config = load_config(site.path)
        self.directory = RunDirectory(self.folder / "run")
        self.directory.create()
        self.directory.write_config(self.config)
        self.grid = ScanGrid.from_config(self.config.scan)
        self.ledger = Ledger.open(self.directory.ledger)
        self.journal = Journal.create(self.directory.journal, self.grid.size, BINS)
        self.ledger.commit(phase="waiting", axis=asdict(AXIS), background=None, distance_um=1e5)

    def add(self, frames: Iterable[int], phase: str = "acquiring") -> None:
        for n, sums in [(n, counts()[n]) for n in frames]:
            row = FrameRow(slot=n, series="1", frame=n, monitor=1.0, received=0.0)
            self.journal.write(row, Pattern(sums=sums, norms=np.ones(BINS, np.float32), variances=sums))
            self.ledger.add(row)
        self.ledger.commit(phase=phase)

    def follower(self) -> Follower:
        """Analyse as a process that has just started."""
        pipeline = Pipeline.create(self.directory, self.config, self.grid, AXIS, None)
        reader = LedgerReader(self.directory.ledger, self.grid)
        follower = Follower(self.directory, self.config, reader, Journal.read_only(self.directory.journal), pipeline)
        follower.resume()
        return follower

    @property
    def revision(self) -> Revision:
        revision = read_revision(self.directory.revision)
        assert revision is not None
        return revision

    def has_clusters(self) -> bool:
        """They come with the revision after the first."""
        return self.directory.revision.exists() and self.revision.metadata["cluster_partition"] is not None

    def name(self) -> list[dict[str, Any]]:
        """Call each cluster what most of its voxels are, as a user does."""
        clusters = of_clusters(self.revision.arrays["maps/cluster_index"][0])
        names = [{"cluster": cluster, "label": kind} for cluster, kind in clusters.items()]
        partition = self.revision.metadata["cluster_partition"]
        post_command(self.directory.commands, "labels", {"labels": names, "partition": partition})
        return names


def until(follower: Follower, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        follower.turn()
        time.sleep(0.02)


def right(revision: Revision) -> float:
    return float((revision.arrays["maps/class_index"][0] == TRUTH).mean())


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Raster:
    """A run whose clusters were named while it went on, at its end."""
    run = Raster(tmp_path_factory.mktemp("labelled"))
    follower = run.follower()
    run.add([n for n in range(N * N) if n % 10])
    until(follower, run.has_clusters)
    first = run.revision
    assert first.metadata["model"]["name"] == "mlp"
    names = run.name()
    until(follower, lambda: run.revision.metadata["model"].get("labels_state") == "in use")
    live = run.revision
    assert not live.metadata["final"]
    model = live.metadata["model"]
    assert (model["name"], model["chosen"], model["labels"]) == ("own", "labels", names)
    assert model["sha256"] == read_manifest(run.directory.models).entry("own").sha256
    until(follower, lambda: right(run.revision) > 0.85)
    glass = np.s_[0, 4:8]  # of one cluster, where air may be of any: nothing but noise is in it
    np.testing.assert_array_equal(live.arrays["maps/cluster_index"][glass], first.arrays["maps/cluster_index"][glass])
    run.add([n for n in range(N * N) if not n % 10], "ended")
    until(follower, lambda: bool(run.revision.metadata["final"]))
    return run


def test_the_final_result_has_the_users_classes(labelled: Raster) -> None:
    final = labelled.revision
    assert final.metadata["status"] == "complete"
    assert final.metadata["model"]["name"] == "own"
    assert right(final) > 0.97
    assert len(list(check_folder(labelled.directory.models))) == 1


def test_a_replay_of_frames_and_commands_changes_no_bit(labelled: Raster, tmp_path: Path) -> None:
    """All frames at once, and the labels before the first of them, as a replay has them."""
    again = Raster(tmp_path)
    shutil.copytree(labelled.directory.commands, again.directory.commands, dirs_exist_ok=True)
    again.add(reversed(range(N * N)), "ended")
    until(follower := again.follower(), lambda: follower.status.final)
    assert again.revision.metadata["model"]["sha256"] == labelled.revision.metadata["model"]["sha256"]
    assert_identical(results(labelled.directory.path), results(again.directory.path))


def test_labels_survive_a_restart_of_a_finished_run_that_is_computed_again(labelled: Raster) -> None:
    before = results(labelled.directory.path)
    follower = labelled.follower()
    assert follower.status.final
    post_command(labelled.directory.commands, "recompute", {})
    number = labelled.revision.number
    until(follower, lambda: labelled.revision.number > number and follower.status.final)
    assert labelled.revision.metadata["model"]["name"] == "own"
    assert_identical(before, results(labelled.directory.path))


def test_labels_survive_a_restart_in_the_middle(tmp_path: Path) -> None:
    run = Raster(tmp_path)
    run.add(n for n in range(N * N) if n % 10)
    until(run.follower(), run.has_clusters)
    run.name()
    again = run.follower()
    until(again, lambda: run.revision.metadata["model"].get("labels_state") == "in use")
    assert not run.revision.metadata["final"]


def test_learning_holds_no_update_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one takes its time, revisions come, with the model of before."""
    free, learn = threading.Event(), own.learn

    def slow(*arguments: Any) -> own.Own:
        assert free.wait(60)
        return learn(*arguments)

    monkeypatch.setattr(own, "learn", slow)
    run = Raster(tmp_path)
    run.add(range(N * N))
    follower = run.follower()
    until(follower, run.has_clusters)
    run.name()
    number = run.revision.number
    until(follower, lambda: run.revision.number >= number + 2)
    model = run.revision.metadata["model"]
    free.set()
    assert (model["name"], model["labels_state"]) == ("mlp", "being learnt")
    until(follower, lambda: run.revision.metadata["model"]["labels_state"] == "in use")


def test_labels_that_the_final_data_do_not_bear_out_are_told(tmp_path: Path) -> None:
    run = Raster(tmp_path)
    run.add(range(N * N))
    follower = run.follower()
    until(follower, run.has_clusters)
    names = run.name()
    few = {"labels": names[:1], "partition": run.revision.metadata["cluster_partition"]}
    post_command(run.directory.commands, "labels", few)
    run.ledger.commit(phase="ended")
    until(follower, lambda: follower.status.final)
    model = run.revision.metadata["model"]
    assert model["name"] == "mlp"
    assert model["labels_state"].startswith("not learnt: labels name empty: a classifier learns")


def test_without_a_model_there_is_nothing_to_label(tmp_path: Path) -> None:
    run = Raster(tmp_path, model=None)
    run.add(range(N * N), "ended")
    partition = {"bins": [], "mean": [], "vectors": [], "nodes": [], "group": [], "reach": None}
    post_command(run.directory.commands, "labels", {"labels": [], "partition": partition})
    until(follower := run.follower(), lambda: follower.status.final)
    assert run.revision.metadata["model"] is None


def test_a_model_of_a_stored_run_names_the_voxels_of_another(
    labelled: Raster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`braggstream train --run --labels`, with names of clusters and with classes of voxels."""
    clusters = of_clusters(labelled.revision.arrays["maps/cluster_index"][0])
    names = tmp_path / "names.json"
    names.write_bytes(orjson.dumps({"labels": [{"cluster": k, "label": kind} for k, kind in clusters.items()]}))
    np.save(drawn := tmp_path / "drawn.npy", TRUTH[None])
    for labels in (names, drawn):
        train(folder := tmp_path / labels.stem, run=labelled.directory.path, labels=labels)
        assert str(folder / "own.onnx") in capsys.readouterr().out
        assert len(list(check_folder(folder))) == 1
    other = Raster(tmp_path / "other", model=str(tmp_path / "names"))
    other.add(range(N * N), "ended")
    until(follower := other.follower(), lambda: follower.status.final)
    assert (other.revision.metadata["model"]["name"], right(other.revision) > 0.97) == ("own", True)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "which cannot be read as names of clusters"),
        (b'{"labels": [{"cluster": 99, "label": "empty"}]}', "labels.0.cluster is 99, which has no voxel"),
        (b'{"labels": [{"cluster": 0, "label": "gold"}]}', "labels.0.label is 'gold'"),
    ],
)
def test_names_of_a_stored_run_that_cannot_be_used(
    labelled: Raster, tmp_path: Path, content: bytes, words: str
) -> None:
    (path := tmp_path / "names.json").write_bytes(content)
    with pytest.raises(UsageError, match=words):
        labelled_slices(labelled.directory.path, path)


def test_classes_that_are_all_unknown(labelled: Raster, tmp_path: Path) -> None:
    np.save(path := tmp_path / "none.npy", np.full((1, N, N), -1))
    with pytest.raises(UsageError, match="which gives no voxel a class"):
        labelled_slices(labelled.directory.path, path)
