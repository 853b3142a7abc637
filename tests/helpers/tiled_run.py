"""Real Tiled servers as processes, and runs whose revisions the tests write themselves."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import httpx
import numpy as np
from helpers.ports import free_port

from stream.core.config import Config, parse_config
from stream.core.revision import Revision, write_revision
from stream.core.rundir import RunDirectory
from stream.publish.publisher import TiledPublisher

KEY = "secret123"
SIZE, BINS = 6, 12
EMBEDDED = """
import sys
from pathlib import Path
from typing import Any
from stream.core.rundir import RunDirectory
from stream.publish.server import serve_tiled
serve_tiled(RunDirectory(Path(sys.argv[1])), "127.0.0.1", int(sys.argv[2]), sys.argv[3])
"""


@dataclass
class Server:
    """A Tiled server process; embedded is ours, otherwise Tiled as its own command serves it."""

    folder: Path
    embedded: bool = True
    port: int = 0
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        ours = [sys.executable, "-c", EMBEDDED, str(self.folder), str(self.port), KEY]
        theirs = [sys.executable, "-m", "tiled", "serve", "catalog", str(self.folder / "catalog.db"), "--init"]
        theirs += ["--write", str(self.folder / "data"), "--write", f"sqlite:///{self.folder}/tables.db"]
        theirs += ["--api-key", KEY]
        theirs += ["--host", "127.0.0.1", "--port", str(self.port)]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(ours if self.embedded else theirs, stdout=log, stderr=log)

    def wait(self) -> None:
        for _ in range(600):
            try:
                if httpx.get(f"{self.url}/healthz", trust_env=False).is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError((self.folder / "server.log").read_text())

    def stop(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        self.process.wait(10)


@dataclass
class Run:
    """A run directory on a 6×6 grid, with the publisher of it."""

    directory: RunDirectory
    config: Config
    url: str
    number: int = 0
    frames: np.ndarray = field(default_factory=lambda: np.zeros((1, SIZE), dtype=np.int64))
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    _clients: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.directory.create()
        self.patterns = np.memmap(self.directory.patterns, "<f4", "w+", shape=(1, SIZE, SIZE, BINS))
        self.patterns[:] = np.nan
        self.publisher = TiledPublisher(self.directory, self.config, self.url, KEY)

    def restart(self) -> None:
        """Another process publishes the same run."""
        self.publisher._detach()
        self.publisher = TiledPublisher(self.directory, self.config, self.url, KEY)

    def close(self) -> None:
        self.publisher.close()
        self.publisher._detach()
        for client in self._clients:
            client.context.close()

    def connect(self, key: str | None = None) -> Any:
        """The root of the server, as anybody sees it or as the holder of a key."""
        from tiled.client import from_uri

        self._clients.append(from_uri(self.url, api_key=key, trust_env=False))
        return self._clients[-1]

    @property
    def scan(self) -> Any:
        """The scan as anybody reads it now."""
        root = self._clients[0] if self._clients else self.connect()
        return root[self.config.scan.name]

    def measure(self, *angles: int) -> None:
        """Projections come in."""
        for angle in angles:
            self.patterns[0, angle] = np.random.default_rng(angle).random((SIZE, BINS))
            self.frames[0, angle] = SIZE

    def revise(self, status: str = "acquiring", *, final: bool = False, regions: tuple[str, ...] = ("hump",)) -> None:
        """Write the next revision, every value of which depends on its number."""
        self.number += 1
        rng = np.random.default_rng(self.number)
        plane, rays = (1, SIZE, SIZE), (1, SIZE, SIZE)
        masked = np.where(np.eye(SIZE, dtype=bool), np.nan, rng.random((SIZE, SIZE)))[np.newaxis]
        self.arrays = {
            "radial": np.linspace(1, 2, BINS),
            "sum_pattern": rng.random(BINS),
            "projection_frames": self.frames.copy(),
            "sinograms/global": rng.random(rays),
            "maps/global": masked,
            "maps/coverage": rng.random(plane).astype(np.float32),
            "maps/class_index": rng.integers(-1, 5, plane, dtype=np.int8),
            "maps/class_probability": rng.random((1, 5, SIZE, SIZE)),
        }
        for region in regions:
            self.arrays[f"sinograms/{region}"] = rng.random(rays)
            self.arrays[f"maps/{region}"] = rng.random(plane)
        metadata = {
            "status": status, "final": final, "center_um": np.float64(0.5), "center_from": "data", "residual": np.nan,
            "iterations": 7, "classes": ["empty"], "units": {"global": "counts"}, "updated": time.time(),
            "newest": time.time() - 20,
        }  # fmt: skip
        revision = Revision(number=self.number, metadata=metadata, arrays=self.arrays)
        if final:
            with h5py.File(self.directory.results, "w") as file:
                volume = file.create_dataset("entry/volume", data=rng.random((1, SIZE, SIZE, BINS)).astype("f4"))
                volume.attrs["axes"] = ["slice", "y", "x", "radial"]
                self.arrays["volume"] = volume[()]
        write_revision(self.directory.revision, revision)


def make_run(folder: Path, url: str, name: str, *, embedded: bool = True) -> Run:
    """A run whose config says where Tiled is."""
    folder.mkdir(parents=True)
    (folder / "detector.poni").write_text("")
    raw = {
        "scan": {"name": name, "angles": {"start": 0, "step": 30, "count": SIZE}, "positions": {"count": SIZE}},
        "detector": {"endpoint": "tcp://127.0.0.1:31001", "geometry": "detector.poni"},
        "integration": {"bins": BINS, "unit": "q_A^-1"},
        "publish": {"tiled": "embedded" if embedded else url, "api_key": "env:NAME_OF_A_KEY"},
    }
    return Run(RunDirectory(folder / "run"), parse_config(raw, folder), url)
