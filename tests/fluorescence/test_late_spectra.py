"""Streams that are not in step, on journals written by hand: late, lagging, with gaps, absent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from helpers.chain import assert_identical, results, tiny_site

from stream.analyse.pipeline import Pipeline
from stream.analyse.process import Follower
from stream.analyse.spectra_feed import SpectraFeed
from stream.core.axis import RadialAxis
from stream.core.config import load_config
from stream.core.lifecycle import Status
from stream.core.messages import Pattern
from stream.core.revision import Revision, read_revision
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.ingest.journal import Journal
from stream.ingest.ledger import FrameRow, Ledger
from stream.ingest.ledger_reader import LedgerReader
from stream.ingest.spectra import CHANNELS

N, BINS = 6, 120
AXIS = RadialAxis("2th_deg", 1.0, 20.0, BINS, 0.6738)
NICKEL = 7.478  # keV, its Kα


@dataclass
class Books:
    """Ledger and journal of a stream, filled by the test."""

    directory: RunDirectory
    grid: ScanGrid
    bins: int

    def __post_init__(self) -> None:
        self.directory.create()
        self.ledger = Ledger.open(self.directory.ledger)
        self.journal = Journal.create(self.directory.journal, self.grid.size, self.bins)
        self.ledger.commit(phase="waiting", live=True)

    def add(self, frames: Iterable[int], counts: np.ndarray, phase: str) -> None:
        for n in frames:
            sums = (counts * (1 + n % 3)).astype(np.float32)
            row = FrameRow(slot=n, series="1", frame=n, monitor=1.0, received=0.0)
            self.journal.write(row, Pattern(sums=sums, norms=np.full(self.bins, 1, np.float32), variances=sums))
            self.ledger.add(row)
        self.ledger.commit(phase=phase)


class Scan:
    """A run directory of a 6 × 6 grid with both streams."""

    def __init__(self, folder: Path) -> None:
        site = tiny_site(
            folder,
            scan={
                "angles": {"start": 0.0, "step": 30.0, "count": N},
                "positions": {"start": -5.0, "step": 2.0, "count": N},
            },
            integration={"bins": BINS},
            reconstruction={"iterations": 5, "update_every": 0.1, "center": 0.0},
            fluorescence={"endpoint": "tcp://127.0.0.1:2", "elements": ["Ni"], "monitor": "i0"},
        )
        site.write()
        self.config, self.directory = load_config(site.path), RunDirectory(folder / "run")
        self.grid = ScanGrid.from_config(self.config.scan)
        self.frames = Books(self.directory, self.grid, BINS)
        self.spectra = Books(self.directory.fluorescence, self.grid, CHANNELS)

    def diffract(self, frames: Iterable[int], phase: str = "ended") -> None:
        self.frames.add(frames, np.full(BINS, 100.0), phase)

    def shine(self, frames: Iterable[int], phase: str = "ended") -> None:
        energy = 0.01 * np.arange(CHANNELS)
        self.spectra.add(frames, 5 + 100 * np.exp(-0.5 * ((energy - NICKEL) / 0.07) ** 2), phase)

    def follower(self) -> Follower:
        pipeline = Pipeline.create(self.directory, self.config, self.grid, AXIS, None)
        reader, journal = LedgerReader(self.directory.ledger, self.grid), Journal.read_only(self.directory.journal)
        feed = SpectraFeed.of(self.directory, self.grid)
        follower = Follower(self.directory, self.config, reader, journal, pipeline, feed)
        follower.resume()
        return follower

    def stored(self, follower: Follower) -> Revision:
        for _ in range(4):
            follower.turn()
        revision = read_revision(self.directory.revision)
        assert revision is not None
        assert revision.metadata["final"]
        assert revision.metadata["status"] == follower.status
        return revision


def test_late_spectra_reopen_a_run_and_it_ends_as_one_in_one_go(tmp_path: Path) -> None:
    late = Scan(tmp_path / "late")
    late.diffract(range(36))
    late.shine(range(20))
    follower = late.follower()
    first = late.stored(follower)
    assert follower.status is Status.COMPLETE
    assert np.nanmax(first.maps["xrf_coverage"]) < 0.9
    late.shine(range(20, 36))
    follower.turn()
    assert follower.status is Status.ACQUIRING
    second = late.stored(follower)
    assert follower.status is Status.COMPLETE
    assert np.nanmin(second.maps["xrf_coverage"]) == 1
    assert late.stored(late.follower()).number == second.number  # a restart finds all of it stored

    once = Scan(tmp_path / "once")
    once.diffract(range(36))
    once.shine(range(36))
    once.stored(once.follower())
    found = results(once.directory.path)
    assert_identical(results(late.directory.path), found)
    check_voxels(found)
    volume = np.fromfile(late.directory.fluorescence.volume, np.float32)
    np.testing.assert_array_equal(volume.reshape(N, N, -1), found["fluorescence/volume"][0])


def check_voxels(found: dict[str, np.ndarray]) -> None:
    """Each voxel has a spectrum, whose lines are its map."""
    energy, spectra = found["fluorescence/voxel_energy"], found["fluorescence/volume"]
    assert np.diff(energy) == pytest.approx(0.03, rel=0.02)
    inside = np.isfinite(found["maps/xrf_Ni"])
    lines = spectra[inside] - np.quantile(spectra[inside], 0.2, axis=1, keepdims=True)
    net = lines[:, np.abs(energy - NICKEL) < 0.3].sum(axis=1)
    bright = net > 0.2 * net.max()
    assert bright.sum() > 10
    assert (np.abs(energy[lines[bright].argmax(axis=1)] - NICKEL) < 0.03).all()
    assert np.corrcoef(net, found["maps/xrf_Ni"][inside])[0, 1] > 0.99
    assert net.sum() == pytest.approx(found["maps/xrf_Ni"][inside].sum(), rel=0.1)  # it knows of a Kβ that is not there


def of_spectra(name: str) -> bool:
    """True for an array of the fluorescence stream."""
    return name.startswith("fluorescence/") or "/xrf_" in name


@pytest.fixture(scope="module")
def in_step(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """The results of a scan whose streams are whole."""
    scan = Scan(tmp_path_factory.mktemp("in-step"))
    scan.shine(range(36))
    scan.diffract(range(36))
    scan.stored(scan.follower())
    return results(scan.directory.path)


@pytest.mark.parametrize("hurt", ["diffraction", "fluorescence"])
@pytest.mark.parametrize(
    "parts",
    [[range(3), range(3, 36)], [[n for n in range(10, 36) if n % 5]], []],
    ids=["lags", "starts late and loses some", "absent"],
)
def test_either_stream_is_whole_whatever_becomes_of_the_other(
    tmp_path: Path, in_step: dict[str, np.ndarray], hurt: str, parts: list[Iterable[int]]
) -> None:
    """Live maps without the other, the same bits at the end, and a coverage that says what the other lacks."""
    scan = Scan(tmp_path)
    whole, part = (scan.shine, scan.diffract) if hurt == "diffraction" else (scan.diffract, scan.shine)
    follower = scan.follower()
    whole(range(36), "acquiring")
    follower.turn()
    live = read_revision(scan.directory.revision)
    assert live is not None
    assert not live.metadata["final"]
    theirs, own = ("xrf_coverage", "coverage") if hurt == "diffraction" else ("coverage", "xrf_coverage")
    assert np.nanmin(live.maps[theirs]) == pytest.approx(1)
    for frames in parts:
        part(frames, "acquiring")
        follower.turn()
    whole([], "ended")
    if parts or hurt == "diffraction":  # a person ends a scan whose frames do not come
        part([], "ended")
    maps = scan.stored(follower).maps
    came = len({n for frames in parts for n in frames})
    assert follower.status is (Status.INCOMPLETE if hurt == "diffraction" and came < 36 else Status.COMPLETE)
    assert np.nanmean(maps[own]) == pytest.approx(came / 36, abs=0.1)
    kept, expected = (
        {name: array for name, array in arrays.items() if came == 36 or of_spectra(name) is (hurt == "diffraction")}
        for arrays in (results(scan.directory.path), in_step)
    )
    assert_identical(kept, expected)
