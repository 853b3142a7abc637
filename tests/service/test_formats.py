"""A run directory of a later version is refused by every command that would read or change it, and stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.chain import Site, tiny_site
from typer.testing import CliRunner

from stream.cli.app import app
from stream.core.config import load_config, write_resolved
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


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """With a run of the next format."""
    site = tiny_site(tmp_path)
    directory = RunDirectory(tmp_path / "run")
    directory.create()
    write_resolved(load_config(site.path), directory.config)
    directory.config.write_text(directory.config.read_text() + "invented: later\n")
    directory.lock.touch()
    (directory.recording / "raw-0001.h5").touch()
    write_json(directory.format, {"format": FORMAT + 1, "software": "9.2"})
    return site


@pytest.mark.parametrize("name", COMMANDS)
def test_a_directory_of_a_later_version_is_refused(site: Site, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = site.folder / "run"
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    monkeypatch.chdir(site.folder)
    with pytest.raises(RunDirectoryError, match=r"written by braggstream 9\.2") as caught:
        CliRunner().invoke(app, COMMANDS[name](site, run), catch_exceptions=False)
    assert caught.value.exit_code == 2
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before
    assert not (site.folder / "runs").exists()


def test_runs_lists_it_with_the_reason_and_does_not_prune_it(site: Site) -> None:
    done = CliRunner().invoke(app, ["runs", str(site.folder), "--older-than", "0", "--prune", "--yes"])
    assert done.exit_code == 0
    assert (site.folder / "run").is_dir()
    done = CliRunner().invoke(app, ["runs", str(site.folder)])
    assert "not readable" in done.stdout
    assert "written by braggstream 9.2" in " ".join(done.stdout.split())
