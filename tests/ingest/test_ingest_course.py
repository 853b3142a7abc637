"""When an acquisition begins, ends, and goes on; time passes when the test says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.bench import Bench, scan_messages, v1, v1_end, v1_start

from stream.core.commands import Kind, post_command
from stream.ingest.acquisition import STRAGGLERS

IDLE = 30.0


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench.open(tmp_path, recording={"frames": False})
    yield bench
    bench.close()


def test_before_the_first_message_there_is_no_clock(bench: Bench) -> None:
    assert bench.turn(10 * IDLE) == "waiting"


@pytest.mark.parametrize("stray", [v1_end(9), [b"noise"]], ids=["end", "noise"])
def test_a_stray_message_starts_no_clock(bench: Bench, stray: list[bytes]) -> None:
    bench.send(stray)
    assert bench.turn(10 * IDLE) == "waiting"


def test_a_full_grid_ends_at_once(bench: Bench) -> None:
    bench.send(*scan_messages()[:-1])
    assert bench.turn() == "ended"
    assert bench.turn(10 * IDLE) == "ended"


def test_an_end_with_gaps_waits_for_stragglers(bench: Bench) -> None:
    bench.send(v1_start(), v1(0), v1_end())
    assert bench.turn(STRAGGLERS - 0.1) == "acquiring"
    bench.send(v1(1))
    assert bench.turn(0.2) == "ended"
    assert bench.frames["missing_ranges"] == [[2, 11]]


def test_stragglers_that_fill_the_grid_end_it(bench: Bench) -> None:
    bench.send(v1_start(), *map(v1, range(11)), v1_end())
    assert bench.turn(0.5) == "acquiring"
    bench.send(v1(11))
    assert bench.turn() == "ended"


def test_silence_ends_a_series_that_sent_no_end(bench: Bench) -> None:
    bench.send(v1_start(), v1(0))
    assert bench.turn(IDLE - 1) == "acquiring"
    bench.send(v1(1))
    assert bench.turn(IDLE - 1) == "acquiring"
    assert bench.turn(2) == "ended"
    assert any("no message for 30 s" in text for text in bench.events)


def test_silence_ends_a_series_of_which_only_the_header_came(bench: Bench) -> None:
    bench.send(v1_start())
    assert bench.turn(IDLE + 1) == "ended"


def test_any_message_breaks_the_silence(bench: Bench) -> None:
    bench.send(v1_start(), v1(0))
    bench.turn(IDLE - 1)
    bench.send([b"noise"])
    assert bench.turn(IDLE - 1) == "acquiring"


def test_late_frames_of_an_ended_series_open_it_for_as_long_as_stragglers_have(bench: Bench) -> None:
    bench.send(v1_start(), v1(0), v1_end())
    assert bench.turn(STRAGGLERS + 0.1) == "ended"
    bench.send(v1(1))
    assert bench.turn() == "acquiring"
    bench.send(v1(2))
    assert bench.turn(STRAGGLERS - 0.1) == "acquiring"
    assert bench.turn(0.2) == "ended"
    assert bench.counts == {"received": 3, "integrated": 3}


def test_late_duplicates_open_nothing(bench: Bench) -> None:
    bench.send(v1_start(), v1(0), v1_end())
    bench.turn(STRAGGLERS + 0.1)
    bench.send(v1(0), [b"noise"])
    assert bench.turn() == "ended"


def test_a_series_that_was_only_silent_goes_on_as_before(bench: Bench) -> None:
    bench.send(v1_start(), v1(0))
    assert bench.turn(IDLE + 1) == "ended"
    bench.send(v1(1))
    assert bench.turn(IDLE - 1) == "acquiring"
    assert bench.turn(2) == "ended"


def test_a_new_series_fills_the_gaps_of_the_last_one(bench: Bench) -> None:
    bench.send(v1_start(1), *(v1(n, 1) for n in range(6)), v1_end(1))
    assert bench.turn(STRAGGLERS + 0.1) == "ended"
    bench.send(*scan_messages(series=2))
    assert bench.turn() == "ended"
    assert bench.counts == {"received": 18, "integrated": 12, "duplicate": 6}


def test_a_new_series_takes_back_the_end_of_the_last_one(bench: Bench) -> None:
    bench.send(v1_start(1), v1(0, 1), v1_end(1), v1_start(2), v1(1, 2))
    assert bench.turn(STRAGGLERS + 0.1) == "acquiring"


def test_after_an_end_the_next_series_may_come_without_its_header(bench: Bench) -> None:
    bench.send(v1_start(1), v1(0, 1), v1_end(1), v1(1, 2), v1_end(2))
    assert bench.turn(STRAGGLERS + 0.1) == "ended"
    assert bench.counts == {"received": 2, "integrated": 2}


def test_an_exhausted_recording_ends_at_once(bench: Bench) -> None:
    bench.send(v1_start(), v1(0))
    assert bench.turn(exhausted=True) == "ended"


@pytest.mark.parametrize(("kind", "reason"), [("finish", "finished"), ("abort", "aborted")])
def test_a_person_ends_it(bench: Bench, kind: Kind, reason: str) -> None:
    """The detector does not know: what it still sends is dropped, until it begins a new series."""
    bench.send(v1_start(), v1(0))
    bench.turn()
    post_command(bench.directory.commands, kind, {})
    assert bench.turn(0.2) == "ended"
    bench.send(v1(1), v1(0), [b"noise"])
    assert bench.turn() == "ended"
    counts = {"received": 4, "integrated": 1, "duplicate": 1, "rejected": {"not-decodable": 1}, "dropped": {reason: 1}}
    assert bench.counts == counts
    bench.send(v1_start(2), v1(1, 2))
    assert bench.turn() == "acquiring"
    assert bench.counts == counts | {"received": 5, "integrated": 2}


def test_other_commands_end_nothing(bench: Bench) -> None:
    bench.send(v1_start(), v1(0))
    post_command(bench.directory.commands, "recompute", {})
    assert bench.turn(1) == "acquiring"


def test_a_command_is_obeyed_once(tmp_path: Path) -> None:
    first = Bench.open(tmp_path).send(v1_start(), v1(0))
    first.turn()
    post_command(first.directory.commands, "finish", {})
    assert first.turn(0.2) == "ended"
    first.kill()
    second = Bench.open(tmp_path)
    assert second.turn(1) == "ended"
    second.send(v1(1))
    assert second.turn(1) == "acquiring"
    second.close()


def test_a_finish_that_no_process_saw_is_obeyed_at_the_next_start(tmp_path: Path) -> None:
    first = Bench.open(tmp_path).send(v1_start(), v1(0))
    first.turn()
    post_command(first.directory.commands, "finish", {})
    first.kill()
    second = Bench.open(tmp_path)
    assert second.turn(1) == "ended"
    second.close()


def test_an_open_series_is_waited_for_from_the_start_of_the_process(tmp_path: Path) -> None:
    first = Bench.open(tmp_path).send(v1_start(), v1(0))
    first.turn()
    first.kill()
    second = Bench.open(tmp_path)
    assert second.turn(IDLE - 1) == "acquiring"
    assert second.turn(2) == "ended"
    second.close()


def test_a_series_without_a_name_is_waited_for_too(tmp_path: Path) -> None:
    """STINS names no series."""
    first = Bench.open(tmp_path).send([b'{"htype":"header"}'])
    first.turn()
    first.kill()
    second = Bench.open(tmp_path)
    assert second.turn(IDLE + 1) == "ended"
    second.close()


def test_nothing_is_waited_for_where_nothing_began(tmp_path: Path) -> None:
    first = Bench.open(tmp_path)
    first.turn()
    first.close()
    second = Bench.open(tmp_path)
    assert second.turn(10 * IDLE) == "waiting"
    second.close()


def test_a_process_killed_while_it_waited_for_stragglers_ends_after_its_restart(tmp_path: Path) -> None:
    first = Bench.open(tmp_path).send(v1_start(), v1(0), v1_end())
    assert first.turn() == "acquiring"
    first.kill()
    second = Bench.open(tmp_path)
    assert second.turn(STRAGGLERS - 0.1) == "acquiring"
    assert second.turn(0.2) == "ended"
    second.close()


def test_an_incomplete_run_stays_ended_until_a_frame_comes(tmp_path: Path) -> None:
    first = Bench.open(tmp_path).send(v1_start(), v1(0), v1_end())
    assert first.turn(STRAGGLERS + 0.1) == "ended"
    first.close()
    second = Bench.open(tmp_path)
    assert second.turn(10 * IDLE) == "ended"
    second.send(v1(1))
    assert second.turn() == "acquiring"
    assert second.turn(STRAGGLERS + 0.1) == "ended"
    second.close()


def test_after_a_restart_the_detector_may_have_been_armed_again(tmp_path: Path) -> None:
    """Its header went to the process that died."""
    first = Bench.open(tmp_path).send(v1_start(1), v1(0, 1))
    first.turn()
    first.kill()
    second = Bench.open(tmp_path).send(v1(1, 2), v1(2, 1), v1_end(2))
    assert second.counts == {"received": 3, "integrated": 2, "rejected": {"foreign-series": 1}}
    assert second.turn(STRAGGLERS + 0.1) == "ended"
    second.close()


def test_an_end_after_a_restart_is_not_stale(tmp_path: Path) -> None:
    first = Bench.open(tmp_path).send(v1_start(1), v1(0, 1))
    first.turn()
    first.kill()
    second = Bench.open(tmp_path).send(v1_end(1))
    assert second.turn(STRAGGLERS + 0.1) == "ended"
    second.close()


def test_commits_rest_while_nothing_happens(bench: Bench) -> None:
    def commits(seconds: float) -> int:
        seen = set()
        for _ in range(round(seconds / 0.01)):
            bench.clock.now += 0.01
            bench.ingest.turn(exhausted=False)
            seen.add(bench.ingest._committed[0])
        return len(seen)

    assert commits(5.0) <= 7
    bench.send(v1_start(), v1(0))
    bench.ingest.settle()
    before = bench.ingest.books.ledger.state()["received"]
    for _ in range(11):
        bench.clock.now += 0.01
        bench.ingest.turn(exhausted=False)
    assert bench.ingest.books.ledger.state()["received"] == before + 1


def test_rate_and_latency(bench: Bench) -> None:
    bench.send(v1_start())
    bench.turn()
    for n in range(10):
        bench.send(v1(n))
        bench.ingest.settle()
        bench.clock.now += 0.25
    bench.ingest.commit()
    state = bench.ingest.books.ledger.state()
    assert state["latency"] == pytest.approx(2.5)
    assert state["rate"] == pytest.approx(4.0, rel=0.05)
    bench.turn(2.0)
    assert bench.ingest.books.ledger.state()["rate"] == 0.0
