"""Mutated messages into every decoder for FUZZ_SECONDS: each parses or raises MessageError. `make fuzz`."""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path

from stream.core.errors import MessageError
from stream.core.messages import Image
from stream.core.wire import decode, decompress
from tests.helpers.recordings import read_messages

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
MAX_BYTES = 1 << 26


def mutated(parts: list[bytes], dice: random.Random) -> list[bytes]:
    """The same message with one to eight bytes changed, cut or doubled somewhere."""
    parts = [bytearray(part) for part in parts]
    for _ in range(dice.randint(1, 8)):
        part = dice.choice(parts)
        if not part:
            continue
        at = dice.randrange(len(part))
        match dice.randrange(4):
            case 0:
                part[at] = dice.randrange(256)
            case 1:
                part[at] ^= 1 << dice.randrange(8)
            case 2:
                del part[at : at + dice.randint(1, 64)]
            case 3:
                part[at:at] = bytes(dice.randrange(256) for _ in range(dice.randint(1, 8)))
    return [bytes(part) for part in parts]


def main() -> int:
    """Fuzz until the time is up; the seed of a failure is printed."""
    seconds, seed = float(os.environ.get("FUZZ_SECONDS", "600")), int(os.environ.get("FUZZ_SEED", time.time_ns()))
    dice = random.Random(seed)
    files = sorted(SHARED.glob("dectris_v*/v*.cbors"))
    messages = [message for file in files for message in read_messages(file)]
    if not messages:
        print(f"no recordings under {SHARED}", file=sys.stderr)
        return 4
    tried, accepted, end = 0, 0, time.monotonic() + seconds
    while time.monotonic() < end:
        parts = mutated([bytes(part) for part in dice.choice(messages)], dice)
        tried += 1
        try:
            event = decode(parts)
            if isinstance(event, Image):
                for pixels in event.channels.values():
                    decompress(pixels, MAX_BYTES)
            accepted += 1
        except MessageError:
            pass
        except BaseException:
            print(f"seed {seed}, message {tried}: {[part[:64] for part in parts]}", file=sys.stderr)
            raise
    print(f"{tried} messages, {accepted} of them still valid, nothing but MessageError (seed {seed})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
