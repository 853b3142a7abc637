"""Killed at any point, ingest goes on where it was: nothing journalled is lost, nothing is counted twice."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from helpers.bench import SHAPE, Bench, patterns, pixels, scan_messages, v1, v1_end, v1_start

from stream.core.errors import RunDirectoryError, StoreError
from stream.ingest.journal import FIRST_SLOT
from stream.ingest.recorded import read_recording, recording_summary

MASK = np.zeros(SHAPE, dtype="<u4")
MASK[:30] = 1
CUT = [*v1(4)[:2], v1(4)[2][:-5], v1(4)[3]]
STREAM = [v1_start(1, MASK), *map(v1, [0, 1, 2, 1, 3]), [b"noise"], CUT, *map(v1, [4, 12, 5, 5, 6, 7])]
"""A masked series with two duplicates, three kinds of rejects, and four frames missing."""
REJECTED = {"not-decodable": 1, "truncated": 1, "beyond-grid": 1}
COUNTS = {"received": 13, "integrated": 8, "duplicate": 2, "rejected": REJECTED}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[int, bytes]:
    bench = Bench.open(tmp_path_factory.mktemp("undisturbed")).send(*STREAM)
    assert bench.counts == COUNTS
    bench.close()
    return patterns(bench.directory)


def die_in(bench: Bench, step: str) -> None:
    """Commit, and be killed right after this step."""
    ingest = bench.ingest
    if ingest.books.recorder is not None and step != "nothing":
        ingest.books.recorder.flush()
    if step in {"journal", "half the journal", "a torn slot"}:
        batch = ingest.books.waiting if step == "journal" else ingest.books.waiting[: len(ingest.books.waiting) // 2]
        for row, pattern in batch:
            ingest.books.journal.write(row, pattern)
        if step == "a torn slot" and len(ingest.books.waiting) > len(batch):
            row, pattern = ingest.books.waiting[len(batch)]
            ingest.books.journal.write(row, pattern)
            with bench.directory.journal.open("r+b") as file:
                file.seek(FIRST_SLOT + row.slot * ingest.books.journal.stride + 300)
                file.write(b"\0" * 200)
    if step == "ledger":
        ingest.commit()
    bench.kill()


STEPS = ["nothing", "recording", "half the journal", "a torn slot", "journal", "ledger"]


@pytest.mark.parametrize("seed", range(8))
def test_killed_anywhere_with_a_sender_that_knows_what_arrived(
    tmp_path: Path, undisturbed: dict[int, bytes], seed: int
) -> None:
    """Commits, settlements and up to three deaths at random places."""
    random = Random(seed)
    bench, at = Bench.open(tmp_path), 0
    for _ in range(random.randint(1, 3)):
        until = random.randint(at, len(STREAM))
        for parts in STREAM[at:until]:
            bench.send(parts)
            if random.random() < 0.3:
                bench.ingest.settle(wait=random.random() < 0.5)
            if random.random() < 0.3:
                bench.ingest.commit()
        if random.random() < 0.5:
            bench.ingest.settle()
        die_in(bench, random.choice(STEPS))
        bench = Bench.open(tmp_path)
        at = bench.ingest.messages
    bench.send(*STREAM[at:])
    assert bench.counts == COUNTS
    bench.close()
    assert differing(patterns(bench.directory), undisturbed) == []


def differing(found: dict[int, bytes], expected: dict[int, bytes]) -> list[int]:
    """Slots in which two journals differ."""
    return [slot for slot in sorted(found.keys() | expected.keys()) if found.get(slot) != expected.get(slot)]


@pytest.mark.parametrize("step", STEPS)
def test_killed_in_a_commit_with_a_sender_that_goes_on(
    tmp_path: Path, undisturbed: dict[int, bytes], step: str
) -> None:
    """The detector sends nothing twice: what was recorded is complete all the same."""
    bench = Bench.open(tmp_path).send(*STREAM[:5])
    bench.ingest.settle()
    bench.ingest.commit()
    bench.send(*STREAM[5:10])
    bench.settle(3)
    die_in(bench, step)
    again = Bench.open(tmp_path).send(*STREAM[10:])
    frames = again.frames
    again.close()
    if step == "nothing":  # messages 5 to 9 were in no file yet
        assert frames["integrated"] == 8 - 2
    else:
        assert again_counts(frames) == COUNTS
        assert differing(patterns(again.directory), undisturbed) == []


def again_counts(frames: dict[str, Any]) -> dict[str, Any]:
    return {key: frames[key] for key in COUNTS}


@pytest.mark.parametrize("step", STEPS)
def test_without_recording_what_is_journalled_is_booked_once(
    tmp_path: Path, undisturbed: dict[int, bytes], step: str
) -> None:
    bench = Bench.open(tmp_path, recording={"frames": False}).send(*STREAM[:5])
    bench.ingest.settle()
    bench.ingest.commit()
    bench.send(*STREAM[5:11])
    bench.ingest.settle()
    die_in(bench, step)
    before = patterns(bench.directory)
    again = Bench.open(tmp_path, recording={"frames": False})
    assert again.frames["integrated"] == len(before)
    again.send(*STREAM)
    assert again.frames["integrated"] == 8
    again.close()
    after = patterns(again.directory)
    assert differing(after, undisturbed) == []
    assert all(after[slot] == pattern for slot, pattern in before.items())


def test_an_unreadable_monitor_stays_one(tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "recording": {"frames": False},
        "detector": {"endpoint": "tcp://a:1", "geometry": "detector.poni", "monitor": "i0"},
    }
    bench = Bench.open(tmp_path, **changes).send(v1(0), v1(1, appendix={"i0": 3}))
    bench.ingest.settle()
    die_in(bench, "journal")
    again = Bench.open(tmp_path, **changes)
    assert [row.monitor for row in again.rows] == [pytest.approx(np.nan, nan_ok=True), 3.0]
    again.close()


def test_the_mask_of_the_header_outlives_the_process(tmp_path: Path, undisturbed: dict[int, bytes]) -> None:
    for recording in (True, False):
        path = tmp_path / str(recording)
        path.mkdir()
        bench = Bench.open(path, recording={"frames": recording}).send(STREAM[0])
        bench.ingest.commit()
        bench.kill()
        again = Bench.open(path, recording={"frames": recording}).send(*STREAM[1:])
        again.close()
        assert differing(patterns(again.directory), undisturbed) == []


def test_what_is_committed_is_recorded(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path)
    for n, parts in enumerate(STREAM, start=1):
        bench.send(parts)
        bench.ingest.settle()
        bench.ingest.commit()
        recorded = [list(message.parts) for message in read_recording(bench.directory.path)]
        assert recorded == STREAM[:n]
    bench.kill()


def test_messages_before_the_first_image_confuse_no_count(tmp_path: Path) -> None:
    """Nothing of them is on disk when the process is killed; the next file begins anew."""
    bench = Bench.open(tmp_path).send(v1_start(), [b"noise"])
    bench.ingest.settle()
    bench.ingest.commit()
    bench.kill()
    again = Bench.open(tmp_path).send(v1(0), v1(1))
    again.ingest.settle()
    again.ingest.commit()
    assert again.ingest.books.recorded == {"file": "raw-0002.h5", "count": 2}
    again.kill()
    third = Bench.open(tmp_path)
    assert third.counts == {"received": 3, "integrated": 2, "rejected": {"not-decodable": 1}}
    third.close()


def test_a_recording_of_many_starts_replays_to_the_same_counts(tmp_path: Path, undisturbed: dict[int, bytes]) -> None:
    path = tmp_path / "a"
    path.mkdir()
    for n in range(0, len(STREAM), 4):
        bench = Bench.open(path).send(*STREAM[n : n + 4])
        bench.close()
    assert len(recording_summary(bench.directory.path)) == 4
    messages = list(read_recording(bench.directory.path))
    assert [list(message.parts) for message in messages] == STREAM
    (tmp_path / "b").mkdir()
    replay = Bench.open(tmp_path / "b", sent_again=True).send(*(list(message.parts) for message in messages))
    assert replay.counts == COUNTS
    replay.close()
    assert differing(patterns(replay.directory), undisturbed) == []


@pytest.mark.parametrize("frames", [True, False])
@pytest.mark.parametrize("step", ["nothing", "half the journal", "ledger"])
def test_a_replay_that_was_killed_goes_on_where_it_was(
    tmp_path: Path, undisturbed: dict[int, bytes], step: str, frames: bool
) -> None:
    bench = Bench.open(tmp_path, sent_again=True, recording={"frames": frames}).send(*STREAM[:7])
    bench.settle(4)
    bench.ingest.commit()
    bench.send(*STREAM[7:11])
    bench.settle(5)
    die_in(bench, step)
    again = Bench.open(tmp_path, sent_again=True, recording={"frames": frames})
    again.send(*STREAM[again.ingest.messages :])
    assert again.counts == COUNTS
    again.close()
    assert differing(patterns(again.directory), undisturbed) == []


@pytest.mark.parametrize("lost", ["ledger", "journal", "both"])
def test_what_is_lost_is_made_again_from_the_recording(
    tmp_path: Path, undisturbed: dict[int, bytes], lost: str
) -> None:
    bench = Bench.open(tmp_path).send(*STREAM)
    bench.close()
    if lost in {"ledger", "both"}:
        for path in bench.directory.path.glob("ledger.sqlite*"):
            path.unlink()
    if lost in {"journal", "both"}:
        bench.directory.journal.unlink()
    again = Bench.open(tmp_path)
    assert again.counts == COUNTS
    again.close()
    assert differing(patterns(again.directory), undisturbed) == []


@pytest.mark.parametrize("frames", [True, False])
def test_a_damaged_slot_is_filled_from_the_recording_or_free_again(
    tmp_path: Path, undisturbed: dict[int, bytes], frames: bool
) -> None:
    recording: dict[str, Any] = {"recording": {"frames": frames}}
    bench = Bench.open(tmp_path, **recording).send(*STREAM)
    bench.close()
    with bench.directory.journal.open("r+b") as file:
        file.seek(FIRST_SLOT + 2 * bench.ingest.books.journal.stride + 77)
        file.write(b"\xaa\x55")
    again = Bench.open(tmp_path, **recording)
    assert again.frames["missing_ranges"] == ([[8, 11]] if frames else [[2, 2], [8, 11]])
    assert any("slot 2 of the journal was damaged" in text for text in again.events)
    assert any("1 of 1 damaged frames" in text for text in again.events) is frames
    if not frames:
        again.send(v1(2))
    assert again.frames["integrated"] == 8
    again.close()
    assert differing(patterns(again.directory), undisturbed) == []


def damage_bytes(path: Path) -> None:
    data = bytearray(path.read_bytes())
    at = bytes(data).rfind(v1(6)[2][100:160])  # pixels of a frame whose fate was open
    assert at > 0
    data[at + 5] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [damage_bytes, lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 50)])
def test_a_damaged_recording_stops_no_restart(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    bench = Bench.open(tmp_path).send(*STREAM[:6])
    bench.ingest.settle()
    bench.ingest.commit()
    bench.send(*STREAM[6:])
    die_in(bench, "recording")
    damage(bench.directory.recording / "raw-0001.h5")
    again = Bench.open(tmp_path)
    assert any("left out:" in text and "raw-0001.h5" in text for text in again.events)
    slots = {row.slot for row in again.rows}
    assert slots == ({0, 1, 2, 3, 4, 5, 7} if damage is damage_bytes else {0, 1, 2, 3})
    again.send(*STREAM)
    assert again.frames["integrated"] == 8
    again.close()


def test_another_geometry_under_the_same_name_is_refused(tmp_path: Path) -> None:
    Bench.open(tmp_path).close()
    with pytest.raises(RunDirectoryError, match=r"detector\.geometry .* content has changed"):
        other_geometry(tmp_path)


def other_geometry(path: Path) -> None:
    from helpers import bench

    old = bench.PONI
    try:
        bench.PONI = old.replace("Distance: 0.1", "Distance: 0.2")
        Bench.open(path)
    finally:
        bench.PONI = old


def test_another_grid_is_refused(tmp_path: Path) -> None:
    Bench.open(tmp_path).close()
    with pytest.raises(StoreError, match="not the journal of 12 patterns with 50 bins"):
        Bench.open(tmp_path, integration={"bins": 50})


def test_a_ledger_that_is_none_is_named(tmp_path: Path) -> None:
    Bench.open(tmp_path).close()
    for path in (tmp_path / "run").glob("ledger.sqlite*"):
        path.write_bytes(b"no database, but long enough to be taken for one" * 50)
    with pytest.raises(StoreError, match=r"ledger\.sqlite"):
        Bench.open(tmp_path)


def test_no_event_tells_of_a_restart_at_the_first_start(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path)
    assert bench.events == []
    bench.send(*scan_messages())
    bench.close()
    again = Bench.open(tmp_path)
    assert again.events == ["ingest started again with 12 of 12 frames"]
    assert again.turn() == "ended"
    again.close()


def test_received_after_a_restart_is_what_has_a_fate(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path, recording={"frames": False}).send(*STREAM[:5])
    bench.settle(2)
    bench.ingest.commit()
    assert bench.ingest.books.ledger.state()["received"] == 4
    bench.kill()
    again = Bench.open(tmp_path, recording={"frames": False})
    assert again.counts == {"received": 2, "integrated": 2}
    again.close()


def test_the_end_of_a_series_in_the_tail_ends_it_again(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path).send(v1_start(), v1(0))
    bench.ingest.settle()
    bench.ingest.commit()
    bench.send(v1(1), v1_end())
    die_in(bench, "recording")
    again = Bench.open(tmp_path)
    assert again.counts == {"received": 2, "integrated": 2}
    assert again.turn(3) == "ended"
    again.close()


def test_the_ledger_is_one_transaction(tmp_path: Path) -> None:
    """Another connection never sees a place without the counts that belong to it."""
    bench = Bench.open(tmp_path)
    reader = sqlite3.connect(f"file:{bench.directory.ledger}?mode=ro", uri=True)
    for parts in STREAM:
        bench.send(parts)
        bench.settle(1)
        bench.ingest.commit()
        with reader:
            messages = reader.execute("SELECT value FROM state WHERE key = 'messages'").fetchone()[0]
            booked = reader.execute("SELECT COUNT(*) FROM frames").fetchone()[0]
            counted = reader.execute("SELECT COALESCE(SUM(n), 0) FROM counts").fetchone()[0]
        images = sum(1 for each in STREAM[: int(messages)] if each[0][:1] != b"{" or b"dimage" in each[0])
        assert booked + counted == images
    reader.close()
    bench.close()
    assert pixels(0).shape == SHAPE
