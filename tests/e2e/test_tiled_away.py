"""The facility's Tiled is killed for a minute in the middle of a scan."""

from __future__ import annotations

import signal
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from helpers.chain import Command, Sender, results, simulated, tiny_site, until
from helpers.tiled_run import KEY, Server
from tiled.client import from_context, from_uri

N, RATE, AWAY = 80, 50.0, 60.0  # 6400 frames take 128 s

pytestmark = pytest.mark.slow


def frames_a_second(page: int, seconds: float) -> float:
    """Frames that the page counts as integrated, over so many seconds."""

    def integrated() -> int:
        answer = httpx.get(f"http://127.0.0.1:{page}/api/v1/status", trust_env=False, timeout=10)
        return int(answer.raise_for_status().json()["frames"]["integrated"])

    first, begun = integrated(), time.monotonic()
    time.sleep(seconds)
    return (integrated() - first) / (time.monotonic() - begun)


def test_acquisition_goes_on_and_the_maps_are_there_within_10_s(tmp_path: Path, commands: list[Command]) -> None:
    grid = {
        "angles": {"start": 0.0, "step": 180 / N, "count": N},
        "positions": {"start": -20.0, "step": 0.5, "count": N},
    }
    server = Server(tmp_path, embedded=False)
    site = tiny_site(tmp_path / "site", scan=grid, publish={"tiled": server.url, "api_key": "env:FACILITY_KEY"})
    stream = simulated(site)
    server.start()
    server.wait()
    try:
        with Sender(site.endpoint, rate=RATE) as sender:
            sender.send(stream.whole)
            run = site.command("run", site.path, "--output", "run", FACILITY_KEY=KEY)
            commands.append(run)
            until(lambda: (in_tiled(server, "revision") or 0) > 1, "maps in Tiled")
            before = frames_a_second(site.page, 10)
            server.stop(signal.SIGKILL)
            away = frames_a_second(site.page, AWAY)
            server.start()
            server.wait()
            shown = revision(site.page)
            begun = time.monotonic()
            until(lambda: in_tiled(server, "revision") >= shown, "the newest maps", 30)
            late = time.monotonic() - begun
            print(f"{before:.1f} frames/s before, {away:.1f} while away; newest maps {late:.1f} s after its return")
            assert away == pytest.approx(before, rel=0.02)
            assert late < 10
            until(lambda: in_tiled(server, "status") == "complete", "the end", 300)
        stored = results(site.folder / "run")
        with closing(from_uri(server.url, api_key=KEY).context) as context:
            root = from_context(context)
            assert set(root) == {"tiny"}
            for name, node in root["tiny"]["maps"].items():
                np.testing.assert_array_equal(node.read(), stored[f"maps/{name}"], err_msg=name)
    finally:
        server.stop()


def in_tiled(server: Server, key: str) -> Any:
    """What the scan's metadata there say; None while there is no scan."""
    headers = {"Authorization": f"Apikey {KEY}"}
    answer = httpx.get(f"{server.url}/api/v1/metadata/tiny", headers=headers, trust_env=False, timeout=10)
    if answer.status_code == httpx.codes.NOT_FOUND:
        return None
    return answer.raise_for_status().json()["data"]["attributes"]["metadata"].get(key)


def revision(page: int) -> int:
    """Number of the newest revision on the page."""
    answer = httpx.get(f"http://127.0.0.1:{page}/api/v1/status", trust_env=False, timeout=10)
    return int(answer.raise_for_status().json()["revision"])
