"""A dashboard served for a test, on a free port of this machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from helpers.fake_run import FakeRun
from helpers.ports import free_port

from stream.dashboard.app import create_server
from stream.dashboard.voxels import FitVoxel

KEY = "test-key"
AUTH = {"Authorization": f"Bearer {KEY}"}
SCAN = "/api/v1/scans/ncm622-cycled"


def sentence(response: httpx.Response, status: int) -> str:
    """What an answer with this status says."""
    assert response.status_code == status, response.text
    return str(response.json()["detail"])


@contextmanager
def serving(
    run: FakeRun, host: str = "127.0.0.1", port: int | None = None, fit_voxel: FitVoxel | None = None
) -> Iterator[str]:
    """Serve `run` and give the address."""
    port = port or free_port()
    config = run.config.model_copy(
        update={"dashboard": run.config.dashboard.model_copy(update={"host": host, "port": port})}
    )
    server = create_server(run.directory, config, KEY, fit_voxel)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while not server.started:
            assert thread.is_alive(), "the server ended at its start"
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        assert not thread.is_alive()
