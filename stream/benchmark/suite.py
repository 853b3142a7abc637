"""What is measured, how long, and which of it was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

from stream.benchmark.classify import classify_rows
from stream.benchmark.decode import decode_row
from stream.benchmark.fit import fit_rows, slice_row
from stream.benchmark.frames import KINDS, Kind, frames
from stream.benchmark.ingest import Load, ingest_rows
from stream.benchmark.integrate import Bench
from stream.benchmark.rounds import Row
from stream.benchmark.sirt import Size, sirt_rows
from stream.benchmark.threads import Threads
from stream.benchmark.volumes import Volume, final_row, live_row
from stream.core.config import IntegrationConfig, Method
from stream.core.errors import UsageError

METHODS: tuple[Method, ...] = ("no", "bbox", "full")
RECORDING = {"plain": False, "recorded": True}
"""Whether ingest keeps the frames, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is measured: rounds, seconds of each job in a round, frames; what ingest gets, and how; images."""

    rounds: int
    floor: float
    kinds: Sequence[Kind]
    streamed: Kind
    load: Load
    recording: Sequence[str]
    sirt: Size
    volumes: Sequence[Volume]
    iterations: int

    @classmethod
    def of(cls, *, quick: bool) -> Effort:
        """Everything in minutes, or something of each in seconds."""
        kind = Kind("1M" if quick else "4M", "uint32", "sparse")
        if quick:
            return cls(
                rounds=3, floor=0.02, kinds=(kind,), streamed=kind, load=Load(320, 80), recording=("plain",),
                sirt=Size(64, 45), volumes=(Volume(32, 30, 100),), iterations=10,
            )  # fmt: skip
        return cls(
            rounds=5, floor=0.1, kinds=KINDS, streamed=kind, load=Load(1200, 400), recording=tuple(RECORDING),
            sirt=Size(200, 180), volumes=(Volume(200, 180, 1000), Volume(560, 180, 1000)), iterations=100,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Case:
    """One measurement; its rows bear its name."""

    name: str
    measure: Callable[[], Sequence[Row]]
    asked: bool = False
    """Whether it is only measured when asked for, as it takes long."""

    @property
    def parts(self) -> set[str]:
        """What it can be asked for by."""
        return set(self.name.split("-"))


def select(effort: Effort, threads: Threads, only: Sequence[str]) -> list[Case]:
    """The cases that have all parts of any of these names ("integrate-4M", say); all short ones without names.

    Raises
    ------
    UsageError
        for a name that no case has.
    """
    every = list(cases(effort, threads))
    for name in only:
        if not any(set(name.split("-")) <= case.parts for case in every):
            known = sorted({part for case in every for part in case.parts})
            raise UsageError(f"--only is {name!r}: no figure has it; names are made of {', '.join(known)}")
    if not only:
        return [case for case in every if not case.asked]
    return [case for case in every if any(set(name.split("-")) <= case.parts for name in only)]


def cases(effort: Effort, threads: Threads) -> Iterator[Case]:
    """All of them, in the order of the table."""
    for kind in effort.kinds:
        name = f"decode-{kind}"
        yield Case(name, partial(_decode, name, kind, threads, effort))
    for size in dict.fromkeys(kind.size for kind in effort.kinds):
        for method in METHODS:
            for what in ("integrate", "reduce"):
                for kind in effort.kinds:
                    if kind.size == size:
                        name = f"{what}-{method}-{kind}"
                        yield Case(name, partial(_integrate, name, what, method, kind, threads, effort))
    for recording in effort.recording:
        name = f"ingest-{effort.streamed}-{recording}"
        yield Case(name, partial(_ingest, name, recording, effort))
    yield Case("fit-voxel", partial(_fit, "fit-voxel", effort))
    yield Case("fit-slice", partial(_slice, "fit-slice", threads, effort))
    yield Case("classify", partial(classify_rows, "classify", effort.sirt.count, effort.rounds, effort.floor))
    name = f"sirt-{effort.sirt.count}x{effort.sirt.count}"
    yield Case(name, partial(_sirt, name, threads, effort))
    for volume in effort.volumes:
        for channels, label in (("full", "every"), ("basis:48", "basis")):
            name = f"final-{volume}-{label}"
            yield Case(name, partial(_final, name, volume, channels, effort.iterations), asked=True)
        name = f"live-{volume}"
        yield Case(name, partial(_live, name, volume), asked=True)


def _decode(name: str, kind: Kind, threads: Threads, effort: Effort) -> list[Row]:
    return [decode_row(name, frames(kind), threads, effort.rounds, effort.floor)]


def _integrate(name: str, what: str, method: Method, kind: Kind, threads: Threads, effort: Effort) -> list[Row]:
    bench = _bench(kind.size, method)
    measure = bench.integrate_rows if what == "integrate" else bench.reduce_rows
    return measure(name, frames(kind), threads, effort.rounds, effort.floor)


@lru_cache(maxsize=1)  # two hundred megabytes each
def _bench(size: str, method: Method) -> Bench:
    return Bench(size, IntegrationConfig(method=method))


def _ingest(name: str, recording: str, effort: Effort) -> list[Row]:
    return ingest_rows(name, effort.streamed, effort.load, recorded=RECORDING[recording])


def _sirt(name: str, threads: Threads, effort: Effort) -> list[Row]:
    return sirt_rows(name, effort.sirt, threads.count, effort.rounds, effort.floor)


def _fit(name: str, effort: Effort) -> list[Row]:
    return fit_rows(name, effort.rounds, effort.floor)


def _slice(name: str, threads: Threads, effort: Effort) -> list[Row]:
    return [slice_row(name, effort.sirt.count, threads.count)]


def _final(name: str, volume: Volume, channels: str, iterations: int) -> list[Row]:
    return [final_row(name, volume, channels, iterations)]


def _live(name: str, volume: Volume) -> list[Row]:
    return [live_row(name, volume)]
