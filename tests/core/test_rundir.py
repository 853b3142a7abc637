"""The run directory: one place for every file, and no run where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.bench import write_config

from stream import __version__
from stream.core.errors import ConfigError, RunDirectoryError
from stream.core.files import write_json
from stream.core.rundir import FORMAT, UNTOLD, RunDirectory


def test_every_file_has_a_place_of_its_own(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    names = [name for name in vars(RunDirectory) if isinstance(vars(RunDirectory)[name], property)]
    assert directory.fluorescence.path.parent == directory.path
    places = [getattr(directory, name) for name in names if name != "fluorescence"]
    assert len(set(places)) == len(places)
    assert all(place.parent == directory.path for place in places)


def test_creating_it_again_changes_nothing(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "a" / "run")
    directory.create()
    (directory.commands / "000001.json").write_text("{}")
    directory.create()
    assert sorted(path.name for path in directory.path.iterdir()) == ["commands", "logs", "recording"]
    assert (directory.commands / "000001.json").read_text() == "{}"


def test_the_config_of_a_run(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    with pytest.raises(RunDirectoryError, match=r"is not a run directory: it has no config\.yaml") as caught:
        directory.read_config()
    assert caught.value.exit_code == 2
    config = write_config(tmp_path)
    directory.write_config(config)
    assert directory.read_config() == config
    write_json(directory.format, {"format": FORMAT + 1, "software": "9.2"})
    with pytest.raises(RunDirectoryError, match=r"written by braggstream 9\.2, .*: use the later one") as caught:
        directory.read_config(oldest=UNTOLD)
    assert __version__ in str(caught.value)
    directory.format.unlink()  # as in a directory from before formats were told
    with pytest.raises(
        RunDirectoryError, match=f"format {UNTOLD}, .*`braggstream replay {tmp_path}` makes a run of this"
    ):
        directory.read_config()
    assert directory.read_config(oldest=UNTOLD) == config
    directory.write_config(config)
    config.detector.geometry.unlink()
    with pytest.raises(ConfigError, match=r"detector\.geometry .* there is no such file"):
        directory.read_config()
