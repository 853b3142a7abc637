"""An ingest without sockets: a small detector, messages by hand, and the ledger as its readers see it."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Self

import hypothesis  # noqa: F401  (cannot be imported any more once the garbage collector is spared it)
import numpy as np
import numpy.typing as npt
import orjson
from helpers.encode import bslz4, multi_dim, v1_image, v2_image, v2_message

from stream.core.config import Config, parse_config
from stream.core.messages import Pattern
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.ingest.ingest import Ingest
from stream.ingest.journal import Journal
from stream.ingest.ledger import FrameRow
from stream.ingest.ledger_reader import LedgerReader
from stream.ingest.process import open_ingest

SHAPE = (71, 95)
PONI = """poni_version: 2
Detector: Detector
Detector_config: {"pixel1": 4e-4, "pixel2": 4e-4, "max_shape": [71, 95]}
Distance: 0.1
Poni1: 0.01
Poni2: 0.02
Rot1: 0.0
Rot2: 0.0
Rot3: 0.0
Wavelength: 0.7e-10
"""
Pixels = npt.NDArray[np.unsignedinteger[Any]]
Message = list[bytes]


def write_config(folder: Path, **changes: Any) -> Config:
    """A scan of 3 angles × 4 positions; changes are by section."""
    (folder / "detector.poni").write_text(PONI)
    raw: dict[str, Any] = {
        "scan": {
            "name": "bench",
            "angles": {"start": 0.0, "step": 60.0, "count": 3},
            "positions": {"start": -1.5, "step": 1.0, "count": 4},
        },
        "detector": {"endpoint": "tcp://127.0.0.1:1", "geometry": "detector.poni"},
        "integration": {"bins": 40},
    }
    for section, values in changes.items():
        raw[section] = raw.get(section, {}) | values if isinstance(values, dict) else values
    return parse_config(raw, folder)


@cache
def _spare_the_imported() -> None:
    """PyFAI collects garbage at every new geometry, which takes long with all that is imported by now."""
    gc.freeze()


@dataclass
class Clock:
    """Seconds that pass when a test says so."""

    now: float = field(default_factory=time.monotonic)

    def __call__(self) -> float:
        return self.now


@dataclass
class Bench:
    """A run directory at `path` and the ingest in it."""

    path: Path
    config: Config
    ingest: Ingest
    clock: Clock
    directory: RunDirectory

    @classmethod
    def open(cls, path: Path, *, sent_again: bool = False, **changes: Any) -> Self:
        """Open a run, or one that another bench left."""
        _spare_the_imported()
        directory = RunDirectory(path / "run")
        directory.create()
        config = write_config(path, **changes)
        directory.write_config(config)
        ingest = open_ingest(directory, config, live=not sent_again)
        clock = Clock()
        ingest.clock = clock
        return cls(path, config, ingest, clock, directory)

    def send(self, *messages: Message) -> Self:
        """Messages arrive, one after the other."""
        for parts in messages:
            self.ingest.accept(parts, time.time())
        return self

    def hear(self, *messages: dict[str, Any], stream: int = 1) -> Self:
        """Messages of a monitor arrive."""
        for values in messages:
            self.ingest.accept([orjson.dumps(values)], time.time(), stream=stream)
        return self

    def settle(self, count: int) -> None:
        """Only the oldest messages get their fate."""
        pending = self.ingest.window.pending
        rest = [pending.pop() for _ in range(len(pending) - count)]
        self.ingest.settle()
        pending.extend(reversed(rest))

    def turn(self, seconds: float = 0.0, *, exhausted: bool = False) -> str:
        """Let time pass, commit, and tell the phase."""
        self.ingest.settle()
        for message in self.ingest.window.pending:
            message.work.exception()  # the threads are done: only readings are waited for
        self.clock.now += seconds
        self.ingest.turn(exhausted=exhausted)
        self.ingest.commit()
        return self.ingest.acquisition.phase

    @property
    def frames(self) -> dict[str, Any]:
        """The counts at the next commit, and the law they obey."""
        self.ingest.settle()
        self.ingest.commit()
        found = read_frames(self.directory, self.config)
        assert found["in_flight"] == 0
        return found

    @property
    def counts(self) -> dict[str, Any]:
        """The counts that are not zero, without those that follow from others."""
        keys = ("received", "integrated", "duplicate", "rejected", "dropped")
        return {key: value for key, value in self.frames.items() if key in keys and value}

    @property
    def events(self) -> list[str]:
        """What was noted."""
        self.ingest.commit()
        return [
            text for _, text in LedgerReader(self.directory.ledger, ScanGrid.from_config(self.config.scan)).events()
        ]

    @property
    def rows(self) -> list[FrameRow]:
        """The booked frames."""
        self.ingest.settle()
        self.ingest.commit()
        return LedgerReader(self.directory.ledger, ScanGrid.from_config(self.config.scan)).rows(0)

    def pattern(self, slot: int) -> Pattern:
        """A journalled pattern."""
        self.ingest.settle()
        self.ingest.commit()
        return self.ingest.books.journal.read(slot)

    def close(self) -> None:
        """The process ends as it should."""
        self.ingest.settle()
        self.ingest.commit()
        self.ingest.close()

    def kill(self) -> None:
        """The process is gone between two steps: nothing is settled, flushed or committed any more."""
        self.ingest.reduction.close()
        self.ingest.books.ledger.connection.close()
        self.ingest.books.journal.close()


def read_frames(directory: RunDirectory, config: Config) -> dict[str, Any]:
    """The counts as a reader sees them; they must add up."""
    found = LedgerReader(directory.ledger, ScanGrid.from_config(config.scan)).snapshot().frames
    fates = found["integrated"] + found["duplicate"] + sum(found["rejected"].values()) + sum(found["dropped"].values())
    assert found["received"] == fates + found["in_flight"]
    assert found["expected"] == found["integrated"] + found["missing"]
    assert found["missing"] == sum(last - first + 1 for first, last in found["missing_ranges"])
    return found


def patterns(directory: RunDirectory) -> dict[int, bytes]:
    """Every intact pattern of a journal, byte for byte."""
    journal = Journal.read_only(directory.journal)
    try:
        found = {row.slot: journal.read(row.slot) for row in journal.filled()}
    finally:
        journal.close()
    return {slot: b"".join(part.tobytes() for part in (p.sums, p.norms, p.variances)) for slot, p in found.items()}


def pixels(frame: int, dtype: str = "<u4") -> Pixels:
    """An exposure that tells its number."""
    return np.random.default_rng(1000 + frame).poisson(2, SHAPE).astype(dtype)


def v1(frame: int, series: int = 1, image: Pixels | None = None, appendix: Any = None) -> Message:
    """A V1 image, compressed."""
    image = pixels(frame) if image is None else image
    bits = 8 * image.itemsize
    parts = v1_image(image, frame, series, encoding=f"bs{bits}-lz4<", blob=bslz4(image))
    return parts if appendix is None else [*parts, orjson.dumps(appendix)]


def v1_start(series: int = 1, mask: Pixels | None = None, attached: Any = None, **settings: Any) -> Message:
    """A V1 header; `all` with a mask, `basic` with settings, `none` without either; and what is attached to it."""
    detail = "all" if mask is not None else "basic" if settings else "none"
    parts = [orjson.dumps({"htype": "dheader-1.0", "series": series, "header_detail": detail})]
    if detail != "none":
        parts.append(orjson.dumps(settings))
    if mask is not None:
        parts += _array("dflatfield-1.0", np.ones(SHAPE, "<f4")) + _array("dpixelmask-1.0", mask)
        parts += _array("dcountrate_table-1.0", np.ones((2, 2), "<f4"))
    return parts if attached is None else [*parts, orjson.dumps(attached)]


def _array(htype: str, array: npt.NDArray[Any]) -> Message:
    head = {"htype": htype, "shape": array.shape[::-1], "type": array.dtype.name}
    return [orjson.dumps(head), array.tobytes()]


def v1_end(series: int = 1) -> Message:
    """A V1 end."""
    return [orjson.dumps({"htype": "dseries_end-1.0", "series": series})]


def v2(frame: int, **values: Any) -> Message:
    """A V2 image of the series "A"; with `values`, of the two channels they name, or with their appendix."""
    if not values:
        return v2_image(pixels(frame), frame)
    data = {"threshold_1": multi_dim(pixels(frame))}
    return v2_message("image", **({"image_id": frame, "data": data} | values))


def v2_start(**values: Any) -> Message:
    """A V2 header of the series "A"."""
    return v2_message("start", **values)


def scan_messages(frames: Iterable[int] = range(12), series: int = 1) -> list[Message]:
    """A whole V1 series."""
    return [v1_start(series), *(v1(frame, series) for frame in frames), v1_end(series)]
