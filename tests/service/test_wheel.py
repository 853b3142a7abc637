"""The wheel, installed by itself: what is no code comes along and is found."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FINDS = """
import json
from pathlib import Path
import stream
from stream.analyse.classify.choose import load_classifier
from stream.analyse.classify.model import models_folder
from stream.analyse.crystal.structure import load_structure
from stream.core.config.load import BUNDLED
from stream.dashboard.colours import STATIC
print(json.dumps({
    "package": stream.__file__,
    "static": sorted(str(path.relative_to(STATIC)) for path in STATIC.rglob("*") if path.is_file()),
    "cells": {name: load_structure(name).volume for name in BUNDLED},
    "models": str(models_folder()),
    "classes": list(load_classifier("auto").classes) if (models_folder() / "manifest.json").exists() else [],
}))
"""


def installer() -> list[str]:
    """The command that installs: pip of this environment, uv, or any pip there is (the wheel holds no binaries)."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "install", "--no-index"]
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if uv is not None:
        return [uv, "pip", "install", "--offline"]
    pip = shutil.which("pip")
    if pip is None:
        pytest.skip("NOTHING INSTALLS HERE: neither pip nor uv is at hand, so the wheel is not tested")
    return [pip, "install", "--no-index"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package alone in it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    target = folder / "site"
    subprocess.run([*installer(), "--no-deps", "--target", str(target), str(wheel)], check=True, capture_output=True)
    return target


def test_the_installed_package_finds_its_files(installed: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    answer = subprocess.run(
        [sys.executable, "-c", FINDS], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    )
    found = json.loads(answer.stdout)
    assert found["package"] == str(installed / "stream" / "__init__.py")
    static = ROOT / "stream" / "dashboard" / "static"
    assert found["static"] == sorted(str(path.relative_to(static)) for path in static.rglob("*") if path.is_file())
    assert found["cells"]["nmc622"] == pytest.approx(101.925, rel=1e-3)  # Å³
    assert found["cells"]["lab6"] == pytest.approx(4.1569**3, rel=1e-3)
    assert found["models"] == str(installed / "stream" / "_models")
    models = {path.name: path.read_bytes() for path in (ROOT / "models").iterdir()}
    assert {path.name: path.read_bytes() for path in (installed / "stream" / "_models").iterdir()} == models
    if "manifest.json" in models:
        assert found["classes"] == ["empty", "capillary", "carbon_binder", "particle", "particle_with_carbon"]


def test_the_command_is_installed(installed: Path) -> None:
    assert "braggstream = stream.cli:main" in (next(installed.glob("*.dist-info")) / "entry_points.txt").read_text()
