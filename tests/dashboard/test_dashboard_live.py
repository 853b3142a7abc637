"""The push channel, and many readers at once."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import httpx
import pytest
from helpers.dashboard import SCAN, serving
from helpers.fake_run import FakeRun
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect


def test_one_message_for_each_revision(tmp_path: Path) -> None:
    run = FakeRun(tmp_path, size=21)
    with serving(run) as url, connect(url.replace("http", "ws") + "/api/v1/live", proxy=None) as socket:
        assert json.loads(socket.recv(timeout=5))["revision"] == 0
        for share in (0.2, 0.4):
            number = run.advance(share).number
            message = json.loads(socket.recv(timeout=5))
            assert message["revision"] == number
            assert not {"config", "residual_trace"} & set(message)
        with pytest.raises(TimeoutError):
            socket.recv(timeout=0.4)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "http://evil.example#{host}"])
def test_a_foreign_origin_is_refused_at_the_handshake(client: httpx.Client, origin: str) -> None:
    address = str(client.base_url).rstrip("/").replace("http", "ws") + "/api/v1/live"
    with pytest.raises(InvalidStatus, match="403"):
        connect(address, proxy=None, origin=origin.format(host=client.base_url.netloc.decode()))  # type: ignore[arg-type]


def test_the_own_origin_is_welcome(client: httpx.Client) -> None:
    base = str(client.base_url).rstrip("/")
    with connect(base.replace("http", "ws") + "/api/v1/live", proxy=None, origin=base) as socket:  # type: ignore[arg-type]
        assert json.loads(socket.recv(timeout=5))["revision"] == 1


def test_readers_in_parallel_see_whole_revisions(tmp_path: Path) -> None:
    run = FakeRun(tmp_path, size=21)
    run.advance(0.1)
    failures: list[str] = []
    stop = time.monotonic() + 1.5

    def read(url: str) -> None:
        with httpx.Client(base_url=url, trust_env=False) as client:
            while time.monotonic() < stop:
                for path in ("/api/v1/status", f"{SCAN}/maps/global?format=npy", f"{SCAN}/voxels/0/10/10"):
                    if (answer := client.get(path)).status_code != 200:
                        failures.append(answer.text)

    with serving(run) as url:
        readers = [threading.Thread(target=read, args=(url,)) for _ in range(3)]
        for reader in readers:
            reader.start()
        while time.monotonic() < stop:
            run.advance(0.1 + 0.01 * run.number)
        for reader in readers:
            reader.join()
    assert run.number > 3
    assert failures == []
