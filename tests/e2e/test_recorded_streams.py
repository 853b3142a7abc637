"""Streams that hardware and another simulator sent, through a real socket into whole runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from helpers.chain import Sender, Site, correlation, results, write_poni
from helpers.recordings import read_messages

from stream.analyse.classify.contents import classify
from stream.analyse.classify.manifest import CLASSES
from stream.core.files import read_json
from stream.core.rundir import RunDirectory

WAVELENGTH = 1.5498024804150032e-10  # m, as the header says


@pytest.mark.parametrize("with_end", [pytest.param(True, marks=pytest.mark.slow), False], ids=["end", "no end"])
def test_recorded_eiger_frames_end_an_incomplete_scan(tmp_path: Path, shared_data: Path, with_end: bool) -> None:
    """9 frames on a grid of 16 points: 9 integrated, the rest missing, maps of what there is."""
    write_poni(tmp_path / "eiger.poni", (1065, 1030), 75e-6, wavelength=WAVELENGTH)
    site = Site(
        tmp_path,
        {
            "scan": {
                "name": "eiger",
                "angles": {"start": 0.0, "step": 45.0, "count": 4},
                "positions": {"start": -1.5, "step": 1.0, "count": 4},
            },
            "detector": {"geometry": "eiger.poni", "idle_timeout": 2.0},
            "integration": {"bins": 200},
            "phases": [{"name": "layered", "cif": "nmc622"}],
            "classification": {"model": None},
        },
    )
    messages = read_messages(shared_data / "dectris_v1" / "v1_eiger1_1M_basic.cbors")
    with Sender(site.endpoint) as sender:
        sender.send(messages if with_end else messages[:-1])
        command = site.run()
        assert command.wait() == 3, command.err
    assert command.err == f"braggstream: the scan in {tmp_path}/run is not complete: 7 of 16 frames are missing"
    assert "9 of 16 frames integrated, 7 missing, 0 duplicate, 0 rejected, 0 dropped" in command.out
    assert ("no message for 2 s" in command.out) is not with_end
    assert "the detector says" not in command.out
    directory = RunDirectory(tmp_path / "run")
    assert read_json(directory.state)["status"] == "incomplete"
    assert read_json(directory.published)["status"] == "incomplete"
    arrays = results(directory.path)
    measured = np.isfinite(arrays["sinograms/global"]).ravel()
    np.testing.assert_array_equal(measured, np.arange(16) < 9)
    coverage = arrays["maps/coverage"][0]
    assert (np.nanmin(coverage) >= 0) & (np.nanmax(coverage) < 1)
    assert arrays["maps/strain_layered"].shape == (1, 4, 4)


def reference_site(folder: Path, data: Path) -> Site:
    """The reference scan's own config, and an instrument calibrated from its line standard."""
    source = data / "scan"
    config = yaml.safe_load((source / "config.yaml").read_text())
    for key in ("geometry", "mask"):
        config["detector"][key] = str(source / config["detector"][key])
    for phase in config["phases"]:
        if "cif" in phase:
            phase["cif"] = str((source / phase["cif"]).resolve())
    site = Site(folder, config)
    calibrate = site.command(
        "calibrate", site.path, "--image", source / "lab6.edf", "--calibrant", "LaB6", "--output", "instrument.yaml"
    )
    assert calibrate.wait() == 0, calibrate.err
    site.config["instrument"] = "instrument.yaml"
    site.write()
    return site


def check_against_truth(arrays: dict[str, Any], data: Path, within: float) -> None:
    """Amounts, classes, and the strain of bare particles and of rims to `within`."""
    with np.load(data / "scan" / "truth.npz") as truth:
        for name, least in {"layered": 0.95, "carbon": 0.95, "glass": 0.95, "spinel": 0.9}.items():
            assert correlation(arrays[f"maps/phase_{name}"][0], truth[name]) > least, name
        particles = truth["layered"] > 0.5
        error = arrays["maps/strain_layered"][0][particles] / truth["strain"][particles] - 1
        rim = truth["spinel"][particles] > 0
        contents = truth["layered"] + truth["spinel"], truth["carbon"], truth["glass"]
    inside, classes = np.isfinite(arrays["maps/coverage"][0]), classify(*contents)
    right = arrays["maps/class_index"][0] == classes
    assert right[inside].mean() > 0.97
    assert min(right[inside & (classes == c)].mean() for c in range(len(CLASSES))) > 0.8
    assert np.isfinite(error).mean() > 0.9
    for some in (rim, ~rim):
        assert abs(np.nanmedian(error[some])) < within


def test_every_second_angle_of_the_reference_scan(tmp_path: Path, shared_data: Path) -> None:
    """480 of 960 frames from a simulator that shares no code with this package; the other rays weigh nothing."""
    site = reference_site(tmp_path, shared_data)
    messages = read_messages(shared_data / "scan" / "scan_v1.cbors")
    with Sender(site.endpoint) as sender:
        sender.send([messages[0], *(m for n, m in enumerate(messages[1:-1]) if n // 32 % 2 == 0), messages[-1]])
        command = site.run()
        assert command.wait() == 3, command.err
    assert "480 of 960 frames integrated, 480 missing" in command.out
    check_against_truth(results(tmp_path / "run"), shared_data, within=0.12)


@pytest.mark.slow
def test_the_reference_scan(tmp_path: Path, shared_data: Path) -> None:
    site = reference_site(tmp_path, shared_data)
    with Sender(site.endpoint) as sender:
        sender.send(read_messages(shared_data / "scan" / "scan_v1.cbors"))
        command = site.run()
        assert command.wait() == 0, command.err
    check_against_truth(results(tmp_path / "run"), shared_data, within=0.06)
