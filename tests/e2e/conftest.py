"""What the whole runs share: one tiny scan, its streams, and one plain run of it to compare with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.chain import Begin, Command, Message, PlainRun, Sender, Site, Stream, results, simulated, tiny_site, until


@pytest.fixture(scope="session")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Stream:
    """The tiny scan as DECTRIS V1."""
    return simulated(tiny_site(tmp_path_factory.mktemp("stream")))


@pytest.fixture(scope="session")
def plain_run(tmp_path_factory: pytest.TempPathFactory, stream: Stream) -> PlainRun:
    """The tiny scan, in order, in one go."""
    site = tiny_site(tmp_path_factory.mktemp("plain"))
    with Sender(site.endpoint) as sender:
        sender.send(stream.whole)
        command = site.run()
        assert command.wait() == 0, command.err
    return PlainRun(site.folder / "run", results(site.folder / "run"))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A place for runs of the tiny scan."""
    return tiny_site(tmp_path)


@pytest.fixture
def commands() -> Iterator[list[Command]]:
    """Commands noted here are ended with the test."""
    noted: list[Command] = []
    yield noted
    for command in noted:
        command.end()


@pytest.fixture
def sender(site: Site) -> Iterator[Sender]:
    """A detector of 60 frames/s."""
    with Sender(site.endpoint, rate=60) as sender:
        yield sender


@pytest.fixture
def begin(site: Site, sender: Sender, commands: list[Command]) -> Begin:
    """The opening of an interruption."""

    def begun(messages: list[Message], frames: int) -> Command:
        sender.send(messages)
        command = site.run()
        commands.append(command)
        until(lambda: site.integrated() >= frames, f"frame {frames}")
        return command

    return begun
