"""What is refused: one sentence on standard error, no traceback, the exit code of its kind, nothing touched."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from helpers.chain import Command, Site, tiny_site
from helpers.ports import free_port

from stream.core.config import load_config
from stream.core.files import read_json, write_json
from stream.core.lifecycle import Status
from stream.core.rundir import RunDirectory


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return tiny_site(tmp_path)


def begun(site: Site, status: Status) -> RunDirectory:
    """A run directory as a run leaves it in this state."""
    directory = RunDirectory(site.folder / "run")
    directory.create()
    directory.write_config(load_config(site.path))
    directory.lock.touch()
    write_json(directory.state, {"status": status, "revision": 3, "frames_used": 20, "started": 0.0})
    return directory


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file with its time and bytes."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def refused(command: Command, code: int, *words: str) -> None:
    """One sentence that has these words, and this exit code."""
    assert command.wait() == code, command.err
    assert command.err.startswith("braggstream: ")
    assert "\n" not in command.err
    for word in words:
        assert word in command.err
    assert command.out == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"integration": {"bin": 500}}, ("integration.bin", "500")),
        ({"detector": {"geometry": "elsewhere.poni"}}, ("detector.geometry", "elsewhere.poni")),
        ({"integration": {"range": [20, 1]}}, ("integration.range", "[20, 1]")),
        ({"scan": {"angles": {"count": 0}}}, ("scan.angles.count", "0")),
        ({"scan": {"mode": "raster"}}, ("scan: mode", "raster")),
    ],
    ids=["unknown key", "missing PONI", "bad range", "bad count", "many angles"],
)
def test_a_wrong_config(site: Site, changes: dict[str, Any], words: tuple[str, ...]) -> None:
    site.write(**changes)
    refused(site.run(), 2, *words)
    assert not (site.folder / "run").exists()


def test_a_file_that_cannot_be_used_is_found_before_a_directory_is_made(site: Site) -> None:
    (site.folder / "detector.poni").write_text("Distance: far\n")
    refused(site.run(), 2, "detector.geometry", "detector.poni")
    assert not (site.folder / "run").exists()


def test_a_busy_directory(site: Site) -> None:
    directory = begun(site, Status.ACQUIRING)
    descriptor = os.open(directory.lock, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        before, start = contents(directory.path), time.monotonic()
        refused(site.run(), 2, str(directory.path), "in use")
        assert 5 < time.monotonic() - start < 12  # 5 s for an earlier run to end, besides the command's own start
        assert contents(directory.path) == before
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("status", [Status.COMPLETE, Status.ABORTED])
def test_a_finished_run(site: Site, status: Status) -> None:
    directory = begun(site, status)
    write_json(directory.published, {"final": True, "revision": read_json(directory.state)["revision"]})
    before = contents(directory.path)
    refused(site.run(), 2, str(directory.path), status.value)
    assert contents(directory.path) == before


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"scan": {"positions": {"step": 2.5}}}, "scan.positions.step"),
        ({"detector": {"monitor": None}}, "detector.monitor"),
        ({"integration": {"bins": 301}}, "integration.bins"),
    ],
    ids=["scan", "detector", "integration"],
)
def test_a_resumed_run_with_another_section(site: Site, changes: dict[str, Any], key: str) -> None:
    directory = begun(site, Status.ACQUIRING)
    before = contents(directory.path)
    site.write(**changes)
    refused(site.run(), 2, key)
    assert contents(directory.path) == before


@pytest.mark.parametrize("name", ["thesis.tex", "config.yaml"])
def test_a_directory_with_other_files(site: Site, name: str) -> None:
    folder = site.folder / "run"
    folder.mkdir()
    (folder / name).write_bytes(site.path.read_bytes())
    before = contents(folder)
    refused(site.run(), 2, str(folder), "not empty")
    assert contents(folder) == before


def test_a_port_that_is_taken(site: Site) -> None:
    other = ("run", site.path, "--output", "other")
    with socket.create_server(("127.0.0.1", site.page)), socket.create_server(("127.0.0.1", site.tiled)):
        page = site.run()
        tiled = site.command(*other, BRAGGSTREAM__DASHBOARD__PORT=str(free_port()))
        refused(page, 4, "dashboard.port", str(site.page))
        refused(tiled, 4, "publish.port", str(site.tiled))
    # nothing that would stand in the way of the same command
    assert [path.name for path in (site.folder / "run").iterdir()] == ["lock"]


def test_an_open_page_without_a_key(site: Site) -> None:
    site.write(dashboard={"host": "0.0.0.0"})
    refused(site.command("run", site.path, "--output", "run", BRAGGSTREAM_KEY=""), 2, "dashboard.host", "0.0.0.0")
    assert not (site.folder / "run").exists()


def test_a_key_in_the_config(site: Site) -> None:
    site.write(dashboard={"api_key": "secret"})
    refused(site.run(), 2, "dashboard.api_key")


def test_replay_of_what_holds_no_frames(site: Site) -> None:
    directory = begun(site, Status.COMPLETE)
    refused(site.command("replay", directory.path), 2, str(directory.path))
    refused(site.command("replay", site.folder / "nowhere"), 2, "nowhere")
    assert not (site.folder / "runs").exists()


def test_a_speed_that_is_none(site: Site) -> None:
    (site.folder / "raw.h5").touch()
    refused(site.command("replay", "raw.h5", "--config", site.path, "--speed", "-1"), 2, "--speed", "-1")


def test_status_where_nothing_listens(site: Site) -> None:
    refused(site.command("status", f"http://127.0.0.1:{site.page}"), 4, str(site.page))


def test_a_command_line_that_means_nothing(site: Site) -> None:
    command = site.command("run")
    assert command.wait() == 2
    assert "Usage: braggstream run" in command.err
    assert "config" in command.err
    assert "Traceback" not in command.err
