"""A run directory of another format is refused by every command that would read it wrongly, and stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.chain import Site, tiny_site
from typer.testing import CliRunner

from stream.cli.app import app
from stream.core.config import load_config
from stream.core.errors import RunDirectoryError
from stream.core.files import write_json
from stream.core.rundir import FORMAT, RunDirectory

COMMANDS: dict[str, Callable[[Site, Path], list[str]]] = {
    "run": lambda site, run: ["run", str(site.path), "--output", str(run), "--once"],
    "replay": lambda _, run: ["replay", str(run), "--once"],
    "replay with a config": lambda site, run: ["replay", str(run), "--config", str(site.path), "--once"],
    "replay of a file": lambda _, run: ["replay", str(run / "recording" / "raw-0001.h5"), "--once"],
    "inspect": lambda _, run: ["inspect", str(run)],
    "export": lambda _, run: ["export", str(run)],
    "report": lambda _, run: ["report", str(run)],
    "backfill": lambda site, run: ["backfill", str(run), str(site.path)],
}


LATER, EARLIER = {"format": FORMAT + 1, "software": "9.2"}, {"format": FORMAT - 1, "software": "0.0.9"}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """With a run of the next format."""
    site = tiny_site(tmp_path)
    directory = RunDirectory(tmp_path / "run")
    directory.create()
    directory.write_config(load_config(site.path))
    directory.config.write_text(directory.config.read_text() + "invented: later\n")
    directory.lock.touch()
    (directory.recording / "raw-0001.h5").touch()
    write_json(directory.format, LATER)
    return site


def refused(site: Site, name: str, words: str) -> None:
    """By a sentence with these words, before anything is touched."""
    run = site.folder / "run"
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    with pytest.raises(RunDirectoryError, match=words) as caught:
        CliRunner().invoke(app, COMMANDS[name](site, run), catch_exceptions=False)
    assert caught.value.exit_code == 2
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before
    assert not (site.folder / "runs").exists()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_directory_of_another_format_is_refused(site: Site, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(site.folder)
    refused(site, name, r"written by braggstream 9\.2.*use the later one")
    write_json(site.folder / "run" / "format.json", EARLIER)
    if not name.startswith("replay"):  # which makes a run of this format from its recording
        refused(site, name, f"`braggstream replay {site.folder / 'run'}` makes a run of this format")


def test_runs_lists_a_later_one_with_the_reason_and_prunes_an_earlier_one(site: Site) -> None:
    directory = RunDirectory(site.folder / "run")
    directory.write_config(load_config(site.path))
    write_json(directory.state, {"status": "complete", "revision": 3})
    write_json(directory.published, {"final": True, "revision": 3})
    write_json(directory.format, LATER)
    prune = ["runs", str(site.folder), "--older-than", "0", "--prune", "--yes"]
    shown = CliRunner().invoke(app, prune[:2]).stdout
    assert "not readable" in shown
    assert "written by braggstream 9.2" in " ".join(shown.split())
    assert CliRunner().invoke(app, prune).exit_code == 0
    assert directory.path.is_dir()
    write_json(directory.format, EARLIER)
    assert "complete" in CliRunner().invoke(app, prune[:2]).stdout
    assert CliRunner().invoke(app, prune).exit_code == 0
    assert not directory.path.exists()
