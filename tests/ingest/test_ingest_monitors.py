"""The incident intensity from a stream of its own, joined to the frames by their number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.bench import Bench, pixels, v1, v1_end, v1_start
from helpers.recordings import read_messages

from stream.core.config import parse_config
from stream.core.errors import ConfigError

STREAM = {"endpoint": "tcp://127.0.0.1:2", "format": "maxiv-albaem", "key": "i0"}
MONITORED: dict[str, Any] = {"monitors": [STREAM]}


def reading(frame: int, i0: float | None) -> dict[str, Any]:
    return {"message_type": "data", "frame_number": frame, "i0": i0, "version": 1}


def monitors(bench: Bench) -> dict[int, float | None]:
    return {row.slot: row.monitor for row in bench.rows}


def test_each_frame_has_its_reading(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path, **MONITORED).hear({"message_type": "series-start"})
    bench.send(v1_start(), v1(0)).hear(reading(0, 5.0), reading(1, 6.0)).send(v1(1), v1(2)).hear(reading(2, 7.0))
    assert monitors(bench) == {0: 5.0, 1: 6.0, 2: 7.0}
    bench.close()


def test_a_reading_that_never_comes_is_none(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path, **MONITORED).send(v1_start(), v1(0), v1(1), v1(2)).hear(reading(0, 5.0))
    assert bench.turn(9.0) == "acquiring"
    assert bench.ingest.books.ledger.integrated == 1
    bench.turn(1.1)
    assert bench.ingest.books.ledger.integrated == 3
    np.testing.assert_equal(monitors(bench), {0: 5.0, 1: np.nan, 2: np.nan})
    assert bench.ingest.books.ledger.state()["unmonitored"] == 2
    assert any("2 frames have no incident intensity yet" in text for text in bench.events)
    bench.close()


def test_a_reading_that_comes_after_all_is_booked(tmp_path: Path) -> None:
    """A reader of the ledger sees the frame again, with its intensity."""
    bench = Bench.open(tmp_path, **MONITORED).send(v1_start(), v1(0), v1(1))
    bench.turn(11)
    seen = max(row.id for row in bench.rows)
    bench.hear(reading(1, 6.0))
    assert [(row.slot, row.monitor) for row in bench.rows if row.id > seen] == [(1, 6.0)]
    assert bench.counts == {"received": 2, "integrated": 2}
    bench.close()
    again = Bench.open(tmp_path, **MONITORED).hear(reading(0, 4.0))
    assert monitors(again) == {0: 4.0, 1: 6.0}
    again.close()


def test_a_late_reading_may_come_before_the_frame_is_committed(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path, **MONITORED).send(v1_start(), v1(0), v1(1))
    bench.ingest.settle(give_up=True)
    bench.hear(reading(1, 6.0), reading(0, 5.0), reading(1, 7.0))
    assert monitors(bench) == {0: 5.0, 1: 6.0}
    assert bench.counts == {"received": 2, "integrated": 2}
    bench.close()


def test_a_duplicate_never_takes_the_late_reading(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path, **MONITORED).send(v1_start(), v1(3), v1(3), v1(3))
    bench.turn(11)
    bench.hear(reading(3, 6.0))
    assert bench.counts == {"received": 3, "integrated": 1, "duplicate": 2}
    assert monitors(bench) == {3: 6.0}
    bench.close()


@pytest.mark.parametrize("value", [None, "much", True, [1, 2]])
def test_a_reading_that_is_no_number(tmp_path: Path, value: Any) -> None:
    bench = Bench.open(tmp_path, **MONITORED).send(v1_start(), v1(0)).hear(reading(0, value), reading(1, 2.0))
    bench.turn(11)
    assert bench.counts == {"received": 1, "integrated": 1}
    assert np.isnan(float(monitors(bench)[0] or 0.0)) or monitors(bench)[0] == 1.0
    bench.close()


def test_a_message_that_cannot_be_used_is_said_once_and_counts_nowhere_else(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path, **MONITORED).send(v1_start(), v1(0))
    bench.ingest.accept([b"noise"], 0.0, stream=1)
    bench.hear({"message_type": "data"}, {"message_type": "what"}, reading(0, 5.0))
    assert bench.counts == {"received": 1, "integrated": 1}
    assert sum("monitors.0" in text for text in bench.events) == 1
    assert bench.ingest.books.ledger.state()["monitors"] == [{"received": 4, "rejected": 3}]
    bench.close()


def test_frames_that_wait_when_the_process_ends_are_booked(tmp_path: Path) -> None:
    changes = MONITORED | {"recording": {"frames": False}}
    bench = Bench.open(tmp_path, **changes).send(v1_start(), v1(0), v1_end())
    bench.ingest.settle(give_up=True)
    bench.close()
    again = Bench.open(tmp_path, **changes).hear(reading(0, 3.0))
    assert monitors(again) == {0: 3.0}
    again.close()


def test_a_series_of_readings_for_each_line(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path, scan={"series": "line"}, **MONITORED)
    for n in range(3):
        bench.hear({"message_type": "series-start"}, *(reading(f, 10.0 * n + f + 1) for f in range(4)))
        bench.send(v1_start(7 + n), *(v1(f, 7 + n, image=pixels(4 * n + f)) for f in range(4)), v1_end(7 + n))
    assert monitors(bench) == {4 * n + f: 10.0 * n + f + 1 for n in range(3) for f in range(4)}
    bench.close()


def test_a_replay_repeats_the_readings(tmp_path: Path) -> None:
    from stream.ingest.recorded import read_recording

    bench = Bench.open(tmp_path, **MONITORED).hear(reading(0, 5.0)).send(v1_start(), v1(0), v1(1))
    bench.turn(11)
    bench.hear(reading(1, 6.0))
    bench.turn()
    bench.close()
    (tmp_path / "b").mkdir()
    replay = Bench.open(tmp_path / "b", sent_again=True, **MONITORED)
    for message in read_recording(bench.directory.path):
        replay.ingest.accept(message.parts, 0.0, stream=message.stream)
    assert replay.turn(exhausted=True) == "ended"
    assert monitors(replay) == {0: 5.0, 1: 6.0}
    replay.close()


def test_the_recorded_electrometer(recordings: Path, tmp_path: Path) -> None:
    stream = STREAM | {"key": "channel3"}
    bench = Bench.open(tmp_path, monitors=[stream]).send(v1_start(), *map(v1, range(4)))
    for parts in read_messages(recordings / "maxiv/albaem-dump.cbors"):
        bench.ingest.accept(parts, 0.0, stream=1)
    found = monitors(bench)
    assert [found[n] for n in (0, 1, 3)] == [2.5349278603830644e-10, 2.4918586977066537e-10, 2.5533860729586694e-10]
    assert sorted(found) == [0, 1, 2, 3]
    bench.close()


def test_two_incident_intensities_are_refused(tmp_path: Path) -> None:
    (tmp_path / "detector.poni").touch()
    raw = {
        "scan": {"name": "x", "angles": {"start": 0, "step": 1, "count": 2}, "positions": {"count": 3}},
        "detector": {"endpoint": "tcp://a:1", "geometry": "detector.poni", "monitor": "i0"},
        "monitors": [STREAM],
    }
    with pytest.raises(ConfigError, match=r"monitors and detector\.monitor"):
        parse_config(raw, tmp_path)
    raw["detector"] = {"endpoint": "tcp://a:1", "geometry": "detector.poni"}
    with pytest.raises(ConfigError, match="maxiv-pcap, with axes"):
        parse_config(raw | {"scan": raw["scan"] | {"index": "pcap"}}, tmp_path)  # type: ignore[operator]
