"""Where messages come from: sockets of both kinds, and a recording in their place."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from helpers.bench import SHAPE, scan_messages, write_config
from helpers.ports import free_port

from stream.core.config import DetectorConfig
from stream.core.errors import UnavailableError
from stream.core.wire import decode
from stream.ingest.recorded import read_recording
from stream.ingest.recording import Recording
from stream.ingest.sources import RecordingSource, SocketSource

MESSAGES = scan_messages(range(4))


def detector(folder: Path, **values: Any) -> DetectorConfig:
    return write_config(
        folder, detector={"endpoint": "tcp://127.0.0.1:1", "geometry": "detector.poni"} | values
    ).detector


@pytest.fixture
def sender() -> Iterator[zmq.Socket[bytes]]:
    socket = zmq.Context.instance().socket(zmq.PUSH)
    socket.setsockopt(zmq.LINGER, 0)
    yield socket
    socket.close()


def received(source: SocketSource, count: int) -> list[list[bytes]]:
    """Copies of the next messages."""
    found = []
    while len(found) < count:
        message = source.receive(5.0)
        assert message is not None
        assert message.stream == 0
        found.append([bytes(part) for part in message.parts])
    return found


@pytest.mark.parametrize("bind", [False, True])
def test_pull(tmp_path: Path, sender: zmq.Socket[bytes], bind: bool) -> None:
    port = free_port() if bind else sender.bind_to_random_port("tcp://127.0.0.1")
    source = SocketSource.open(detector(tmp_path, endpoint=f"tcp://127.0.0.1:{port}", bind=bind), 1000)
    if bind:
        sender.connect(f"tcp://127.0.0.1:{port}")
    for parts in MESSAGES:
        sender.send_multipart(parts)
    assert received(source, len(MESSAGES)) == MESSAGES
    assert source.receive(0.01) is None
    assert not source.exhausted
    source.close()


def test_sub(tmp_path: Path) -> None:
    publisher = zmq.Context.instance().socket(zmq.XPUB)
    publisher.setsockopt(zmq.LINGER, 0)
    port = publisher.bind_to_random_port("tcp://127.0.0.1")
    source = SocketSource.open(detector(tmp_path, endpoint=f"tcp://127.0.0.1:{port}", socket="sub"), 1000)
    assert publisher.recv() == b"\x01"  # everything is subscribed to
    for parts in MESSAGES:
        publisher.send_multipart(parts)
    assert received(source, len(MESSAGES)) == MESSAGES
    source.close()
    publisher.close()


def test_what_the_socket_holds_is_bounded_in_bytes(tmp_path: Path) -> None:
    config = detector(tmp_path, queue_bytes=64 << 20)
    for size, count in [(1 << 20, 16), (1 << 30, 1), (0, 16 << 20)]:
        source = SocketSource.open(config, size)
        assert source.sockets[0].getsockopt(zmq.RCVHWM) == count
        source.close()


def test_a_sender_is_made_to_wait_and_nothing_is_lost(tmp_path: Path, sender: zmq.Socket[bytes]) -> None:
    sender.setsockopt(zmq.SNDHWM, 2)
    port = sender.bind_to_random_port("tcp://127.0.0.1")
    source = SocketSource.open(detector(tmp_path, endpoint=f"tcp://127.0.0.1:{port}", queue_bytes=1 << 20), 1 << 18)
    blob, sent = bytes(1 << 20), 0
    while sent < 200 and sender.poll(300, zmq.POLLOUT):
        sender.send(struct.pack("<I", sent) + blob)
        sent += 1
    assert 0 < sent < 200
    found = [struct.unpack("<I", parts[0][:4])[0] for parts in received(source, sent)]
    assert found == list(range(sent))
    source.close()


@pytest.mark.parametrize(
    ("endpoint", "bind"), [("tcp://192.0.2.1:9999", True), ("ipc:///nowhere/x", True), (f"ipc://{'x' * 200}", False)]
)
def test_an_endpoint_that_cannot_be_used(tmp_path: Path, endpoint: str, bind: bool) -> None:
    with pytest.raises(UnavailableError, match=r"detector\.endpoint .* cannot be used") as caught:
        SocketSource.open(detector(tmp_path, endpoint=endpoint, bind=bind), 1000)
    assert caught.value.exit_code == 4


def test_a_taken_port(tmp_path: Path, sender: zmq.Socket[bytes]) -> None:
    port = sender.bind_to_random_port("tcp://127.0.0.1")
    with pytest.raises(UnavailableError, match=str(port)):
        SocketSource.open(detector(tmp_path, endpoint=f"tcp://127.0.0.1:{port}", bind=True), 1000)


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """Two files, a message every half second."""
    for n in range(2):
        recording = Recording(tmp_path, SHAPE)
        for i, parts in enumerate(MESSAGES[3 * n : 3 * n + 3]):
            recording.append(parts, decode(parts), 1.7e9 + (3 * n + i) / 2)
        recording.close()
    return tmp_path


class Watch:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 50.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("skip", [0, 1, 3, 4, 6, 99])
def test_a_recording_as_fast_as_it_goes(recorded: Path, skip: int) -> None:
    watch = Watch()
    source = RecordingSource(read_recording(recorded, skip), None, sleep=watch.sleep, clock=watch)
    found = []
    while not source.exhausted:
        message = source.receive(0.05)
        if message is not None:
            assert watch.now == 50.0
            found.append(list(message.parts))
    assert found == MESSAGES[skip:]
    assert source.receive(0.05) is None


@pytest.mark.parametrize("speed", [0.5, 1.0, 4.0])
def test_a_recording_at_its_pace(recorded: Path, speed: float) -> None:
    watch = Watch()
    source = RecordingSource(read_recording(recorded), speed, sleep=watch.sleep, clock=watch)
    times = []
    while not source.exhausted:
        if source.receive(0.05) is not None:
            times.append(watch.now - 50.0)
    assert times == pytest.approx([n / 2 / speed for n in range(6)], abs=1e-6)
