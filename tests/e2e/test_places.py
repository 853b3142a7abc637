"""Places where a run cannot be: read-only, or in use. One sentence, exit 2."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.chain import Command, Sender, Site, Stream, until


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A file system that nothing can be written to."""
    place = tmp_path / "place"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", place], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"NO MOUNT: {done.stderr.decode().strip()}; a run in a read-only place is not tested")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def refused(command: Command, *words: str) -> None:
    """Exit code 2, and one sentence with these words."""
    assert command.wait() == 2, command.err
    assert command.err.startswith("braggstream: ")
    assert "\n" not in command.err
    for word in words:
        assert word in command.err


def test_a_place_that_is_read_only(site: Site, read_only: Path) -> None:
    refused(site.run(output=str(read_only / "run")), str(read_only / "run"), "ead-only")


@pytest.mark.slow
def test_a_second_run_in_the_same_place_is_refused_and_the_first_goes_on(
    site: Site, stream: Stream, commands: list[Command]
) -> None:
    with Sender(site.endpoint, rate=30) as sender:
        first = site.run()
        commands.append(first)
        until(first.children, "the children")
        sender.send(stream.whole)
        refused(site.run(), str(site.folder / "run"), "in use")
        assert first.wait() == 0, first.err
