"""Configs that leave the grid to a plan: what is known of them beforehand, and which run is next."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from helpers.chain import tiny_site
from typer.testing import CliRunner

from stream.cli.app import app
from stream.core.config import load_config
from stream.core.documents import Document
from stream.core.errors import ConfigError
from stream.core.files import write_json
from stream.core.rundir import RunDirectory
from stream.service.watch import awaits_plan, config_for, next_job

START = Document("start", {"uid": "u", "motors": ["rot", "x"], "shape": [5, 7], "extents": [[0, 144], [-3, 3]]})


def planned(folder: Path, **scan: object) -> Path:
    site = tiny_site(folder, bluesky={"endpoint": "tcp://127.0.0.1:1"})
    site.config["scan"] = {"name": "tiny", "index": "bluesky", **scan}
    return site.write()


def test_validate_knows_that_a_grid_will_come(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["validate", str(planned(tmp_path))])
    assert told.exit_code == 0, told.output
    assert "scan tiny: its grid comes with the start document of a plan" in told.output
    assert "disk" not in told.output


def test_the_plan_tells_what_the_config_leaves_out(tmp_path: Path) -> None:
    path = planned(tmp_path)
    assert awaits_plan(path)
    scan = config_for(path, START).scan
    assert (scan.angles.size, scan.positions.count, scan.positions.start) == (5, 7, -3.0)
    named = planned(tmp_path, positions={"start": -6.0, "step": 2.0, "count": 7})
    assert config_for(named, START).scan.positions.start == -6.0
    with pytest.raises(ConfigError, match="tells no grid"):
        config_for(path, Document("start", {"uid": "u"}))


def test_what_was_cut_short_goes_first(tmp_path: Path) -> None:
    path, runs = tiny_site(tmp_path).path, tmp_path / "runs"
    for n, status in ((1, "complete"), (2, "acquiring"), (10, "waiting")):
        directory = RunDirectory(runs / f"tiny-{n}")
        directory.create()
        directory.lock.touch()
        directory.write_config(load_config(path))
        write_json(directory.state, {"status": status})
    job = next_job(path, runs, None, threading.Event())
    assert job is not None
    assert job.output == runs / "tiny-2"
    write_json(RunDirectory(runs / "tiny-2").state, {"status": "incomplete"})
    write_json(RunDirectory(runs / "tiny-10").state, {"status": "aborted"})
    job = next_job(path, runs, None, threading.Event())
    assert job is not None
    assert (job.output, job.config.scan.name) == (runs / "tiny-3", "tiny-3")
