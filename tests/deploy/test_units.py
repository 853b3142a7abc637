"""The systemd units: what systemd itself thinks of them, and that they call what there is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from facility import DEPLOY
from typer.main import get_command

from stream.cli.app import app

UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
EXPOSURE = 2.0  # of 10; what is left is the network, its devices of no harm, and code that is compiled in memory


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units as they would be installed, templates with an instance, their programs there."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here (Debian: apt install systemd)")
    for program in ("braggstream", "tiled"):
        (tmp_path / program).symlink_to("/bin/true")
    shutil.copytree(DEPLOY / "systemd/braggstream-.service.d", tmp_path / "units/braggstream-.service.d")
    for unit in UNITS:
        text = unit.read_text().replace("/opt/braggstream/bin", str(tmp_path))
        (tmp_path / "units" / unit.name.replace("@", "@beamline")).write_text(text)
    return tmp_path / "units"


def analyze(units: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:"}
    return subprocess.run(["systemd-analyze", *arguments], env=environment, capture_output=True, text=True)


def test_systemd_finds_nothing_wrong(units: Path) -> None:
    done = analyze(units, "verify", "--man=no", *map(str, units.glob("*.service")))
    assert (done.returncode, done.stderr) == (0, "")


def test_each_unit_is_in_the_sandbox(units: Path) -> None:
    for unit in units.glob("*.service"):
        threshold = f"--threshold={round(EXPOSURE * 10)}"
        done = analyze(units, "security", "--offline=true", "--no-pager", threshold, str(unit))
        assert done.returncode == 0, done.stdout


def test_units_call_commands_that_there_are() -> None:
    commands = set(get_command(app).commands)  # type: ignore[attr-defined]
    called = {
        unit.name: re.findall(r"^ExecStart=/opt/braggstream/bin/(\w+) (\w+)", unit.read_text(), re.M) for unit in UNITS
    }
    assert called.pop("braggstream-tiled.service") == [("tiled", "serve")]
    assert len(called) == 2
    for ((program, command),) in called.values():
        assert program == "braggstream"
        assert command in commands


def test_tiled_does_not_start_where_a_variable_of_its_config_is_unset() -> None:
    wanted = set(re.findall(r"\$\{(\w+)\}", (DEPLOY / "tiled/config.yml").read_text().partition("\ncatalog:")[2]))
    (check,) = re.findall(
        r"^ExecStartPre=/bin/sh -c '(.+)'$", (DEPLOY / "systemd/braggstream-tiled.service").read_text(), re.M
    )
    environment = dict.fromkeys((*wanted, "PGPASSWORD"), "set")
    assert subprocess.run(["sh", "-c", check], env=environment).returncode == 0
    for name in environment:
        for unset in ({}, {name: ""}):
            without = {key: value for key, value in environment.items() if key != name} | unset
            done = subprocess.run(["sh", "-c", check], env=without, capture_output=True, text=True)
            assert done.returncode != 0
            assert name in done.stderr
