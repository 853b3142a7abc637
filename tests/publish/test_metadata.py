"""What a run says about itself."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.core.config import parse_config
from stream.core.errors import Reject
from stream.core.revision import Revision
from stream.core.scan import ScanGrid
from stream.ingest.ledger import FrameRow, Ledger
from stream.ingest.ledger_reader import LedgerReader, LedgerSnapshot
from stream.publish.metadata import run_metadata, run_status, to_plain
from stream.publish.projections import Projections


def config(folder: Path, **sections: Any) -> Any:
    (folder / "d.poni").touch()
    scan = {"name": "s", "sample": "cell 4", "angles": {"values": [0, 90]}, "positions": {"count": 3}}
    detector = {"endpoint": "tcp://127.0.0.1:1", "geometry": "d.poni"}
    return parse_config({"scan": scan, "detector": detector, **sections}, folder)


def snapshot(folder: Path) -> LedgerSnapshot:
    return LedgerReader(folder / "none", ScanGrid.from_config(config(folder).scan)).snapshot()


@pytest.mark.parametrize(
    ("told", "phase", "status"),
    [
        (None, "waiting", "waiting"),
        (None, "acquiring", "acquiring"),
        ("acquiring", "ended", "finishing"),
        ("finishing", "ended", "finishing"),
        ("complete", "ended", "complete"),
        ("incomplete", "acquiring", "incomplete"),
        ("aborted", "acquiring", "aborted"),
    ],
)
def test_only_analyse_says_that_a_run_is_final(told: str | None, phase: str, status: str) -> None:
    assert run_status(told, phase) == status


def test_it_is_there_before_the_first_frame(tmp_path: Path) -> None:
    metadata = run_metadata(config(tmp_path), None, snapshot(tmp_path))
    assert (metadata["status"], metadata["revision"], metadata["sample"]) == ("waiting", 0, "cell 4")
    assert metadata["frames"]["missing_ranges"] == [[0, 5]]
    assert metadata["frames"]["no_beam"] == []
    assert metadata["bluesky_uid"] is None


def test_values_are_plain_json_and_nan_is_null(tmp_path: Path) -> None:
    told = {"status": "acquiring", "residual": np.nan, "center_um": np.float32(1.5), "no_beam": np.array([2, 3])}
    metadata = run_metadata(config(tmp_path), Revision(number=7, metadata=told), snapshot(tmp_path))
    assert (metadata["residual"], metadata["center_um"], metadata["revision"]) == (None, 1.5, 7)
    assert metadata["frames"]["no_beam"] == [2, 3]
    assert orjson.loads(orjson.dumps(metadata)) == metadata


def test_no_place_of_a_key_is_told(tmp_path: Path) -> None:
    publish = {"tiled": "https://tiled.example:8000/api/v1/", "api_key": "env:TOPSECRET"}
    metadata = run_metadata(config(tmp_path, publish=publish), None, snapshot(tmp_path))
    assert metadata["config"]["publish"]["tiled"] == "https://tiled.example:8000/api/v1/"
    assert "topsecret" not in str(metadata).lower()


def test_what_a_database_of_json_would_not_give_back_is_text() -> None:
    values = {"operator": "A\0B", "dose": 1e300, "flux": [-3.5e19, 1e12, 2**63 - 1]}
    told = {"operator": "A\N{REPLACEMENT CHARACTER}B", "dose": "1e+300", "flux": ["-3.5e+19", 1e12, 2**63 - 1]}
    assert to_plain(values) == told


def test_a_failure_goes_before_what_analyse_and_ingest_say(tmp_path: Path) -> None:
    told = Revision(number=7, metadata={"status": "acquiring"})
    assert run_metadata(config(tmp_path), told, snapshot(tmp_path), "no space left")["status"] == "failed"
    assert run_metadata(config(tmp_path), told, snapshot(tmp_path))["failure"] is None


def test_frames_of_the_fluorescence_stream_have_the_same_form(tmp_path: Path) -> None:
    told = Revision(number=1, metadata={"fluorescence": {"no_beam": [3]}})
    ledger = snapshot(tmp_path)
    metadata = run_metadata(config(tmp_path), told, ledger, None, ledger)
    assert metadata["fluorescence_frames"].keys() == metadata["frames"].keys()
    assert (metadata["fluorescence_frames"]["no_beam"], metadata["frames"]["no_beam"]) == ([3], [])
    assert run_metadata(config(tmp_path), told, ledger)["fluorescence_frames"] is None


FATES = ["integrated", "duplicate", "dropped", "waiting", "commit", "untold", "restart", "damaged slot", *Reject]


def assert_lawful(frames: dict[str, Any]) -> None:
    assert frames["expected"] == frames["integrated"] + frames["missing"]
    accounted = frames["integrated"] + frames["duplicate"] + frames["in_flight"]
    accounted += sum(frames["rejected"].values()) + sum(frames["dropped"].values())
    assert frames["received"] == accounted
    assert sum(last - first + 1 for first, last in frames["missing_ranges"]) == frames["missing"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(FATES), max_size=40))
def test_the_law_of_the_ledger_holds_in_all_that_is_published(fates: list[str]) -> None:
    """received = integrated + duplicate + Σ rejected + Σ dropped + in flight; expected = integrated + missing."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        settled = config(folder)
        grid = ScanGrid.from_config(settled.scan)
        ledger, reader = Ledger.open(folder / "ledger.sqlite"), LedgerReader(folder / "ledger.sqlite", grid)
        taken: list[int] = []
        waiting, rejected = 0, Counter[str]()
        for fate in [*fates, "commit"]:
            if fate == "integrated" and len(taken) < grid.size:
                taken.append(next(slot for slot in range(grid.size) if slot not in taken))
                ledger.add(FrameRow(slot=taken[-1], series="1", frame=taken[-1], monitor=None, received=1.0))
            elif fate == "duplicate":
                ledger.duplicate()
            elif fate == "dropped":
                ledger.drop("superseded")
            elif fate == "waiting":
                waiting += 1
            elif fate in set(Reject):
                ledger.reject(Reject(fate))
                rejected[fate] += 1
            elif fate in {"commit", "untold", "restart", "damaged slot"}:
                if fate == "untold":  # a commit that says nothing of what was received
                    ledger.commit(phase="acquiring")
                    assert_lawful(run_metadata(settled, None, reader.snapshot())["frames"])
                ledger.commit(phase="acquiring", received=ledger.accounted + waiting)
                if fate in {"restart", "damaged slot"}:
                    ledger.close()
                    ledger, waiting = Ledger.open(folder / "ledger.sqlite"), 0
                if fate == "damaged slot" and taken:
                    ledger.forget(taken.pop())
                ledger.commit(received=ledger.accounted + waiting)
                frames = run_metadata(settled, None, reader.snapshot())["frames"]
                assert frames["rejected"] == rejected
                assert (frames["integrated"], frames["in_flight"]) == (len(taken), waiting)
                assert_lawful(frames)
        reader.close()
        ledger.close()


def test_patterns_of_a_server_that_fills_with_zeros_are_all_sent(tmp_path: Path) -> None:
    file = tmp_path / "patterns.f4"
    np.full((2, 5, 2, 3), 4, dtype="<f4").tofile(file)
    frames = np.array([[0, 2, 2, 0, 1], [0, 0, 0, 0, 0]])
    ours, theirs = (Projections(file, (2, 5, 2, 3), filled=filled) for filled in (True, False))
    assert ours.grown(frames) == [(0, slice(1, 3)), (0, slice(4, 5))]
    assert theirs.grown(frames) == [(0, slice(0, 5)), (1, slice(0, 5))]
    assert theirs.blank
    for stretch in theirs.grown(frames):
        block = theirs.read(stretch, frames)
        np.testing.assert_array_equal(np.isnan(block[0]).all(axis=(1, 2)), frames[stretch] == 0)
        theirs.wrote(stretch, block, frames)
    assert not theirs.blank
    assert theirs.grown(frames) == theirs.differing(frames) == []
