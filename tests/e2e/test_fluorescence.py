"""Both streams of a virtual beamline into a run: elements against the truth, and each stream without the other."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import httpx
import numpy as np
import pytest
from helpers.chain import Command, Sender, Site, assert_identical, correlation, results, tiny_site, until
from helpers.ports import free_port

from stream.core.config import load_config
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.ingest.integrate import load_geometry
from stream.ingest.ledger_reader import LedgerReader
from stream.simulate.fluorescence import VirtualSpectra
from stream.simulate.presets import find_preset
from stream.simulate.scan import VirtualScan
from stream.simulate.spectra_outlet import spectra_border, spectra_message

ELEMENTS = ("Ni", "Co", "Mn")
PARTICLE = 3
ABSORBING = [
    {"name": "layered", "cif": "nmc622"},
    {"name": "carbon", "hump": {"position": 2.3, "width": 1.0}, "formula": "C"},
    {"name": "glass", "hump": {"position": 9.5, "width": 3.1}, "formula": "SiO2"},
]
SEED = 11


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """45 angles × 24 positions of both streams."""
    return tiny_site(
        tmp_path,
        scan={
            "angles": {"start": 0.0, "step": 4.0, "count": 45},
            "positions": {"start": -17.25, "step": 1.5, "count": 24},
        },
        fluorescence={
            "endpoint": f"tcp://127.0.0.1:{free_port()}",
            "elements": list(ELEMENTS),
            "monitor": "i0",
            "energy": {"offset": 0.02, "step": 0.01002},
            "idle_timeout": 5.0,
        },
        reconstruction={"iterations": 100, "update_every": 1.0},
    )


@pytest.fixture
def ended() -> Iterator[list[Command]]:
    """Commands noted here are ended with the test."""
    noted: list[Command] = []
    yield noted
    for command in noted:
        command.end()


def truth_of(site: Site) -> dict[str, Any]:
    with h5py.File(site.folder / "truth.h5") as file:
        return {name: data[()] for name, data in file["maps"].items()}


def told(site: Site) -> dict[str, Any]:
    with h5py.File(RunDirectory(site.folder / "run").results) as file:
        metadata: dict[str, Any] = json.loads(file["entry/metadata"][()])
    return metadata


def spectra_frames(site: Site) -> dict[str, Any]:
    grid = ScanGrid.from_config(load_config(site.path).scan)
    return LedgerReader(RunDirectory(site.folder / "run").fluorescence.ledger, grid).snapshot().frames


def virtual(site: Site, absorption: bool = False) -> VirtualSpectra:
    """The spectra that `simulate` sends with SEED."""
    config = load_config(site.path)
    assert config.fluorescence is not None
    integrator = load_geometry(config.detector.geometry).integrator
    grid, preset = ScanGrid.from_config(config.scan), find_preset("ncm622-cycled")
    scan = VirtualScan(grid, integrator, preset, seed=SEED, absorption=absorption)
    energy = config.fluorescence.energy
    return VirtualSpectra(scan, offset=energy.offset, step=energy.step)


def check_elements(found: dict[str, Any], truth: dict[str, Any]) -> None:
    particles = truth["class_index"] == PARTICLE
    amounts = {}
    for element in ELEMENTS:
        name = f"xrf_{element}"
        assert correlation(found[f"maps/{name}"], truth[name]) > 0.95
        amounts[element] = found[f"maps/{name}"][particles].sum() / truth[name][particles].sum()
    for element in ELEMENTS[1:]:
        assert amounts[element] / amounts["Ni"] == pytest.approx(1, abs=0.03)


def test_elements_of_an_absorbing_sample_whose_fluorescence_process_is_killed(site: Site, ended: list[Command]) -> None:
    """Self-absorption is corrected from the beam behind the sample; nothing is lost, nothing twice."""
    site.write(
        detector={"transmission": "it"},
        fluorescence={"self_absorption": "transmission", "queue_bytes": 4 * 1024 * 1024, "idle_timeout": 20.0},
        phases=ABSORBING,
    )
    source = virtual(site, absorption=True)
    sent = [spectra_message(n, *source.spectra(n)) for n in range(source.scan.grid.size)]
    config = load_config(site.path)
    assert config.fluorescence is not None
    spare = f"tcp://127.0.0.1:{free_port()}"  # the beamline's own spectra go nowhere
    options = ("--seed", str(SEED), "--truth", "truth.h5", "--absorption", "--fluorescence", spare)
    with Sender(config.fluorescence.endpoint) as sender:
        sender.send([spectra_border("start"), *sent[:600]])
        beamline = site.command("simulate", "--config", site.path, *options)
        run = site.run()
        ended += [beamline, run]
        until(lambda: spectra_frames(site)["integrated"] >= 300, "300 spectra")
        killed = run.children()["fluorescence"]
        os.kill(killed, signal.SIGKILL)
        until(lambda: run.children().get("fluorescence", killed) != killed, "another process for the spectra")
        sender.send([*sent, spectra_border("end")])
        assert run.wait(250) == 0, run.err
    found, metadata, frames = results(site.folder / "run"), told(site), spectra_frames(site)
    check_elements(found, truth_of(site))
    assert (frames["integrated"], frames["missing"], frames["in_flight"]) == (1080, 0, 0)
    assert frames["received"] == frames["integrated"] + frames["duplicate"]
    inside = np.isfinite(found["maps/xrf_coverage"])
    assert (found["maps/xrf_coverage"][inside] > 0.999).all()
    assert metadata["units"]["xrf_Ni"] == "1/um"
    fluorescence = metadata["fluorescence"]
    assert fluorescence["self_absorption"] == "corrected from transmission"
    assert fluorescence["biased"] == []
    assert all(0.15 < kept < 0.35 for kept in fluorescence["kept"].values())
    assert fluorescence["energy"]["step"] == pytest.approx(0.01002, rel=1e-3)
    assert fluorescence["chi_square"] < 2
    phases = fluorescence["correlations"]["Ni"]["phases"]
    assert phases["layered"]["r"] > 0.9 > 0.3 > phases["carbon"]["r"]
    assert found["fluorescence/volume"].shape[:3] == found["maps/xrf_Ni"].shape


@pytest.mark.slow
def test_a_replay_gives_the_same_elements(site: Site, ended: list[Command]) -> None:
    site.write(scan={"angles": {"start": 0.0, "step": 15.0, "count": 12}})
    beamline = site.command("simulate", "--config", site.path, "--seed", str(SEED))
    run = site.run()
    ended += [beamline, run]
    assert run.wait(200) == 0, run.err
    replay = site.command("replay", "run", "--config", site.path, "--output", "again", "--once")
    ended.append(replay)
    assert replay.wait(200) == 0, replay.err
    assert_identical(results(site.folder / "run"), results(site.folder / "again"))


@pytest.mark.slow
def test_a_stream_that_starts_late_and_loses_spectra(site: Site, ended: list[Command]) -> None:
    """What is missing is in the coverage, the rest is right, the other stream is whole."""
    site.write(scan={"angles": {"start": 0.0, "step": 1.5, "count": 120}})
    source, random = virtual(site), np.random.default_rng(2)
    kept = [n for n in range(500, source.scan.grid.size) if random.random() > 0.05]
    config = load_config(site.path)
    assert config.fluorescence is not None
    spare = f"tcp://127.0.0.1:{free_port()}"  # the beamline's own spectra go nowhere
    with Sender(config.fluorescence.endpoint) as sender:
        sender.send([spectra_border("start"), *(spectra_message(n, *source.spectra(n)) for n in kept)])
        sender.send([spectra_border("end")])
        beamline = site.command(
            "simulate", "--config", site.path, "--seed", str(SEED), "--truth", "truth.h5", "--fluorescence", spare
        )
        run = site.run()
        ended += [beamline, run]
        assert run.wait(500) == 0, run.err
    found, frames = results(site.folder / "run"), spectra_frames(site)
    assert frames["integrated"] == len(kept)
    assert frames["missing"] == source.scan.grid.size - len(kept)
    assert np.isnan(found["sinograms/xrf_Ni"].ravel()[:500]).all()
    share = len(kept) / source.scan.grid.size
    assert np.nanmean(found["maps/xrf_coverage"]) == pytest.approx(share, abs=0.03)
    assert np.nanmin(found["maps/coverage"]) > 0.999
    check_elements(found, truth_of(site))
    fluorescence = told(site)["fluorescence"]
    assert fluorescence["self_absorption"] == "uncorrected"
    assert fluorescence["biased"] == [f"xrf_{element}" for element in ELEMENTS]


@pytest.mark.slow
def test_a_fluorescence_stream_that_never_comes(site: Site, ended: list[Command]) -> None:
    """The diffraction is complete without it; the page says how many spectra are missing."""
    site.write(scan={"angles": {"start": 0.0, "step": 15.0, "count": 12}}, reconstruction={"iterations": 5})
    spare = f"tcp://127.0.0.1:{free_port()}"
    beamline = site.command("simulate", "--config", site.path, "--seed", str(SEED), "--fluorescence", spare)
    run = site.run(once=False)
    ended += [beamline, run]

    def complete() -> dict[str, Any] | None:
        try:
            status = httpx.get(f"http://127.0.0.1:{site.page}/api/v1/status", trust_env=False, timeout=5)
        except httpx.HTTPError:
            return None
        values: dict[str, Any] = status.json() if status.status_code == 200 else {}
        return values if values.get("status") == "complete" else None

    status = until(complete, "the end of the scan", 120)
    assert status["frames"]["integrated"] == 288
    assert (status["fluorescence_frames"]["integrated"], status["fluorescence_frames"]["missing"]) == (0, 288)
    run.interrupt()
    found = results(site.folder / "run")
    assert np.isnan(found["maps/xrf_Ni"]).all()
    assert np.nanmax(found["maps/xrf_coverage"]) == 0


@pytest.mark.slow
def test_a_diffraction_stream_that_never_comes(site: Site, ended: list[Command]) -> None:
    """Element maps come live, and are final when a person ends the scan."""
    site.write(scan={"angles": {"start": 0.0, "step": 15.0, "count": 12}}, reconstruction={"iterations": 5})
    source, config = virtual(site), load_config(site.path)
    assert config.fluorescence is not None
    with Sender(config.fluorescence.endpoint) as sender:
        sender.send([spectra_border("start"), *(spectra_message(n, *source.spectra(n)) for n in range(288))])
        sender.send([spectra_border("end")])
        run = site.run()
        ended.append(run)
        until(site.on_page, "live element maps", 120)
        key = RunDirectory(site.folder / "run").key.read_text().strip()
        finish = f"http://127.0.0.1:{site.page}/api/v1/scans/tiny/finish"
        until(lambda: spectra_frames(site)["integrated"] == 288, "all spectra")
        httpx.post(finish, headers={"Authorization": f"Bearer {key}"}, trust_env=False).raise_for_status()
        assert run.wait(120) == 3, run.err
    found = results(site.folder / "run")
    assert np.nanmin(found["maps/xrf_coverage"]) > 0.999
    assert correlation(found["maps/xrf_Ni"], found["fluorescence/volume"].sum(axis=-1)) > 0.9
    assert np.isnan(found["maps/global"]).all()
