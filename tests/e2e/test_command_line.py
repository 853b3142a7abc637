"""The commands that look and tell, read as a user reads them."""

from __future__ import annotations

import pytest
import yaml
from helpers.chain import PlainRun, Site, write_poni

COMMANDS = ["demo", "run", "replay", "simulate", "calibrate", "validate", "inspect", "status"]


def test_help(site: Site) -> None:
    whole = site.command("--help")
    for name, command in {name: site.command(name, "--help") for name in COMMANDS}.items():
        assert command.wait() == 0, name
        assert f"Usage: braggstream {name}" in command.out
    assert whole.wait() == 0
    assert all(f" {name} " in whole.out for name in COMMANDS)


def test_validate_says_what_a_run_would_be(site: Site) -> None:
    command = site.command("validate", site.path)
    assert command.wait() == 0, command.err
    assert command.out.splitlines() == [
        "scan tiny: 1 slices × 12 angles × 12 positions = 144 frames",
        "detector: 128 × 128 pixels, 0 masked, wavelength 0.67380 Å",
        "patterns: 300 bins from 1 to 20 2th_deg, 0 without a pixel",
        "phases: layered, carbon; strain of layered",
        "instrument: none, so strain and size stay masked (see braggstream calibrate)",
        "disk: the journal takes 0.00 GB",
        "the config is valid",
    ]


def test_inspect_of_a_run_and_of_its_recording(site: Site, plain_run: PlainRun) -> None:
    run = site.command("inspect", plain_run.directory)
    raw = site.command("inspect", plain_run.directory / "recording" / "raw-0001.h5")
    assert run.wait() == raw.wait() == 0
    for words in ("run tiny", "complete", "12 angles", "rotation axis", "strain_layered", "results.nxs", "raw-0001.h5"):
        assert words in run.out
    assert "event" not in run.out
    for words in ("raw-0001.h5", "146", "144", "(144, 128, 128) uint16", "yes"):
        assert words in raw.out


def test_inspect_of_something_else(site: Site) -> None:
    folder, file = site.command("inspect", site.folder), site.command("inspect", site.path)
    assert folder.wait() == 2
    assert folder.err.startswith(f"braggstream: {site.folder} holds no recording")
    assert file.wait() != 0
    assert file.err.startswith(f"braggstream: {site.path}")
    assert "Traceback" not in folder.err + file.err


def test_calibrate_with_a_simulated_line_standard(site: Site) -> None:
    """Widths of pixels and bins are found; the config may name the profile that is yet to be written."""
    write_poni(site.folder / "detector.poni", (512, 512), 75e-6)
    site.write(integration={"bins": 1200}, instrument="instrument.yaml")
    standard = ("--calibrant", "lab6", "--image", "lab6.edf")
    simulate = site.command("simulate", "--config", site.path, *standard)
    assert simulate.wait() == 0, simulate.err
    command = site.command("calibrate", site.path, *standard, "--output", "instrument.yaml")
    assert command.wait() == 0, command.err
    assert command.out.startswith("instrument.yaml: σ 0.01")
    assert "from LaB6 lines between 2θ = " in command.out
    profile = yaml.safe_load((site.folder / "instrument.yaml").read_text())
    assert profile["calibrant"] == "lab6"
    assert profile["axis"] == {"unit": "2th_deg", "low": pytest.approx(1), "high": pytest.approx(20), "bins": 1200}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--calibrant", "salt", "--image", "x.edf", "--output", "i.yaml"), ("salt", "LaB6")),
        (("--image", "nowhere.edf", "--output", "i.yaml"), ("--image", "nowhere.edf")),
    ],
)
def test_calibrate_refuses(site: Site, options: tuple[str, ...], words: tuple[str, ...]) -> None:
    command = site.command("calibrate", site.path, *options)
    assert command.wait() == 2
    assert "\n" not in command.err
    for word in words:
        assert word in command.err
    assert not (site.folder / "i.yaml").exists()


def test_simulate_refuses(site: Site) -> None:
    wrong = {"gold": "--preset", "tcp://192.0.2.1:9": "--fluorescence"}  # which is no address of this machine
    tried = {value: site.command("simulate", "--config", site.path, name, value) for value, name in wrong.items()}
    for value, command in tried.items():
        assert command.wait() == (2 if value == "gold" else 4), command.err
        assert value in command.err
        assert "\n" not in command.err
