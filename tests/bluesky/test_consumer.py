"""Documents through Bluesky's own 0MQ proxy, JSON and msgpack, and from beside it to the processor."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import orjson
import pytest
from bluesky import RunEngine
from bluesky.callbacks.zmq import Publisher
from bluesky.plans import count
from helpers.chain import until
from helpers.ports import free_port
from ophyd_async.sim import SimMotor

from stream.bluesky import as_json
from stream.core.documents import KeptDocuments
from stream.service.documents import Receiver

SERIALIZERS = {"json": as_json, "msgpack": msgpack.packb}


class Mischief:
    """Unpickled, it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL)
    try:
        yield started
    finally:
        started.kill()
        started.wait()


@pytest.mark.parametrize("wire", SERIALIZERS)
def test_documents_by_way_of_a_proxy(tmp_path: Path, wire: str) -> None:
    """They come as the engine made them; what is pickled is passed over and never loaded."""
    into, out, endpoint = (f"127.0.0.1:{free_port()}" for _ in range(3))
    path, mark, made = tmp_path / "documents", tmp_path / "mischief", []
    engine = RunEngine(context_managers=[])
    engine.subscribe(lambda name, document: made.append((name, orjson.loads(as_json(document)))))
    proxy = f"from bluesky.callbacks.zmq import Proxy; Proxy({into!r}, {out!r}).start()"
    publisher = Publisher(into, prefix=b"hutch", serializer=SERIALIZERS[wire])
    forger = Publisher(into, prefix=b"hutch", serializer=lambda _: pickle.dumps(Mischief(mark)))
    stranger = Publisher(into, prefix=b"elsewhere", serializer=SERIALIZERS[wire])
    try:
        with (
            process("-c", proxy),
            process("-m", "stream.bluesky", out, f"tcp://{endpoint}", "--prefix", "hutch", "--serializer", wire),
            Receiver(f"tcp://{endpoint}") as receiver,
        ):
            receiver.into(path)

            def through() -> int:
                for sender in (forger, stranger):
                    sender("event", {"unwanted": True})
                publisher("event", {"probe": True})
                return len(list(KeptDocuments(path).new()))

            until(through, "the way through the proxy")  # PUB drops what nobody takes yet
            engine.subscribe(publisher)
            engine(count([SimMotor("x")], num=3, md={"weights": [1.5, 2.5]}))
            kept = KeptDocuments(path)
            seen: list[tuple[str, Any]] = []
            until(lambda: seen.extend(kept.new()) or (seen and seen[-1][0] == "stop"), "the end of the plan")
    finally:
        for sender in (publisher, forger, stranger):
            sender.close()
    assert [(name, content) for name, content in seen if content != {"probe": True}] == made
    assert not mark.exists()


def test_what_a_plan_tells_is_json_whatever_it_is() -> None:
    """A serializer that raises would end the plan."""
    told = {"array": np.arange(3), "number": np.float32(0.5), "path": Path("a"), 3: None}
    assert as_json(told) == b'{"array":[0,1,2],"number":0.5,"path":"a","3":null}'
