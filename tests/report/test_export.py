"""Exported files hold the numbers of the maps, with unit and scale, and nothing is written over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from helpers.fake_run import CLASSES, FakeRun
from PIL import Image
from typer.testing import CliRunner

from stream.cli.app import app
from stream.core.errors import UsageError
from stream.core.revision import read_revision
from stream.dashboard.colours import paint

STRAIN = "ncm622-cycled_strain_layered"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> FakeRun:
    run = FakeRun(tmp_path_factory.mktemp("export") / "run", size=21, slices=2)
    run.advance(0.5)
    return run


def export(run: FakeRun, folder: Path, *options: str) -> list[str]:
    """What the command wrote, as it says."""
    done = CliRunner().invoke(app, ["export", str(run.path), "--output", str(folder), *options])
    if done.exception is not None:
        raise done.exception
    written = done.stdout.split()
    assert sorted(written) == sorted(str(path) for path in folder.iterdir())
    return [Path(path).name for path in written]


def expected(run: FakeRun, name: str = "strain_layered") -> Any:
    revision = read_revision(run.directory.revision)
    assert revision is not None
    return revision.arrays[f"maps/{name}"]


def test_tiff_has_scale_and_unit(run: FakeRun, tmp_path: Path) -> None:
    assert export(run, tmp_path, "--format", "tiff", "--map", "strain_layered") == [f"{STRAIN}.tiff"]
    with tifffile.TiffFile(tmp_path / f"{STRAIN}.tiff") as file:
        stack, told = file.asarray(), file.imagej_metadata
        tags = file.pages[0].tags
        assert stack.dtype == np.float32
        np.testing.assert_array_equal(stack, expected(run))
        assert told is not None
        assert (told["unit"], told["spacing"], tags["XResolution"].value) == ("um", 2.0, (1, 1))
        assert json.loads(told["Info"]).items() >= {"map": "strain_layered", "unit": "1", "revision": 1}.items()


def test_each_slice_is_a_table_and_a_picture(run: FakeRun, tmp_path: Path) -> None:
    for form in ("csv", "png"):
        names = export(run, tmp_path / form, "--format", form, "--map", "strain_layered")
        assert names == [f"{STRAIN}_slice{s}.{form}" for s in range(2)]
    for s, plane in enumerate(expected(run)):
        table = np.loadtxt(tmp_path / f"csv/{STRAIN}_slice{s}.csv", delimiter=",")
        np.testing.assert_allclose(table, plane, rtol=1e-6)
        with Image.open(tmp_path / f"png/{STRAIN}_slice{s}.png") as picture:
            np.testing.assert_array_equal(np.asarray(picture), paint(plane, "plasma"))
            assert json.loads(picture.info["Description"])["slice"] == s


def test_all_maps_and_each_class_are_written(run: FakeRun, tmp_path: Path) -> None:
    names = export(run, tmp_path, "--format", "npy")
    revision = read_revision(run.directory.revision)
    assert revision is not None
    assert len(names) == len(revision.maps) + len(CLASSES)
    found = np.load(tmp_path / "ncm622-cycled_class_probability_particle.npy", allow_pickle=False)
    np.testing.assert_array_equal(found, expected(run, "class_probability")[:, CLASSES.index("particle")])


def test_results_are_copied_and_nothing_is_written_over(run: FakeRun, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no results\.nxs: its final maps are not stored"):
        export(run, tmp_path)
    run.directory.results.write_bytes(b"nexus" * 9)
    try:
        assert export(run, tmp_path) == ["ncm622-cycled.nxs"]
        assert (tmp_path / "ncm622-cycled.nxs").read_bytes() == b"nexus" * 9
        with pytest.raises(UsageError, match=r"ncm622-cycled\.nxs exists; give another --output"):
            export(run, tmp_path)
    finally:
        run.directory.results.unlink()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--map", "strain_layered"], "--map is 'strain_layered': it goes with --format"),
        (["--format", "csv", "--map", "strain_leyered"], "--map is 'strain_leyered'; ncm622-cycled has a_layered, c_"),
    ],
)
def test_what_cannot_be_exported_is_named(run: FakeRun, tmp_path: Path, options: list[str], sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        export(run, tmp_path, *options)
    assert str(error.value).startswith(sentence)
