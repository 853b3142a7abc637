"""Damaged messages of every format into their decoders: each is taken, or refused with a reason. `make fuzz`.

FUZZ_MESSAGES (1,000,000) and FUZZ_SEED say how many and which: message n of a seed is always the same one, on any
number of processes. `make fuzz FUZZ=atheris` lets the decoders' coverage choose the mutations instead.
"""

from __future__ import annotations

import faulthandler
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path

from helpers.encode import array1_image, monitor, panda_capture, stins_image, v1_image, v2_image
from helpers.hostile import CASES
from helpers.hostile_material import BLOB, PIXELS
from helpers.hostile_streams import MONITORS, PANDA, WITHOUT_SERIES
from helpers.mutate import mutated
from helpers.recordings import read_messages

from stream.core.errors import MessageError
from stream.core.messages import Image, Parts, SeriesStart
from stream.core.wire import decode, decompress
from stream.core.wire.maxiv import decode_monitor
from stream.core.wire.panda import CaptureReader

DATA = Path(__file__).resolve().parent / "data"
SHARE = 10_000
HANG = 1.0
LONGEST = 20_000
WATCHDOG = 60.0

Take = Callable[[Parts], object]
Seed = tuple[Take, list[bytes]]


def take_image(parts: Parts) -> None:
    """A detector's message, pixels and masks and all."""
    event = decode(parts)
    arrays = event.channels if isinstance(event, Image) else event.mask if isinstance(event, SeriesStart) else {}
    for array in arrays.values():
        decompress(array)


def take_monitor(parts: Parts) -> None:
    """A monitor's message."""
    decode_monitor(parts)


def take_capture(parts: Parts) -> None:
    """A PandABox capture in pieces."""
    reader = CaptureReader()
    for part in parts:
        for start in range(0, len(part), 97):
            for _ in reader.feed(part[start : start + 97]):
                pass
    reader.close()


@cache
def seeds() -> list[Seed]:
    """The messages that are damaged: good ones of every kind, recorded ones, and the hostile corpus."""
    made = [
        v1_image(PIXELS[:9, :9]), v1_image(PIXELS, encoding="bs32-lz4<", blob=BLOB), v2_image(PIXELS[:9, :9]),
        stins_image(PIXELS[:9, :9], msg_number=3), stins_image(PIXELS, BLOB, compression="bslz4"),
        array1_image(PIXELS[:9, :9]),
    ]  # fmt: skip
    recorded = [parts for file in sorted(DATA.glob("dectris_v*/*.cbors")) for parts in read_messages(file)]
    recorded += [[(DATA / f"dectris_v2/{name}.cbor").read_bytes()] for name in ("start", "end")]
    recorded += read_messages(DATA / "maxiv/dump_xrd.cbors")
    monitors = [monitor("data", frame_number=7, i0=[1.0, None], x=[3, 4])]
    monitors += [parts for name in ("albaem-dump", "pcap-zmq") for parts in read_messages(DATA / f"maxiv/{name}.cbors")]
    captures = [[panda_capture(PIXELS[:4, :3])], *([file.read_bytes()] for file in sorted(DATA.glob("panda/*.bin")))]
    hostile = [(take_image, CASES + WITHOUT_SERIES), (take_monitor, MONITORS), (take_capture, PANDA)]
    every = [
        *((take_image, parts) for parts in made * 30 + recorded),
        *((take_monitor, parts) for parts in monitors[:1] * 30 + monitors[-20:]),
        *((take_capture, parts) for parts in captures * 10),
        *((take, case.parts) for take, cases in hostile for case in cases),
    ]
    return [(take, parts) for take, parts in every if sum(map(len, parts)) <= LONGEST]


@dataclass
class Tally:
    """What became of messages; slowest in seconds of this process's time."""

    tried: int = 0
    valid: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    hangs: int = 0
    slowest: float = 0.0
    unexplained: list[str] = field(default_factory=list)

    def try_one(self, name: str, take: Take, parts: list[bytes]) -> None:
        """Give a message to its decoder."""
        self.tried += 1
        start = time.process_time()
        try:
            take(parts)
            self.valid += 1
        except MessageError as error:
            self.rejected[str(error.reason)] += 1
        except Exception as error:  # noqa: BLE001 - what is looked for
            self.unexplained.append(f"{name}: {error!r} from {take.__name__} of {parts!r:.2000}")
        spent = time.process_time() - start
        self.slowest = max(self.slowest, spent)
        self.hangs += spent > HANG

    def add(self, other: Tally) -> None:
        """Count another share."""
        self.tried += other.tried
        self.valid += other.valid
        self.rejected += other.rejected
        self.hangs += other.hangs
        self.slowest = max(self.slowest, other.slowest)
        self.unexplained += other.unexplained

    def __str__(self) -> str:
        reasons = ", ".join(f"{reason} {n:,}" for reason, n in self.rejected.most_common())
        return (
            f"{self.tried:,} messages tried: {self.valid:,} still valid, {self.rejected.total():,} rejected\n"
            f"rejected: {reasons}\n"
            f"slowest {self.slowest * 1e3:.1f} ms, {self.hangs} hangs, {len(self.unexplained)} unexplained"
        )


def share(seed: int, first: int, last: int) -> Tally:
    """Messages `first` to `last` - 1 of a seed; the process ends with a traceback where one takes for ever."""
    tally, dice, sources = Tally(), random.Random(), seeds()
    for n in range(first, last):
        if n % 1000 == 0:
            faulthandler.dump_traceback_later(WATCHDOG, exit=True)
        dice.seed(seed << 40 | n)
        take, parts = dice.choice(sources)
        tally.try_one(f"message {n} of seed {seed}", take, mutated(parts, dice))
    faulthandler.cancel_dump_traceback_later()
    return tally


def main() -> int:
    """All shares on all cores; what was counted is printed."""
    messages = int(os.environ.get("FUZZ_MESSAGES", "1000000"))
    seed = int(os.environ.get("FUZZ_SEED", time.time_ns() >> 20))
    print(f"{messages:,} messages of seed {seed}, made of {len(seeds())}")
    if "atheris" in sys.argv[1:]:
        from helpers.fuzz_atheris import fuzz

        return fuzz(messages, seed)
    started, total = time.monotonic(), Tally()
    with ProcessPoolExecutor(initializer=faulthandler.enable) as pool:
        bounds = [*range(0, messages, SHARE), messages]
        for done in as_completed([pool.submit(share, seed, first, last) for first, last in pairwise(bounds)]):
            total.add(done.result())  # where a process crashed this raises, and its traceback is printed
    print(total, *total.unexplained[:20], sep="\n")
    print(f"{total.tried / (time.monotonic() - started):,.0f} messages a second")
    return 1 if total.unexplained or total.hangs or total.tried != messages else 0


if __name__ == "__main__":
    sys.exit(main())
