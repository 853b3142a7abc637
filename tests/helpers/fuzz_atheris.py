"""The fuzzer with coverage as its guide: messages that reach new code of the decoders are kept and damaged further."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import atheris
import cbor2
from helpers.mutate import mutated


def fuzz(messages: int, seed: int) -> int:
    """Damage `messages` messages; a hang or an unexplained error ends it at once, the message in a file ``crash-…``."""
    with atheris.instrument_imports(include=["stream.core.wire"]):
        for name in [name for name in sys.modules if name.startswith("stream.core.wire") or name == "fuzz"]:
            del sys.modules[name]
        import fuzz

    takers = [fuzz.take_image, fuzz.take_monitor, fuzz.take_capture]
    tally = fuzz.Tally()

    def one(data: bytes) -> None:
        message = _message(data)
        if message is not None:
            tally.try_one("coverage-guided", takers[message[0] % len(takers)], message[1])
        if tally.unexplained:
            raise AssertionError(tally.unexplained[-1])
        if tally.tried == messages:
            print(tally, flush=True)
            signal.setitimer(signal.ITIMER_REAL, 0)  # libFuzzer's clock: tidying up is no hang
            shutil.rmtree(corpus)
            os._exit(0)  # libFuzzer ends no other way

    corpus = tempfile.mkdtemp(prefix="fuzz-")
    for n, (take, parts) in enumerate(fuzz.seeds()):
        Path(corpus, str(n)).write_bytes(cbor2.dumps([takers.index(take), parts]))
    options = [f"-seed={seed % 2**32}", "-timeout=1", "-max_len=25000", "-verbosity=0"]
    atheris.Setup(["fuzz", corpus, *options], one, custom_mutator=_mutate)
    atheris.Fuzz()
    return 1


def _mutate(data: bytes, longest: int, seed: int) -> bytes:
    message = _message(data)
    if message is None:
        return data
    new = cbor2.dumps([message[0], mutated(message[1], random.Random(seed))])
    return new if len(new) <= longest else data


def _message(data: bytes) -> Any:
    """Which decoder, and the parts; None for what is not one of ours."""
    try:
        which, parts = cbor2.loads(data)
    except Exception:  # noqa: BLE001 - libFuzzer begins with an empty input
        return None
    return which, parts
