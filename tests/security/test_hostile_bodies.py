"""Bodies that are made to hurt: a sentence each, nothing kept, and the next good one is taken."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from helpers.dashboard import AUTH, SCAN, serving
from helpers.fake_run import FakeRun

from stream.core.commands import read_commands
from stream.core.documents import Document, KeptDocuments, line_of
from stream.core.errors import MessageError
from stream.dashboard import guard
from stream.publish import connections

DEEP = b"[" * 200_000
ROUTES = ("/api/v1/documents", f"{SCAN}/regions", f"{SCAN}/labels", f"{SCAN}/finish")


def document(content: str) -> bytes:
    return b'{"documents": [["start", {"uid": "good"}], ["start", %b]]}' % content.encode()


BODIES = {
    "deep": DEEP,
    "deep within": b'{"documents": ' + DEEP,
    "too deep to be kept": document('{"a": ' + "[" * 300 + "]" * 300 + "}"),
    "a number of a thousand digits": document('{"a": ' + "9" * 1000 + "}"),
    "too many digits for Python": document('{"a": ' + "9" * 5000 + "}"),
    "half a surrogate pair": document('{"a": "\\ud800"}'),
    "half a surrogate pair as a key": document('{"\\ud800": 1}'),
    "no UTF-8": b'{"documents": [["start", {"a": "\xff"}]]}',
    "a name of a million bytes": b'{"regions": [{"name": "' + b"a b" * 300_000 + b'", "range": [1, 2]}]}',
    "a range beyond floats": b'{"regions": [{"name": "a", "range": [1, 1e999]}]}',
    "a label that is no text": b'{"labels": [{"cluster": 0, "label": "\\ud800"}]}',
    "no object": b"7",
    "nothing": b"",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> FakeRun:
    run = FakeRun(tmp_path_factory.mktemp("run"), size=11, clusters=True)
    run.advance(0.5)
    return run


@pytest.fixture(scope="module")
def client(run: FakeRun) -> Iterator[httpx.Client]:
    with serving(run) as url, httpx.Client(base_url=url, headers=AUTH, trust_env=False, timeout=60) as client:
        yield client


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_body_that_cannot_be_used_is_refused_and_nothing_of_it_is_kept(
    client: httpx.Client, run: FakeRun, body: bytes
) -> None:
    for route in ROUTES[:3]:
        answer = client.post(route, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code in {400, 422}, (route, answer.text[:300])
        assert len(answer.content) < 500
    assert read_commands(run.directory.commands) == []
    assert list(KeptDocuments(run.directory.documents).new()) == []


def test_what_a_socket_brings_is_no_json_for_ever() -> None:
    """orjson reads deeper than it writes: such a document ended the thread that receives them."""
    deep = json.loads("[" * 300 + "]" * 300)
    with pytest.raises(MessageError, match="start document is no JSON"):
        line_of(Document("start", {"a": deep}))


def test_who_sends_slowly_is_sent_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.5)
    head = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    key = AUTH["Authorization"].encode()
    slow = {
        "nothing at all": b"",
        "half a head": head,
        "empty lines": b"\r\n",
        "half of a second head": head + b"\r\n" + head,
        "half a body": b"POST %b/finish HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: %b\r\nContent-Length: 9\r\n\r\n{"
        % (SCAN.encode(), key),
    }
    with serving(FakeRun(tmp_path, size=11)) as url:
        sockets = {name: socket.create_connection(("127.0.0.1", httpx.URL(url).port)) for name in slow}
        begin = time.monotonic()
        for name, data in slow.items():
            sockets[name].sendall(data)
        said = {name: drained(found) for name, found in sockets.items()}
        assert time.monotonic() - begin < 20
        assert b"408" in said["half a body"]
        assert b"the body did not come" in said["half a body"]
        assert said["half of a second head"].startswith(b"HTTP/1.1 200")
        assert said["nothing at all"] == said["half a head"] == said["empty lines"] == b""
        assert httpx.get(f"{url}/healthz", trust_env=False).status_code == 200


def drained(connection: socket.socket) -> bytes:
    """All that the other side says until it closes."""
    connection.settimeout(20)
    said = b""
    with connection:
        try:
            while data := connection.recv(65536):
                said += data
        except ConnectionResetError:
            pass
    return said


def test_a_head_without_end_is_cut_off(client: httpx.Client) -> None:
    with socket.create_connection(("127.0.0.1", client.base_url.port), timeout=20) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
        with pytest.raises(ConnectionError):
            connection.sendall(b"x" * 50_000_000)  # more than the kernel's buffers hold
    assert client.get("/healthz").status_code == 200


def test_more_connections_than_there_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "most_connections", lambda: 3)
    with serving(FakeRun(tmp_path, size=11)) as url:
        kept = [socket.create_connection(("127.0.0.1", httpx.URL(url).port)) for _ in range(5)]
        assert [drained(each) for each in kept[3:]] == [b"", b""]
        for each in kept[:3]:
            each.close()
        time.sleep(0.1)
        assert httpx.get(f"{url}/healthz", trust_env=False).status_code == 200
