"""CURVE over real sockets: the right keys and everything arrives, any other key and nothing does."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import zmq
from helpers.bench import write_config
from helpers.chain import until
from helpers.ports import free_port
from zmq.auth import create_certificates

from stream.bluesky import Forwarder
from stream.core.config import BlueskyCurve, Config, load_config, write_resolved
from stream.core.documents import KeptDocuments
from stream.core.errors import ConfigError, UsageError
from stream.ingest.curve import read_curve_keys
from stream.ingest.sources import SocketSource
from stream.service.documents import Receiver
from stream.simulate.command import simulate

SILENCE = 0.5
"""Seconds in which nothing comes; with the right keys the first message needs some milliseconds."""


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A folder with certificates of a beamline, of us, and of a stranger."""
    for name in ("beamline", "ours", "stranger"):
        create_certificates(tmp_path, name)
    return tmp_path


def curve(server: str = "beamline", own: str = "ours") -> dict[str, str]:
    return {"server_key": f"file:{server}.key", "secret_key": f"file:{own}.key_secret"}


def config_of(folder: Path, frames: int, readings: int, section: dict[str, str] | None) -> Config:
    stream: dict[str, Any] = {"endpoint": f"tcp://127.0.0.1:{readings}", "format": "maxiv-albaem", "key": "channel1"}
    detector = {"endpoint": f"tcp://127.0.0.1:{frames}", "curve": section, "format": "dectris-2"}
    return write_config(folder, detector=detector, monitors=[{**stream, "curve": section}])


def test_the_virtual_beamline_and_ingest_know_each_other(keys: Path) -> None:
    ports = free_port(), free_port()
    strangers = [config_of(keys, *ports, section) for section in (None, curve(server="stranger"))]
    config = config_of(keys, *ports, curve())
    write_resolved(config, keys / "config.yaml")
    assert load_config(keys / "config.yaml", {}) == config
    with pytest.raises(UsageError, match="--curve-key"):
        simulate(config=keys / "config.yaml")
    arguments = {"config": keys / "config.yaml", "curve_key": f"file:{keys}/beamline.key_secret"}
    sender = threading.Thread(target=simulate, kwargs=arguments, daemon=True)
    sender.start()
    # in the open, and to somebody else: PUSH would deal them their share of the frames
    wrong = [opened(each) for each in strangers]
    source, streams = opened(config), Counter[int]()

    def came() -> bool:
        message = source.receive(SILENCE)
        streams.update([] if message is None else [message.stream])
        return message is None and streams[0] == 14  # twelve frames, start and end

    until(came, "the scan")
    assert streams[1], "readings, too"
    for each in wrong:
        assert each.receive(SILENCE) is None
        each.close()
    source.close()
    sender.join(20)
    assert not sender.is_alive()


def opened(config: Config) -> SocketSource:
    return SocketSource.open(config.detector, 10_000, config.monitors)


def test_a_key_that_is_not_there_is_named(keys: Path) -> None:
    config = config_of(keys, 1, 1, {**curve(), "secret_key": "env:NOT_THERE"})
    for read in (opened, read_curve_keys):
        with pytest.raises(ConfigError, match=r"detector\.curve\.secret_key is 'env:NOT_THERE': there is no such"):
            read(config)


def test_documents_come_from_known_clients_alone(keys: Path) -> None:
    endpoint, path = f"tcp://127.0.0.1:{free_port()}", keys / "documents"
    section = BlueskyCurve(secret_key=f"file:{keys}/beamline.key_secret", client_keys=[f"file:{keys}/ours.key"])
    places = {name: (f"file:{keys}/beamline.key", f"file:{keys}/{name}.key_secret") for name in ("ours", "stranger")}
    with Receiver(endpoint, curve=section) as receiver:
        receiver.into(path)
        senders = [Forwarder(endpoint), Forwarder(endpoint, curve=places["stranger"])]
        for sender in senders:
            sender("start", {"uid": "forged"})
        ours = Forwarder(endpoint, curve=places["ours"])
        ours("start", {"uid": "ours"})
        until(lambda: path.exists() and list(KeptDocuments(path).new()), "the document")
        for sender in (*senders, ours):
            sender.close(timeout=SILENCE)
        assert [document.content["uid"] for document in KeptDocuments(path).new()] == ["ours"]
    with Receiver(endpoint, curve=section):  # the endpoint and its keeper are free again
        assert zmq.Context.instance()
