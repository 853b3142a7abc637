"""Every route there is, taken from the app itself: what it answers without the key, and to a path that leads away."""

from __future__ import annotations

import asyncio
import http.client
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from helpers.dashboard import AUTH, KEY, serving
from helpers.fake_run import FakeRun
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from stream.dashboard import create_app
from stream.dashboard.app import STATIC
from stream.dashboard.guard import OPEN, Guard

NAMES = {"scan": "ncm622-cycled", "name": "global", "index": "0", "y": "3", "x": "4", "path": "style.css"}
WRITES, READS = ("POST", "PUT", "PATCH", "DELETE", "TRACE"), ("GET", "HEAD", "OPTIONS")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> FakeRun:
    """With a file of marked content at each place that a path could lead to."""
    folder = tmp_path_factory.mktemp("runs")
    run = FakeRun(folder / "run", size=11)
    run.advance(0.5)
    (folder / "beside-secret").write_text("MARKED")
    run.directory.key.write_text("MARKED")
    (folder / "run" / "link").symlink_to(folder / "beside-secret")
    return run


@pytest.fixture(scope="module")
def url(run: FakeRun) -> Iterator[str]:
    with serving(run) as url:
        yield url


@pytest.fixture(scope="module")
def open_url(run: FakeRun) -> Iterator[str]:
    with serving(run, host="0.0.0.0") as url:
        yield url


@pytest.fixture(scope="module")
def operations(run: FakeRun) -> list[tuple[str, str]]:
    """(method, path with parameters in braces) of every route of the app."""
    paths = create_app(run.directory, run.config, KEY).openapi()["paths"]
    return [(method.upper(), path) for path, found in paths.items() for method in found]


def filled(path: str, value: str | None = None) -> str:
    """A path with what is there in the place of its parameters, or with one value for all of them."""
    return re.sub(r"{(\w+)}", lambda name: NAMES[name[1]] if value is None else value, path)


def test_every_write_needs_the_key_before_its_body_is_looked_at(url: str, operations: list[tuple[str, str]]) -> None:
    writes = [path for method, path in operations if method not in {"GET", "HEAD"}]
    assert len(writes) >= 6
    with httpx.Client(base_url=url, trust_env=False) as client:
        for path in map(filled, writes):
            for headers in ({}, {"Authorization": f"Bearer {KEY}x"}, {"Authorization": f"bearer {KEY[:-1]}"}):
                answer = client.post(path, headers=headers, content=b"{not json")
                assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), path
            assert client.post(path, headers=AUTH, content=b"{not json").status_code != 401, path


def test_every_read_needs_the_key_where_others_can_reach_it(open_url: str, operations: list[tuple[str, str]]) -> None:
    reads = [filled(path) for method, path in operations if method == "GET"]
    assert len(reads) > 15
    with httpx.Client(base_url=open_url, trust_env=False, timeout=60) as client:
        for path in {*reads, "/openapi.json", "/api/v1/live", "/anything"} - OPEN:
            assert client.get(path).status_code == 401, path
            assert client.head(path, headers=AUTH).status_code != 401, path  # past the guard, and nothing is computed
        for path in (*OPEN, "/static/style.css"):
            assert client.get(path).status_code != 401, path


@given(st.sampled_from(WRITES + READS), st.text(max_size=40), st.text(max_size=20))
def test_what_is_not_known_to_be_open_is_closed(method: str, path: str, given_key: str) -> None:
    """A route that nobody thought of is behind the key: the guard knows no routes but the open ones."""
    reached, told = [], []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        reached.append(scope["path"])

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        told.append(message.get("status"))

    headers = [(b"authorization", f"Bearer {given_key}".encode("utf-8", "replace"))]
    scope = {"type": "http", "method": method, "path": f"/{path}", "headers": headers}
    asyncio.run(Guard(app, KEY, "0.0.0.0", loopback=False)(scope, receive, send))  # type: ignore[arg-type]
    is_open = method in READS and (f"/{path}" in OPEN or path.startswith("static/"))
    assert bool(reached) == is_open
    assert is_open or told[0] == 401


def test_a_websocket_is_refused_at_the_handshake(url: str, open_url: str) -> None:
    foreign: Any = "http://evil.example"
    port = httpx.URL(url).port
    for address, headers, origin in (
        (open_url, {}, None),
        (open_url, AUTH, foreign),
        (url, AUTH, foreign),
        (f"http://evil.example:{port}", {}, None),
        (f"http://evil.example:{port}", {}, f"http://evil.example:{port}"),
    ):
        sock = socket.create_connection(("127.0.0.1", httpx.URL(address).port))
        address = f"{address}/api/v1/live".replace("http", "ws")
        with sock, pytest.raises(InvalidStatus, match="403"):
            connect(address, sock=sock, proxy=None, additional_headers=headers, origin=origin)


UP = [
    *("../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..%252f", "....//", "..;/", "..\\", "..%5c", "%2e%2e%5c", "..%c0%af"),
    *("..%ef%bc%8f", "%u002e%u002e/", ".%00./", "@../", "@..%2f"),
]
TARGETS = ["etc/passwd", "key", "link", "beside-secret", "config.yaml", "ledger.sqlite", "pyproject.toml", "app.py"]
ABSOLUTE = ["/etc/passwd", "%2fetc%2fpasswd", "file:///etc/passwd", "//etc/passwd", "/proc/self/environ", "~/.profile"]
STRINGS = [up * n + target for up in UP for target in TARGETS for n in (1, 6)][:250] + ABSOLUTE
MARKS = re.compile(rb"MARKED|root:x?:0|endpoint: tcp|SQLite format|\[project\]|create_app")


def test_no_string_leads_to_a_file(run: FakeRun, url: str, operations: list[tuple[str, str]]) -> None:
    host, port = httpx.URL(url).host, httpx.URL(url).port
    places = [path for method, path in operations if method == "GET" and "{" in path and "{index}" not in path]
    places = ["/static/{path}", "/static/js/{path}", "/{path}", *places]
    connection, asked = http.client.HTTPConnection(host, port), 0
    assert len(STRINGS) >= 200
    for i, string in enumerate(STRINGS):
        for place in (places[0], places[1], places[2 + i % (len(places) - 2)]):
            connection.putrequest("GET", filled(place, string.replace(" ", "%20")))  # as it is: nothing is resolved
            connection.endheaders()
            answer = connection.getresponse()
            body = answer.read()
            asked += 1
            assert not MARKS.search(body), (place, string, body[:200])
            assert answer.status in {400, 404, 405, 422}, (place, string, answer.status)
    connection.close()
    print(f"{len(STRINGS)} strings, {asked} requests, 0 files")


def test_a_link_beside_the_pages_files_is_not_followed(url: str, tmp_path: Path) -> None:
    assert not [path for path in STATIC.rglob("*") if path.is_symlink()]


def test_runs_beside_that_are_links_are_not_read(tmp_path: Path) -> None:
    """Who may write in the folder of the runs could otherwise have any file's bytes shown as numbers."""
    FakeRun(tmp_path / "elsewhere" / "other", size=11).advance(0.5)
    run = FakeRun(tmp_path / "runs" / "run", size=11)
    linked, real = run.path.parent / "linked", FakeRun(run.path.parent / "real", size=11)
    real.advance(0.5)
    linked.symlink_to(tmp_path / "elsewhere" / "other")
    volume = real.directory.volume
    with serving(run) as url, httpx.Client(base_url=f"{url}/api/v1", trust_env=False) as client:
        assert client.get("/beside").json() == ["@real"]
        assert client.get("/scans/@linked/maps").status_code == 404
        assert client.get("/scans/@real/voxels/0/5/5").status_code == 200
        volume.unlink()
        volume.symlink_to("/etc/passwd")
        assert client.get("/scans/@real/voxels/0/5/5").status_code == 404
        assert client.get("/beside").json() == []
