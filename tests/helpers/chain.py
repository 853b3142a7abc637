"""Whole runs with real processes: a tiny scan, a detector that sends it, the commands as a user gives them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import httpx
import numpy as np
import numpy.typing as npt
import yaml
import zmq
from helpers.ports import free_port
from pyFAI.detectors import Detector as PixelDetector
from pyFAI.integrator.azimuthal import AzimuthalIntegrator
from pyFAI.io.ponifile import PoniFile

from stream.core.config import load_config
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.ingest.integrate import load_geometry
from stream.ingest.ledger_reader import LedgerReader
from stream.simulate.presets import find_preset
from stream.simulate.scan import VirtualScan
from stream.simulate.wire import Series, make_encoder

Message = list[bytes]
PATIENCE = 90.0  # s, for a machine that does other things besides


def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Wait for a true value, and return it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come to pass within {seconds:g} s")


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`changes` laid over `base`, section by section."""
    both = {key: merged(base[key], value) if isinstance(base.get(key), dict) and isinstance(value, dict) else value
            for key, value in changes.items()}  # fmt: skip
    return {**base, **both}


@dataclass
class Site:
    """A folder with a config, and free ports for the runs of it."""

    folder: Path
    config: dict[str, Any]
    endpoint: str = field(default_factory=lambda: f"tcp://127.0.0.1:{free_port()}")
    page: int = field(default_factory=free_port)
    tiled: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        ports = {
            "detector": {"endpoint": self.endpoint},
            "dashboard": {"port": self.page},
            "publish": {"port": self.tiled},
        }
        self.config = merged(self.config, ports)
        self.write()

    @property
    def path(self) -> Path:
        """The config file."""
        return self.folder / "config.yaml"

    def write(self, **changes: Any) -> Path:
        """Write the config, with changes to sections."""
        self.path.write_text(yaml.safe_dump(merged(self.config, changes), sort_keys=False))
        return self.path

    def command(self, *arguments: str | Path, **environment: str) -> Command:
        """Start `braggstream ...` in the folder."""
        return Command([str(a) for a in arguments], self.folder, environment)

    def run(self, output: str = "run", once: bool = True) -> Command:
        """Start `braggstream run` into the folder `output`."""
        return self.command("run", self.path, "--output", output, *(["--once"] if once else []))

    def frames(self, output: str = "run") -> dict[str, Any]:
        """The counts in the ledger of a run."""
        grid = ScanGrid.from_config(load_config(self.path).scan)
        return LedgerReader(self.folder / output / "ledger.sqlite", grid).snapshot().frames

    def integrated(self, output: str = "run") -> int:
        """Frames that the ledger of a run counts as integrated."""
        return int(self.frames(output)["integrated"])

    def on_page(self) -> int:
        """Number of the revision whose maps the page has, 0 before the first and while it does not answer."""
        return number_in(f"http://127.0.0.1:{self.page}/api/v1/scans/tiny/maps", "revision")

    def in_tiled(self) -> int:
        """Number of the revision whose maps Tiled has, 0 before the first and while it does not answer."""
        return number_in(
            f"http://127.0.0.1:{self.tiled}/api/v1/metadata/tiny", "data", "attributes", "metadata", "revision"
        )


def number_in(url: str, *path: str) -> int:
    """The number at `path` of a JSON answer, 0 where there is none."""
    try:
        answer = httpx.get(url, trust_env=False, timeout=5)
        value = answer.raise_for_status().json()
    except httpx.HTTPError:
        return 0
    for key in path:
        value = value[key]
    return int(value)


class Command:
    """A command of ours as a process; what it says is kept."""

    def __init__(self, arguments: list[str], folder: Path, environment: dict[str, str]) -> None:
        self._out = folder / f"{arguments[0]}-{time.monotonic_ns()}.out"
        self._err = self._out.with_suffix(".err")
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stream.cli", *arguments],
                cwd=folder,
                stdout=out,
                stderr=err,
                env={**os.environ, "COLUMNS": "120", **environment},
            )

    @property
    def out(self) -> str:
        """Standard output so far."""
        return self._out.read_text()

    @property
    def err(self) -> str:
        """Standard error so far, without the supervisor's own log."""
        return "\n".join(line for line in self._err.read_text().splitlines() if "supervisor." not in line)

    def wait(self, seconds: float = PATIENCE) -> int:
        """The exit code."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds:g} s\n{self.out}\n{self.err}") from None

    def children(self) -> dict[str, int]:
        """Name and pid of the processes that the supervisor started and that live."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
                if b"stream.service.child" in arguments and parent(int(entry.name)) == self.process.pid:
                    found[arguments[3].decode()] = int(entry.name)
        return found

    def interrupt(self) -> float:
        """Ctrl-C; returns the seconds until the process had ended."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        self.wait(20)
        return time.monotonic() - begun

    def end(self) -> None:
        """Leave nothing behind."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


Begin = Callable[[list[Message], int], Command]
"""Sends messages, starts a run, and waits until so many frames are integrated."""


def parent(pid: int) -> int:
    """The parent of a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def alive(pid: int) -> bool:
    """True while the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Sender:
    """A detector: a bound PUSH socket that sends messages from a thread, `rate` a second (None: as they are taken).

    `send` adds messages; it may be called again. Leaving the context drops what nobody took. An XPUB socket waits for
    its first subscriber, then for nobody.
    """

    def __init__(self, endpoint: str, rate: float | None = None, kind: int = zmq.PUSH) -> None:
        self.sent = 0
        self.rate = rate
        self._kind = kind
        self._waiting: list[Message] = []
        self._stop = threading.Event()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(kind)
        self._socket.setsockopt(zmq.SNDHWM, 1)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind(endpoint)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Sender:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._socket.close()
        self._context.term()

    def send(self, messages: Sequence[Message]) -> None:
        """Send these after what is still waiting."""
        self._waiting.extend(messages)

    def _run(self) -> None:
        while self._kind == zmq.XPUB and not self._stop.is_set() and not self._socket.poll(50):
            pass
        due = time.monotonic()
        while not self._stop.is_set():
            if self.sent == len(self._waiting):
                self._stop.wait(0.01)
            elif self._socket.poll(50, zmq.POLLOUT):
                with suppress(zmq.Again):  # the other end went meanwhile
                    self._socket.send_multipart(self._waiting[self.sent], zmq.NOBLOCK)
                    self.sent += 1
                if self.rate:
                    due = max(due + 1 / self.rate, time.monotonic())
                    self._stop.wait(due - time.monotonic())


@dataclass(frozen=True)
class Stream:
    """The messages of one series."""

    start: Message
    images: list[Message]
    end: Message

    @property
    def whole(self) -> list[Message]:
        """In the order of a detector."""
        return [self.start, *self.images, self.end]


def simulated(site: Site, format: str = "dectris-1", preset: str = "ncm622-cycled", seed: int = 5) -> Stream:
    """The stream that the virtual beamline would send for the site's config."""
    config = load_config(site.path)
    integrator = load_geometry(config.detector.geometry).integrator
    scan = VirtualScan(ScanGrid.from_config(config.scan), integrator, find_preset(preset), seed=seed)
    pixel = (integrator.detector.pixel1, integrator.detector.pixel2)
    series = Series(scan.grid.size, scan.detector.pixel_mask, scan.detector.wavelength, pixel, seed)
    encoder = make_encoder(format, series)
    images = [list(encoder.image(n, *scan.frame(n))) for n in range(scan.grid.size)]
    return Stream(encoder.start(), images, encoder.end())


def write_poni(path: Path, shape: tuple[int, int], pixel: float, distance: float = 0.1, **geometry: float) -> None:
    """A PONI file of a flat detector of `shape` pixels, `pixel` metres wide, at 0.6738 Å unless told otherwise."""
    integrator = AzimuthalIntegrator(
        dist=distance,
        **{"poni1": 0.0011, "poni2": 0.0009, "rot1": 0.01, "rot2": -0.008, "wavelength": 0.6738e-10, **geometry},
        detector=PixelDetector(pixel1=pixel, pixel2=pixel, max_shape=shape, orientation=3),
    )
    with path.open("w") as file:
        PoniFile(data=integrator).write(file)


def tiny_site(folder: Path, **changes: Any) -> Site:
    """12 angles × 12 positions on 128 × 128 pixels, 300 bins, a crystalline phase and a hump, no classifier."""
    folder.mkdir(parents=True, exist_ok=True)
    write_poni(folder / "detector.poni", (128, 128), 300e-6)
    config = {
        "scan": {
            "name": "tiny",
            "angles": {"start": 0.0, "step": 15.0, "count": 12},
            "positions": {"start": -11.0, "step": 2.0, "count": 12},
        },
        "detector": {"geometry": "detector.poni", "monitor": "i0", "queue_bytes": 1024 * 1024, "idle_timeout": 60.0},
        "integration": {"bins": 300, "range": [1.0, 20.0]},
        "regions": [{"name": "hump", "range": [1.5, 3.0]}],
        "phases": [
            {"name": "layered", "cif": "nmc622"},
            {"name": "carbon", "hump": {"position": 2.3, "width": 1.0}},
        ],
        "reconstruction": {"iterations": 20, "update_every": 0.5},
        "classification": {"model": None},
    }
    return Site(folder, merged(config, changes))


def results(directory: Path) -> dict[str, npt.NDArray[Any]]:
    """Every numeric array of results.nxs by its path below /entry, but for the ledger, which knows when frames came."""
    arrays: dict[str, npt.NDArray[Any]] = {}

    def keep(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset) and node.dtype.kind in "fiu" and not name.startswith("ledger/"):
            arrays[name] = node[()]

    with h5py.File(RunDirectory(directory).results) as file:
        file["entry"].visititems(keep)
    return arrays


@dataclass(frozen=True)
class PlainRun:
    """A run of the tiny scan without incidents."""

    directory: Path
    arrays: dict[str, npt.NDArray[Any]]


def assert_identical(first: dict[str, npt.NDArray[Any]], second: dict[str, npt.NDArray[Any]]) -> None:
    """The same names, shapes, types and bits."""
    assert first.keys() == second.keys()
    for name, array in first.items():
        assert array.dtype == second[name].dtype, name
        assert array.shape == second[name].shape, name
        assert array.tobytes() == second[name].tobytes(), f"{name} differs"


def correlation(one: npt.ArrayLike, other: npt.ArrayLike) -> float:
    """Pearson's, over the places where both are known."""
    a, b = np.asarray(one, float).ravel(), np.asarray(other, float).ravel()
    known = np.isfinite(a) & np.isfinite(b)
    return float(np.corrcoef(a[known], b[known])[0, 1])
