"""Places where a run cannot be: read-only, full, or somebody else's. One sentence, and the exit code of its kind."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.chain import Command, Sender, Site, Stream, until

Mount = Callable[[str], Path]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mounts a file system in memory with these options."""
    place = tmp_path / "place"

    def mounted(options: str) -> Path:
        place.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"NO MOUNT: {done.stderr.decode().strip()}; runs in read-only and full places are not tested")
        return place

    yield mounted
    if place.is_mount():
        subprocess.run(["umount", "-l", place], check=True)


def sentence(command: Command, code: int, *words: str) -> None:
    """This exit code, and one sentence with these words."""
    assert command.wait() == code, command.err
    assert command.err.startswith("braggstream: ")
    assert "\n" not in command.err
    for word in words:
        assert word in command.err


def test_a_place_that_is_read_only(site: Site, mount: Mount) -> None:
    place = mount("ro")
    sentence(site.run(output=str(place / "run")), 2, str(place / "run"), "ead-only")


@pytest.mark.slow
def test_a_place_that_has_no_room_for_the_journal(site: Site, mount: Mount, commands: list[Command]) -> None:
    place = mount("size=256k")
    command = site.run(output=str(place / "run"))
    commands.append(command)
    sentence(command, 1, str(place / "run"), "No space left on device")


def test_a_second_run_in_the_same_place_is_refused_and_the_first_goes_on(
    site: Site, stream: Stream, commands: list[Command]
) -> None:
    with Sender(site.endpoint, rate=30) as sender:
        first = site.run()
        commands.append(first)
        until(first.children, "the children")
        sender.send(stream.whole)
        sentence(site.run(), 2, str(site.folder / "run"), "in use")
        assert first.wait() == 0, first.err
