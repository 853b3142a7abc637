"""How long an update of a large scan takes from its store to a reader: 12 slices, 20 maps of 200 × 200 voxels."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import numpy.typing as npt
import pytest
from helpers.tiled_run import KEY, Server

from stream.core.config import Config, parse_config
from stream.core.revision import Revision, write_revision
from stream.core.rundir import RunDirectory
from stream.publish.publisher import TiledPublisher

SLICES, MAPS, ANGLES, SIZE, BINS = 12, 20, 180, 200, 1000
SINOGRAMS = ("global", "hump", "layered", "spinel", "carbon")
UPDATES = 120
EVERY = 1.0  # seconds between two updates, as in a scan
LOOK = 0.1  # seconds between a reader's two looks

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@dataclass
class LargeScan:
    """A run directory as analyse keeps it: at every update one slice has a projection more, and other maps."""

    directory: RunDirectory
    number: int = 0
    arrays: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.directory.create()
        with self.directory.patterns.open("wb") as file:
            file.truncate(SLICES * ANGLES * SIZE * BINS * 4)
        self.patterns = np.memmap(self.directory.patterns, "<f4", "r+", shape=(SLICES, ANGLES, SIZE, BINS))
        self.frames = np.zeros((SLICES, ANGLES), dtype=np.int64)
        rays, plane = (SLICES, ANGLES, SIZE), (SLICES, SIZE, SIZE)
        self.arrays |= {f"sinograms/{name}": np.full(rays, np.nan, "f4") for name in SINOGRAMS}
        self.arrays |= {f"maps/map_{n}": np.full(plane, np.nan, "f4") for n in range(MAPS)}
        self.arrays["maps/class_probability"] = np.full((SLICES, 5, SIZE, SIZE), np.nan, "f4")

    @property
    def config(self) -> Config:
        (self.directory.path / "detector.poni").touch()
        scan = {
            "name": "large",
            "angles": {"start": 0.0, "step": 1.0, "count": ANGLES},
            "positions": {"start": -100.0, "step": 1.0, "count": SIZE},
            "slices": {"count": SLICES},
        }
        detector = {"endpoint": "tcp://127.0.0.1:1", "geometry": "detector.poni"}
        return parse_config({"scan": scan, "detector": detector, "integration": {"bins": BINS}}, self.directory.path)

    def advance(self) -> tuple[int, float]:
        """The next projection, slice by slice in turn; its slice, and when its maps began to be stored."""
        self.number += 1
        layer, angle = divmod(self.number, UPDATES // SLICES + 1)
        self.patterns[layer, angle] = self.number
        self.frames[layer, angle] = SIZE
        rng = np.random.default_rng(self.number)
        for path, array in self.arrays.items():
            if path.startswith("sinograms/"):
                array[layer, angle] = rng.random(SIZE)
            else:
                array[layer] = self.number + rng.random(array.shape[1:])
        begun = time.monotonic()
        arrays = {"radial": np.linspace(1, 20, BINS), "sum_pattern": rng.random(BINS), **self.arrays}
        metadata = {"status": "acquiring", "final": False, "newest": time.time(), "updated": time.time()}
        revision = Revision(
            number=self.number, metadata=metadata, arrays={**arrays, "projection_frames": self.frames.copy()}
        )
        write_revision(self.directory.revision, revision)
        return layer, begun


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.start()
    try:
        server.wait()
        yield server
    finally:
        server.stop()


def test_an_update_of_a_large_scan_is_readable_within_a_second(tmp_path: Path, server: Server) -> None:
    """From the begin of its store until `live` has been read, all maps of it of that one revision."""
    scan = LargeScan(RunDirectory(tmp_path / "run"))
    publisher = TiledPublisher(scan.directory, scan.config, server.url, KEY)
    waited: list[float] = []
    publisher.start()
    try:
        with httpx.Client(base_url=f"{server.url}/api/v1", trust_env=False, timeout=30) as client:
            for _ in range(UPDATES):
                layer, begun = scan.advance()
                planes = read_live(client, scan.number, layer)
                waited.append(time.monotonic() - begun)
                names = [f"maps/map_{n}" for n in range(MAPS)]
                np.testing.assert_array_equal(planes[: len(names)], [scan.arrays[name][layer] for name in names])
                time.sleep(max(0.0, begun + EVERY - time.monotonic()))
    finally:
        publisher.close(10)
    first, *later = waited
    median, most = np.quantile(later, (0.5, 0.95))
    print(
        f"store to reader: first {first:.2f} s, then median {median:.2f} s, p95 {most:.2f} s, at most {max(later):.2f}"
    )
    assert most < 1.0


def read_live(client: httpx.Client, number: int, layer: int) -> npt.NDArray[np.float32]:
    """The planes (map, y, x) of a slice as soon as they are of that revision."""
    while not vouched(client, number):
        time.sleep(LOOK)
    block = client.get(
        "/array/block/large/live", params={"block": f"{layer},0,0,0", "format": "application/octet-stream"}
    )
    assert vouched(client, number)
    return np.frombuffer(block.raise_for_status().content, "<f4").reshape(-1, SIZE, SIZE)


def vouched(client: httpx.Client, number: int) -> bool:
    """True where `live` is of that revision, and none is on its way."""
    answer = client.get("/metadata/large/live")
    if answer.status_code == httpx.codes.NOT_FOUND:
        return False
    told = answer.raise_for_status().json()["data"]["attributes"]["metadata"]
    return bool(told["revision"] == told["coming"] == number)
