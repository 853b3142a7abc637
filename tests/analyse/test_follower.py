"""The analyse process turn by turn, on journals written by hand: its states, and data that hold next to nothing."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from helpers.chain import assert_identical, results, tiny_site

from stream.analyse.pipeline import Pipeline
from stream.analyse.process import Follower
from stream.core.axis import RadialAxis
from stream.core.commands import post_command
from stream.core.config import load_config
from stream.core.errors import Reject
from stream.core.files import read_json, write_json
from stream.core.lifecycle import Status
from stream.core.messages import Pattern
from stream.core.revision import Revision, read_revision
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.ingest.journal import Journal
from stream.ingest.ledger import FrameRow, Ledger
from stream.ingest.ledger_reader import LedgerReader, LedgerRecord

N, BINS = 6, 120
AXIS = RadialAxis("2th_deg", 1.0, 20.0, BINS, 0.6738)


@dataclass
class Scan:
    """A run directory of a 6 × 6 grid whose ledger and journal the test fills."""

    folder: Path
    changes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        site = tiny_site(
            self.folder,
            **{
                "scan": {
                    "angles": {"start": 0.0, "step": 30.0, "count": N},
                    "positions": {"start": -5.0, "step": 2.0, "count": N},
                },
                "integration": {"bins": BINS},
                "reconstruction": {"iterations": 5, "update_every": 0.1},
                **self.changes,
            },
        )
        self.config = load_config(site.path)
        self.directory = RunDirectory(self.folder / "run")
        self.directory.create()
        self.directory.write_config(self.config)
        self.grid = ScanGrid.from_config(self.config.scan)
        self.ledger = Ledger.open(self.directory.ledger)
        self.journal = Journal.create(self.directory.journal, self.grid.size, BINS)
        self.phase("waiting")

    def phase(self, phase: str) -> None:
        self.ledger.commit(phase=phase)

    def add(self, frames: Iterable[int], counts: float = 100.0, monitor: float | None = 1.0) -> None:
        """Journal frames of `counts` in each bin, of ten pixels each."""
        for n in frames:
            sums = np.full(BINS, counts, dtype=np.float32)
            row = FrameRow(slot=n, series="1", frame=n, monitor=monitor, received=0.0)
            self.journal.write(row, Pattern(sums=sums, norms=np.full(BINS, 10, dtype=np.float32), variances=sums))
            self.ledger.add(row)
        self.phase("acquiring")

    def follower(self) -> Follower:
        """Analyse as a process that has just started."""
        pipeline = Pipeline.create(self.directory, self.config, self.grid, AXIS, None)
        reader = LedgerReader(self.directory.ledger, self.grid)
        follower = Follower(self.directory, self.config, reader, Journal.read_only(self.directory.journal), pipeline)
        follower.resume()
        return follower

    def end(self, follower: Follower) -> Revision:
        """Let the acquisition end; the final revision."""
        self.phase("ended")
        for _ in range(3):
            follower.turn()
        revision = read_revision(self.directory.revision)
        assert revision is not None
        assert revision.metadata["final"]
        assert revision.metadata["status"] == follower.status == self.stored()["status"]
        return revision

    def stored(self) -> dict[str, Any]:
        state: dict[str, Any] = read_json(self.directory.state)
        return state


@pytest.fixture
def scan(tmp_path: Path) -> Scan:
    return Scan(tmp_path)


def test_every_map_of_the_tree_is_in_the_first_revision(scan: Scan) -> None:
    follower = scan.follower()
    scan.add([0], monitor=0.0)  # not even beam
    follower.turn()
    first = read_revision(scan.directory.revision)
    assert first is not None
    assert first.metadata["status"] == "acquiring"
    fitted = {f"{name}_layered" for name in ("phase", "fraction", "strain", "strain_error", "size", "a", "c")}
    fitted |= {f"{name}_layered" for name in ("mask", "c_over_a", "ratio_003_104")}  # 018 and 110 are off this axis
    names = {
        "parallax_cell",
        "parallax_strain",
        "global",
        "hump",
        "coverage",
        "cell_volume_layered",
        "phase_carbon",
        "fit_quality",
        *fitted,
    }
    assert set(first.maps) == names
    sinograms = {f"sinograms/{name}" for name in ("global", "hump", "layered", "carbon")}
    assert sinograms | {"radial", "sum_pattern"} <= set(first.arrays)
    assert all(array.shape == (1, N, N) for name, array in first.arrays.items() if name in sinograms)
    scan.add(range(1, 36))
    assert set(scan.end(follower).arrays) == set(first.arrays)


@pytest.mark.parametrize(
    ("frames", "counts", "monitor", "status"),
    [
        ([], 0.0, 1.0, Status.INCOMPLETE),
        ([7], 100.0, 1.0, Status.INCOMPLETE),
        (range(N), 100.0, 1.0, Status.INCOMPLETE),
        (range(36), 0.0, 1.0, Status.COMPLETE),
        (range(36), 100.0, 0.0, Status.COMPLETE),
        (range(36), 100.0, float("nan"), Status.COMPLETE),
        (range(36), 1e9, None, Status.COMPLETE),
    ],
    ids=["no frame", "one ray", "one projection", "no counts", "no beam", "no monitor", "flat"],
)
def test_data_that_hold_next_to_nothing(
    scan: Scan, frames: Iterable[int], counts: float, monitor: float | None, status: Status
) -> None:
    follower = scan.follower()
    scan.add(frames, counts, monitor)
    follower.turn()
    final = scan.end(follower)
    assert final.metadata["status"] == status
    usable = monitor is None or monitor > 0
    assert final.metadata["no_beam"] == ([] if usable else list(frames))
    arrays = results(scan.directory.path)
    assert {f"maps/{name}" for name in final.maps} <= set(arrays)
    measured = arrays["maps/coverage"] > 0
    assert measured.any() == (usable and len(list(frames)) > 0)
    assert not np.isfinite(arrays["maps/strain_layered"]).any()  # no instrument, and nothing to see


def test_the_results_say_what_happened_to_every_frame(scan: Scan) -> None:
    follower = scan.follower()
    grid, before = scan.grid, time.time()
    scan.ledger.event("series b opened by an image")
    scan.add([0, 1, 2, 3], monitor=2.0)
    scan.add([4], monitor=0.0)
    late = FrameRow(slot=30, series="b", frame=2**40, monitor=None, received=5.5)
    scan.journal.write(late, Pattern(sums=np.ones(BINS, np.float32), norms=np.ones(BINS, np.float32),
                                     variances=np.ones(BINS, np.float32)))  # fmt: skip
    scan.ledger.add(late)
    scan.ledger.add(FrameRow(slot=35, series="1", frame=35, monitor=2.0, received=6.5))  # its slot was never written
    scan.ledger.duplicate()
    scan.ledger.reject(Reject.TRUNCATED)
    scan.ledger.drop("finished")
    scan.ledger.commit(phase="acquiring", received=scan.ledger.accounted + 2)
    follower.turn()
    scan.end(follower)
    with h5py.File(scan.directory.results) as file:
        ledger = file["entry/ledger"]
        names = h5py.check_enum_dtype(ledger["state"].dtype)
        state = np.full(36, names["missing"])
        state[[0, 1, 2, 3, 30]], state[4], state[35] = names["integrated"], names["no_beam"], names["unreadable"]
        np.testing.assert_array_equal(ledger["state"][:].ravel(), state)
        frame = np.full(36, -1)
        frame[[0, 1, 2, 3, 4, 30, 35]] = [0, 1, 2, 3, 4, 2**40, 35]
        np.testing.assert_array_equal(ledger["frame"][:].ravel(), frame)
        assert ledger["frame"].shape == grid.shape
        received, monitor = ledger["received"][:].ravel(), ledger["monitor"][:].ravel()
        np.testing.assert_array_equal(np.isfinite(received), frame >= 0)
        assert (received[30], received[35]) == (5.5, 6.5)
        np.testing.assert_array_equal(monitor[[0, 4, 30, 31, 35]], [2.0, 0.0, np.nan, np.nan, 2.0])
        series, told = ledger["series"][:].ravel(), [name.decode() for name in ledger["series_names"]]
        assert [told[n] if n >= 0 else None for n in series[[0, 30, 31]]] == ["1", "b", None]
        counts = {name: int(value[()]) for name, value in ledger["counts"].items() if isinstance(value, h5py.Dataset)}
        assert counts == {
            "expected": 36, "received": 12, "integrated": 7, "duplicate": 1, "in_flight": 2, "missing": 29,
        }  # fmt: skip
        assert {name: int(n[()]) for name, n in ledger["counts/rejected"].items()} == {"truncated": 1}
        assert {name: int(n[()]) for name, n in ledger["counts/dropped"].items()} == {"finished": 1}
        assert counts["received"] == counts["integrated"] + counts["duplicate"] + 1 + 1 + counts["in_flight"]
        numbers = {slot: n for n, slot in enumerate(grid.visit.tolist())}
        gaps = [n for first, last in ledger["missing_ranges"] for n in range(first, last + 1)]
        assert gaps == sorted(numbers[slot] for slot in range(36) if slot not in {0, 1, 2, 3, 4, 30, 35})
        assert [text.decode() for text in ledger["events/text"]] == ["series b opened by an image"]
        assert before <= ledger["events/time"][0] <= time.time()


def test_the_result_of_nothing_has_a_ledger_too(scan: Scan) -> None:
    scan.end(scan.follower())
    with h5py.File(scan.directory.results) as file:
        ledger = file["entry/ledger"]
        assert (ledger["frame"][:] == -1).all()
        assert ledger["missing_ranges"][:].tolist() == [[0, 35]]
        assert (len(ledger["series_names"]), len(ledger["events/text"])) == (0, 0)


def test_a_frame_that_comes_as_the_maps_end_is_taken_first(scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    scan.add(range(34))
    follower = scan.follower()
    follower.turn()
    scan.phase("ended")
    record = LedgerReader.record

    def late(reader: LedgerReader) -> LedgerRecord:
        scan.add([34])
        scan.phase("ended")
        monkeypatch.setattr(LedgerReader, "record", record)
        return record(reader)

    monkeypatch.setattr(LedgerReader, "record", late)
    follower.turn()
    assert follower.status is Status.ACQUIRING
    final = scan.end(follower)
    assert final.metadata["frames_used"] == 35
    with h5py.File(scan.directory.results) as file:
        assert int(file["entry/ledger/counts/integrated"][()]) == 35
        assert np.count_nonzero(file["entry/ledger/state"][:]) == 35


def test_maps_do_not_end_while_rows_are_new(scan: Scan) -> None:
    """The phase may be the one of before the rows: it counts in a turn that brings none."""
    scan.add(range(20))
    scan.phase("ended")
    follower = scan.follower()
    follower.turn()
    assert follower.status is Status.ACQUIRING
    follower.turn()
    assert follower.status is Status.INCOMPLETE


def test_a_late_frame_reopens_an_incomplete_run(scan: Scan) -> None:
    scan.add(range(35))
    first = scan.end(scan.follower())
    assert first.metadata["status"] == "incomplete"
    again = scan.follower()
    again.turn()
    assert again.status is Status.INCOMPLETE
    assert scan.stored()["revision"] == first.number
    scan.add([35])
    again.turn()
    assert again.status is Status.ACQUIRING
    last = scan.end(again)
    assert last.metadata["status"] == "complete"
    assert last.number > first.number
    assert np.isfinite(results(scan.directory.path)["sinograms/global"]).all()


def test_a_failed_run_goes_on_from_its_journal(scan: Scan) -> None:
    scan.add(range(36))
    follower = scan.follower()
    follower.turn()
    write_json(scan.directory.state, {**scan.stored(), "status": "failed"})
    assert scan.end(scan.follower()).metadata["status"] == "complete"


def test_a_final_result_is_not_made_twice(scan: Scan) -> None:
    scan.add(range(36))
    final = scan.end(scan.follower())
    before = scan.directory.results.stat().st_mtime_ns
    again = scan.follower()
    again.turn()
    again.turn()
    assert scan.stored()["revision"] == final.number
    assert scan.directory.results.stat().st_mtime_ns == before


@pytest.mark.parametrize("frames", [0, 20])
def test_abort_keeps_the_maps_and_is_final(scan: Scan, frames: int) -> None:
    follower = scan.follower()
    scan.add(range(frames))
    follower.turn()
    post_command(scan.directory.commands, "abort", {})
    follower.turn()
    assert scan.end(follower).metadata["status"] == "aborted"
    scan.add(range(frames, 36))
    follower.turn()
    assert follower.status is Status.ABORTED


def test_a_region_drawn_after_the_end_is_in_the_result(scan: Scan) -> None:
    scan.add(range(36))
    follower = scan.follower()
    first = scan.end(follower)
    post_command(scan.directory.commands, "regions", {"regions": [{"name": "peak", "range": [8.0, 9.0]}]})
    last = scan.end(follower)
    assert last.number > first.number
    assert last.metadata["status"] == "complete"
    width = np.count_nonzero((AXIS.centers >= 8) & (AXIS.centers < 9)) * AXIS.step
    np.testing.assert_allclose(results(scan.directory.path)["sinograms/peak"], 10 * width, rtol=1e-5)


def test_norms_do_not_depend_on_the_order_of_frames(scan: Scan) -> None:
    """A pixel that one frame excludes lowers its norms; the scan's are those of a frame without."""
    stores = []
    for order in ([0, 1], [1, 0]):
        store = scan.follower().pipeline.store
        for n in order:
            norms = np.full(BINS, 10 - n, dtype=np.float32)
            row = FrameRow(slot=n, series="1", frame=n, monitor=None, received=0.0)
            scan.journal.write(row, Pattern(sums=norms, norms=norms, variances=norms))
            store.take(scan.journal, row)
        stores.append(store.norms)
    np.testing.assert_array_equal(stores[0], 10)
    np.testing.assert_array_equal(stores[1], 10)


def test_an_update_begins_as_a_line_is_complete(tmp_path: Path) -> None:
    """A projection that takes as long as an update is on the maps at its end, not at some time in the next one."""
    scan = Scan(tmp_path, {"reconstruction": {"iterations": 5, "update_every": 60.0}})
    follower = scan.follower()
    scan.add(range(4))
    follower.turn()
    first = follower.revision
    follower.pace.next = time.monotonic() + 29  # half of the time between updates has passed
    scan.add([4])
    follower.turn()
    assert follower.revision == first  # the line lacks a frame
    scan.add([5])
    follower.turn()
    assert follower.revision == first + 1
    follower.pace.next = time.monotonic() + 31
    scan.add(range(6, 12))
    follower.turn()
    assert follower.revision == first + 1


def test_a_run_that_was_reopened_ends_as_one_in_one_go(tmp_path: Path) -> None:
    found = []
    for name, parts in (("once", [range(36)]), ("reopened", [range(20), range(20, 36)])):
        scan = Scan(tmp_path / name)
        follower = scan.follower()
        for part in parts:
            for n in part:
                scan.add([n], counts=100.0 + 10 * n)
            scan.end(follower)
        assert np.isfinite(follower.pipeline.imaging.sums).all()  # those that the axis is looked for in
        found.append(results(scan.directory.path))
    for path, array in found[0].items():
        np.testing.assert_array_equal(found[1][path], array, err_msg=path)


def test_a_final_result_in_a_basis_does_not_depend_on_the_order_of_frames(tmp_path: Path) -> None:
    found = []
    for name, order in (("forward", np.arange(36)), ("shuffled", np.random.default_rng(0).permutation(36))):
        scan = Scan(tmp_path / name, {"reconstruction": {"iterations": 15, "update_every": 0.1, "channels": "basis:8"}})
        follower = scan.follower()
        for some in np.array_split(order, 3):
            for n in some:
                scan.add([int(n)], counts=100.0 + 10 * int(n), monitor=1.0 + 0.01 * int(n))
            follower.turn()
        told = scan.end(follower).metadata["basis"]
        assert told["rank"] >= max(told["structures"], 8)
        assert 0 <= told["left_out"] < 1
        assert told["worst_bin"] >= 0
        found.append(results(scan.directory.path))
    assert np.isfinite(found[0]["volume"]).any()
    assert_identical(*found)
