"""What comes for the next run waits at the gate until it is there."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
from helpers.chain import until
from helpers.ports import free_port

from stream.core.config import Config, load_config
from stream.core.documents import Document
from stream.core.files import write_json
from stream.core.lifecycle import Status
from stream.core.messages import Image, SeriesEnd, SeriesStart
from stream.core.rundir import RunDirectory
from stream.core.wire import decode
from stream.ingest.series import Series as Seen
from stream.ingest.sources import connected
from stream.service.documents import Receiver
from stream.service.gate import Gate
from stream.service.watch import had_its_series
from stream.simulate.wire import Series, make_encoder

FRAMES = 6
PIXELS = np.zeros((4, 4), np.uint16)


def messages(number: int) -> list[list[bytes]]:
    encoder = make_encoder("dectris-2", Series(FRAMES, np.zeros((4, 4), np.uint32), 1.0, (1e-4, 1e-4), number))
    return [encoder.start(), *(encoder.image(n, PIXELS, {}) for n in range(FRAMES)), encoder.end()]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "detector.poni").touch()
    (tmp_path / "config.yaml").write_text(
        "scan: {name: night, angles: {start: 0, step: 90, count: 2}, positions: {count: 3}}\n"
        f"detector: {{endpoint: 'tcp://127.0.0.1:{free_port()}', geometry: detector.poni}}\n"
    )
    return load_config(tmp_path / "config.yaml")


def taken(config: Config, endpoint: str, least: int) -> list[Any]:
    """What a run gets at its own endpoint: so many messages, and what may come behind them."""
    told = []
    with connected(config.detector.model_copy(update={"endpoint": endpoint}), "detector", 100) as socket:
        while socket.poll(5000 if len(told) < least else 300):
            told.append(decode([frame.buffer for frame in socket.recv_multipart(copy=False)]))
    return told


def test_series_that_follow_at_once_are_whole(config: Config, tmp_path: Path) -> None:
    """A detector that waits for nobody: each run has its own series, from the header to the end."""
    directory = RunDirectory(tmp_path / "run")

    def send() -> None:
        with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
            socket.bind(config.detector.endpoint)
            for number in (11, 12, 13):
                for message in messages(number):
                    socket.send_multipart(message)

    sender = threading.Thread(target=send)
    sender.start()
    found = []
    with Gate(config.detector) as gate:
        for _ in range(3):
            endpoint = gate.open(config, lambda seen: had_its_series(directory, None, seen))
            found.append(taken(config, endpoint, FRAMES + 2))
        sender.join(10)
    assert not sender.is_alive()
    for events in found:
        assert [type(event) for event in events] == [SeriesStart, *[Image] * FRAMES, SeriesEnd]
        assert [event.frame for event in events[1:-1]] == list(range(FRAMES))
        assert len({event.series for event in events}) == 1
    assert len({events[0].series for events in found}) == 3


def test_whose_a_series_is(tmp_path: Path) -> None:
    directory, seen, ended = RunDirectory(tmp_path / "run"), Seen(FRAMES), Seen(FRAMES)
    directory.path.mkdir()
    ended.start(SeriesStart(series="1"))
    ended.end(SeriesEnd(series="1"))
    assert not had_its_series(directory, None, seen)
    assert had_its_series(directory, None, ended)
    with Receiver(f"tcp://127.0.0.1:{free_port()}", single=True) as plan:
        plan.into(directory.documents)
        plan._take(Document("start", {"uid": "a"}))
        assert not had_its_series(directory, plan, ended), "armed again by the same plan"
        late = threading.Timer(0.2, plan._take, [Document("stop", {"run_start": "a"})])
        late.start()
        assert had_its_series(directory, plan, ended), "its stop comes behind the next header"
        assert not had_its_series(directory, plan, seen), "its frames come behind its documents"
    write_json(directory.state, {"status": Status.FINISHING})
    until(lambda: had_its_series(directory, None, seen), "the end of a run whose series never ended")
