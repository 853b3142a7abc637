"""Spectra that come when the maps are stored already, on journals written by hand."""

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

    def add(self, frames: Iterable[int], counts: np.ndarray) -> None:
        for n in frames:
            sums = (counts * (1 + n % 3)).astype(np.float32)
            row = FrameRow(slot=n, series="1", frame=n, monitor=1.0, received=0.0)
            self.journal.write(row, Pattern(sums=sums, norms=np.full(self.bins, 1, np.float32), variances=sums))
            self.ledger.add(row)
        self.ledger.commit(phase="ended")


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
            reconstruction={"iterations": 5, "update_every": 0.1},
            fluorescence={"endpoint": "tcp://127.0.0.1:2", "elements": ["Ni"], "monitor": "i0"},
        )
        site.write()
        self.config, self.directory = load_config(site.path), RunDirectory(folder / "run")
        self.grid = ScanGrid.from_config(self.config.scan)
        self.frames = Books(self.directory, self.grid, BINS)
        self.spectra = Books(self.directory.fluorescence, self.grid, CHANNELS)

    def diffract(self, frames: Iterable[int]) -> None:
        self.frames.add(frames, np.full(BINS, 100.0))

    def shine(self, frames: Iterable[int]) -> None:
        energy = 0.01 * np.arange(CHANNELS)
        self.spectra.add(frames, 5 + 100 * np.exp(-0.5 * ((energy - NICKEL) / 0.07) ** 2))

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
