"""What the whole runs share: one tiny scan, its streams, and one plain run of it to compare with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pytest
from helpers.chain import Command, Sender, Site, Stream, results, simulated, tiny_site


@dataclass(frozen=True)
class PlainRun:
    """A run of the tiny scan without incidents."""

    directory: Path
    arrays: dict[str, npt.NDArray[Any]]


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
