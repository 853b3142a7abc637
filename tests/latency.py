"""From a projection's last frame to a map in Tiled that has it: `python tests/latency.py`, five minutes.

A live run with real processes takes frames of 256 x 256 pixels at a steady rate; a reader looks at the metadata of
`live` ten times a second, and reads the array where they tell of a newer revision.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import zmq
from helpers.bench import v1_end, v1_start
from helpers.chain import Site, write_poni
from helpers.encode import bslz4, v1_image

PIXELS, DISTANCE, PIXEL = 256, 0.1, 150e-6
LOOK = 0.1  # s between two looks of the reader
READY = 25.0  # s that the processes take to come up
PHASES = [{"name": "layered", "cif": "nmc622"}, {"name": "carbon", "hump": {"position": 2.3, "width": 1.0}}]


def frames(positions: int, angles: int) -> Iterator[bytes]:
    """Compressed frames, the first position of the first angle first: rings of 25 particles, the hump of a binder."""
    y, x = np.mgrid[:PIXELS, :PIXELS]
    two_theta = np.rad2deg(np.arctan(np.hypot(x - 6, y - 8) * PIXEL / DISTANCE))
    lines = ((8.15, 100), (15.8, 50), (16.6, 12), (19.0, 90), (20.8, 20))
    rings = 0.1 * sum(height * np.exp(-0.5 * ((two_theta - at) / 0.08) ** 2) for at, height in lines)
    hump = np.exp(-0.5 * ((two_theta - 2.3) / 0.45) ** 2)
    rng = np.random.default_rng(1)
    radius = positions / 2
    discs = rng.uniform((-0.6, -0.6, 0.03), (0.6, 0.6, 0.09), (25, 3)) * radius

    @cache
    def frame(path: float, body: float) -> bytes:
        return bslz4(rng.poisson(0.3 * (0.02 * path * rings + 0.005 * body * hump + 0.05)).astype("<u2"))

    for angle in np.deg2rad(np.arange(angles) * 180 / angles):
        for position in np.arange(positions) - (positions - 1) / 2:
            off = position - discs[:, 0] * np.cos(angle) - discs[:, 1] * np.sin(angle)
            path = 2 * np.sqrt(np.maximum(discs[:, 2] ** 2 - off**2, 0)).sum()
            body = 2 * np.sqrt(max((0.9 * radius) ** 2 - position**2, 0))
            yield frame(round(path / 2) * 2.0, round(body / 4) * 4.0)  # few enough to be made beforehand


def send(endpoint: str, blobs: list[bytes], rate: float, sent: list[float]) -> None:
    """Send a series at a steady rate, and note when each frame went."""
    socket = zmq.Context.instance().socket(zmq.PUSH)
    socket.setsockopt(zmq.SNDHWM, 50)
    socket.setsockopt(zmq.LINGER, 0)
    socket.bind(endpoint)
    blank = np.zeros((PIXELS, PIXELS), "<u2")
    socket.send_multipart(v1_start())
    due = time.monotonic()
    for number, blob in enumerate(blobs):
        due += 1 / rate
        time.sleep(max(due - time.monotonic(), 0))
        socket.send_multipart(v1_image(blank, number, encoding="bs16-lz4<", blob=blob))
        sent.append(time.monotonic())
    socket.send_multipart(v1_end())


def watch(url: str, expected: int, seconds: float) -> list[tuple[float, int]]:
    """When a map of how many frames had been read, until it has all of them."""
    seen: list[tuple[float, int]] = [(0.0, 0)]
    end = time.monotonic() + seconds
    with httpx.Client(trust_env=False, timeout=20) as client:
        while seen[-1][1] < expected and time.monotonic() < end:
            try:
                told = client.get(f"{url}/metadata/latency/live").raise_for_status().json()
                used = told["data"]["attributes"]["metadata"]["frames_used"]
                if used > seen[-1][1]:
                    plane = {"slice": "0,0", "format": "application/octet-stream"}
                    client.get(f"{url}/array/full/latency/live", params=plane).raise_for_status()
                    seen.append((time.monotonic(), used))
            except httpx.HTTPError:  # not up yet
                pass
            time.sleep(LOOK)
    return seen[1:]


def measure(folder: Path, positions: int, angles: int, bins: int, rate: float) -> None:
    """One scan; prints the median, 95th percentile and maximum of the latencies and of the updates of analyse."""
    write_poni(folder / "detector.poni", (PIXELS, PIXELS), PIXEL, DISTANCE)
    scan: dict[str, Any] = {
        "name": "latency",
        "angles": {"start": 0.0, "step": 180 / angles, "count": angles},
        "positions": {"start": -(positions - 1) / 2, "step": 1.0, "count": positions},
    }
    rest = {"integration": {"bins": bins}, "phases": PHASES, "recording": {"frames": False}}
    site = Site(folder, {"scan": scan, "detector": {"geometry": "detector.poni"}, **rest})
    blobs, sent = list(frames(positions, angles)), list[float]()
    run = site.run()
    try:
        time.sleep(READY)
        threading.Thread(target=send, args=(site.endpoint, blobs, rate, sent), daemon=True).start()
        seen = watch(f"http://127.0.0.1:{site.tiled}/api/v1", len(blobs), 120 + 2 * len(blobs) / rate)
    finally:
        run.interrupt()
    waited = []
    for last in range(positions, len(blobs) + 1, positions):
        waited += [next((at for at, used in seen if used >= last), np.inf) - sent[last - 1]]
    log = (folder / "run" / "logs" / "analyse.log").read_text().splitlines()
    updates = [json.loads(line)["seconds"] for line in log if "analyse.updated" in line]
    print(f"{positions} x {positions} x {bins}, {angles} projections, {rate:g} frames/s")
    for name, values in (("last frame of a projection to a map that has it", waited), ("an update", updates)):
        median, most = np.quantile(values, (0.5, 0.95))
        print(f"{name}: median {median:.2f} s, p95 {most:.2f} s, at most {max(values):.2f} s ({len(values)})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("positions", 200), ("angles", 180), ("bins", 1000), ("rate", 200.0)):
        parser.add_argument(f"--{name}", type=type(value), default=value)
    with tempfile.TemporaryDirectory() as scratch:
        measure(Path(scratch), **vars(parser.parse_args()))
