"""Runs are listed with what they hold; finished ones go by age and size when they are asked to, others never."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.fake_run import FakeRun
from typer.testing import CliRunner

from stream.cli.app import app
from stream.core.errors import RunDirectoryError, UsageError
from stream.core.files import write_json
from stream.core.rundir import RunDirectory
from stream.service.guard import take_lock
from stream.service.runs import DAY, list_runs, remove

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes a run directory whose last change lies some days back."""

    def made(name: str, status: str, days: float, published: bool = True) -> Path:
        run = FakeRun(tmp_path / name, size=5, angles=4)
        run.receive(1.0 if status == "complete" else 0.5, "acquiring" if status == "acquiring" else "ended")
        directory = run.directory
        directory.lock.touch()
        write_json(directory.state, {"status": status, "revision": 3, "frames_used": 20, "started": 1.8e9})
        write_json(directory.published, {"final": published, "revision": 3})
        for path in (directory.config, directory.state, directory.published):
            os.utime(path, (time.time() - days * DAY,) * 2)
        return run.path

    return made


def runs(folder: Path, *options: str, answer: str = "") -> Any:
    done = CliRunner().invoke(app, ["runs", str(folder), *options], input=answer)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def test_runs_are_listed_with_what_they_hold(make: Make, tmp_path: Path) -> None:
    old = make("old", "complete", 9)
    (old / "recording" / "raw-0001.h5").write_bytes(bytes(3_000_000))
    make("new", "acquiring", 0)
    (tmp_path / "notes").mkdir()
    make("torn", "complete", 4).joinpath("config.yaml").write_text("scan: [")
    found = {run.path.name: run for run in list_runs(tmp_path)}
    assert list(found) == ["old", "new", "torn"]
    assert (found["old"].status, found["old"].integrated, found["old"].expected) == ("complete", 20, 20)
    assert (found["new"].status, found["new"].integrated, found["new"].closed) == ("acquiring", 10, False)
    assert 3_000_000 < found["old"].size < 4_000_000
    assert found["new"].size < 1_000_000
    assert found["torn"].status is None
    assert "config.yaml" in found["torn"].problem
    shown = runs(tmp_path).stdout
    for words in ("3 in", "old", "NCM622", "complete", "20 of 20", "10 of 20", "2027-01-15", "not readable", "torn: "):
        assert words in shown


def test_only_finished_runs_go_by_age(make: Make, tmp_path: Path) -> None:
    paths = {
        "old": make("old", "complete", 40),
        "aborted": make("aborted", "aborted", 50),
        "unfinished": make("unfinished", "acquiring", 60),
        "incomplete": make("incomplete", "incomplete", 60),
        "unpublished": make("unpublished", "complete", 60, published=False),
        "young": make("young", "complete", 5),
    }
    assert "old" in runs(tmp_path, "--older-than", "30").stdout
    assert all(path.exists() for path in paths.values())  # --older-than alone shows them
    assert runs(tmp_path, "--older-than", "30", "--prune", answer="n\n").exit_code == 1
    assert all(path.exists() for path in paths.values())
    runs(tmp_path, "--older-than", "30", "--prune", answer="y\n")
    assert {name for name, path in paths.items() if not path.exists()} == {"old", "aborted"}


def test_the_oldest_go_until_the_rest_fits(make: Make, tmp_path: Path) -> None:
    first, second, third = (make(name, "complete", days) for name, days in (("a", 3), ("b", 2), ("c", 1)))
    sizes = {run.path: run.size for run in list_runs(tmp_path)}
    limit = (sizes[second] + sizes[third]) / 1e9
    assert f"removed {first}" in runs(tmp_path, "--down-to", str(limit), "--prune", "--yes").stdout
    assert (first.exists(), second.exists(), third.exists()) == (False, True, True)
    assert "0 in" in runs(tmp_path, "--down-to", str(limit), "--prune", "--yes").stdout


def test_a_run_in_use_stays(make: Make, tmp_path: Path) -> None:
    path = make("busy", "complete", 40)
    (run,) = list_runs(tmp_path)
    write_json(path / "state.json", {"status": "acquiring", "revision": 3})
    with pytest.raises(RunDirectoryError, match="not finished; it stays"):
        remove(run)
    write_json(path / "state.json", {"status": "complete", "revision": 3})
    other = make("other", "complete", 30)
    descriptor = take_lock(RunDirectory(path))
    try:
        with pytest.raises(RunDirectoryError, match="in use"):
            remove(run)
        said = runs(tmp_path, "--older-than", "0", "--prune", "--yes").stdout
    finally:
        os.close(descriptor)
    assert (path.exists(), other.exists()) == (True, False)
    assert f"kept: {path} is in use by another run" in said


def test_what_is_to_go_must_be_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--prune needs --older-than DAYS or --down-to GB"):
        runs(tmp_path, "--prune", "--yes")
    with pytest.raises(UsageError, match=f"there is no folder {tmp_path}/nothing"):
        runs(tmp_path / "nothing")
