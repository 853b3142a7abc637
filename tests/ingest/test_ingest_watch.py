"""What a person is told of the stream: another receiver, gaps, a processor that is too slow, a grid that is full."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from helpers.bench import Bench, scan_messages, v1, v1_end, v1_start
from hypothesis import given
from hypothesis import strategies as st

from stream.core.wire import decompress
from stream.ingest.ingest import QUIET
from stream.ingest.numbers import LOOK_AT, Numbers
from stream.ingest.sources import Received

GRID: dict[str, Any] = {"scan": {"positions": {"count": 100}}, "recording": {"frames": False}}
"""300 frames."""


def strides(frames: list[int]) -> int | None:
    numbers = Numbers()
    for frame in frames:
        numbers.take(frame)
    return numbers.stride()


@given(first=st.integers(0, 1000), stride=st.integers(2, 5), seed=st.integers(0, 99))
def test_a_regular_stride_is_seen_also_out_of_order(first: int, stride: int, seed: int) -> None:
    frames = [first + stride * n for n in range(LOOK_AT)]
    random.Random(seed).shuffle(frames)
    assert strides(frames) == stride


@given(seed=st.integers(0, 999), lost=st.floats(0, 0.6))
def test_frames_lost_at_random_are_no_other_receiver(seed: int, lost: float) -> None:
    dice = random.Random(seed)
    frames = [n for n in range(400) if dice.random() >= lost]
    for until in range(LOOK_AT, len(frames), 7):
        assert strides(frames[:until]) is None


@pytest.mark.parametrize(("share", "said"), [(2, "2nd"), (3, "3rd"), (4, "4th")])
def test_another_receiver_is_named(tmp_path: Path, share: int, said: str) -> None:
    bench = Bench.open(tmp_path, **GRID).send(*(v1(n) for n in range(1, 150, share)))
    bench.turn(1)
    (told,) = [text for text in bench.events if "another receiver" in text]
    assert f"every {said} frame" in told
    assert "tcp://127.0.0.1:1" in told
    assert bench.ingest.books.ledger.state()["stolen"] == told
    bench.close()


def test_another_receiver_is_named_also_where_each_line_is_a_series(tmp_path: Path) -> None:
    """Starts and ends are dealt round like images."""
    scan = {"series": "line", "angles": {"start": 0, "step": 1, "count": 40}}
    lines = [(v1_start(n), *(v1(f, n) for f in range(4)), v1_end(n)) for n in range(1, 41)]
    dealt = [message for line in lines for message in line][1::2]
    bench = Bench.open(tmp_path, scan=scan, recording={"frames": False}).send(*dealt)
    bench.turn(1)
    assert any("only every 2nd frame arrives" in text for text in bench.events)
    bench.close()


def test_all_frames_or_a_publisher_are_no_other_receiver(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path, **GRID).send(*map(v1, range(60)))
    bench.turn(1)
    assert not any("another receiver" in text for text in bench.events)
    bench.close()
    (tmp_path / "sub").mkdir()
    bench = Bench.open(tmp_path / "sub", **GRID, detector={"socket": "sub"}).send(*(v1(2 * n) for n in range(60)))
    bench.turn(1)
    assert not any("another receiver" in text for text in bench.events)
    bench.close()


def test_a_publishers_gaps_are_told_at_once(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path, **GRID, detector={"socket": "sub"})
    bench.send(v1_start(), *map(v1, [0, 1, 5, 6, 8]))
    bench.turn(0.2)
    assert any("4 frames did not come: 2–4, 7" in text for text in bench.events)
    bench.send(v1(9))
    bench.turn(2)
    assert sum("did not come" in text for text in bench.events) == 1
    bench.close()


def test_out_of_order_over_push_is_no_gap(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path, **GRID).send(v1_start(), *map(v1, [0, 3, 1, 2, 4]))
    bench.turn(2)
    assert not any("did not come" in text for text in bench.events)
    bench.close()


def test_gaps_in_the_detectors_own_count_of_messages(tmp_path: Path) -> None:
    head = b'{"htype":"image","frame":%d,"msg_number":%d,"shape":[71,95],"type":"uint8","compression":"none"}'
    images = [[head % (n, number), bytes(71 * 95)] for n, number in enumerate([210, 211, 214])]
    bench = Bench.open(tmp_path, **GRID).send(*images)
    bench.turn(2)
    assert any("2 messages did not come: 212–213" in text for text in bench.events)
    bench.close()


class Endless:
    """A live source that always has the next frame; it gives up none of its messages."""

    live, exhausted = True, False

    def __init__(self, frames: int, pause: float = 0.0, stop: threading.Event | None = None) -> None:
        self.left, self.pause, self.closed = scan_messages(range(frames)), pause, False
        self._stop, self._empty = stop, 0

    def receive(self, timeout: float) -> Received | None:
        if not self.left:
            time.sleep(timeout)
            self._empty += 1
            if self._stop is not None and self._empty == 5:
                self._stop.set()
            return None
        time.sleep(self.pause)
        return Received(0, self.left.pop(0))

    def close(self) -> None:
        self.closed = True


def test_a_sender_that_has_to_wait_is_said_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.ingest.watch.TOO_LONG", 0.2)
    bench = Bench.open(tmp_path, **GRID)

    def slow(array: Any) -> Any:
        time.sleep(0.05)
        return decompress(array)

    monkeypatch.setattr("stream.ingest.integrate.cpu.decompress", slow)
    bench.ingest.clock = time.monotonic
    stop = threading.Event()
    bench.ingest.run(Endless(160, stop=stop), stop)
    assert any("frames come faster than they are processed: the sender is held back" in text for text in bench.events)
    assert bench.ingest.books.ledger.state()["back_pressure"] is None  # it has caught up
    bench.close()


def test_a_full_grid_lets_the_endpoint_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a moment, in which duplicates are still counted; an incomplete scan waits for more."""
    monkeypatch.setattr("stream.ingest.ingest.QUIET", 0.2)
    assert QUIET >= 1
    for frames, closed in [(12, True), (11, False)]:
        (tmp_path / str(frames)).mkdir()
        bench = Bench.open(tmp_path / str(frames), recording={"frames": False})
        bench.ingest.clock = time.monotonic
        source, stop = Endless(frames), threading.Event()
        source.left += [v1(3), v1(4)]
        threading.Timer(1.0, stop.set).start()
        bench.ingest.run(source, stop)
        assert source.closed is closed
        assert bench.ingest.books.ledger.state()["disconnected"] is closed
        assert bench.counts["duplicate"] == 2
        bench.close()
