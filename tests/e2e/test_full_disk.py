"""A disk that fills up: the recording stops before frames do, and a run that cannot go on says so and resumes."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.chain import Command, PlainRun, Sender, Site, Stream, assert_identical, results, tiny_site

MEGABYTE = 1 << 20


def mounted(folder: Path, megabytes: int) -> None:
    """A file system of that size."""
    folder.mkdir()
    options = f"size={megabytes}m"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True)
    if done.returncode:
        pytest.skip(f"a full disk needs the right to mount one: {done.stderr.decode().strip()}")


@pytest.fixture
def small(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    """A place for runs on a disk of as many megabytes as the test asks for."""
    mounted(tmp_path / "disk", request.param)
    yield tiny_site(tmp_path / "disk")
    subprocess.run(["umount", "-l", tmp_path / "disk"], check=True)


def begin(site: Site) -> Command:
    """`braggstream run` there; what it says is kept on another disk."""
    return Command(["run", str(site.path), "--output", str(site.folder / "run"), "--once"], site.folder.parent, {})


def free(site: Site) -> int:
    room = os.statvfs(site.folder)
    return room.f_bavail * room.f_frsize


@pytest.mark.parametrize("small", [65], indirect=True)
def test_the_recording_is_suspended_and_no_frame_is_lost(
    small: Site, stream: Stream, plain_run: PlainRun, commands: list[Command]
) -> None:
    with Sender(small.endpoint) as sender:
        sender.send(stream.whole)
        commands.append(command := begin(small))
        assert command.wait() == 0, command.err
    assert "recording suspended" in command.out
    assert "cannot be replayed" in command.out
    assert_identical(plain_run.arrays, results(small.folder / "run"))


@pytest.mark.slow
@pytest.mark.parametrize("small", [40], indirect=True)
def test_a_full_disk_ends_the_run_with_a_sentence_and_the_same_command_resumes(
    small: Site, stream: Stream, plain_run: PlainRun, commands: list[Command]
) -> None:
    ballast = small.folder / "ballast"
    with Sender(small.endpoint, rate=20) as sender:
        sender.send(stream.whole)
        commands.append(command := begin(small))
        until = time.monotonic() + 60
        while small.integrated() < 20 and time.monotonic() < until:
            time.sleep(0.1)
        with ballast.open("wb") as file:
            while free(small) > 0:
                file.write(bytes(min(free(small), MEGABYTE)))
                file.flush()
        assert command.wait(120) == 1
    assert any(word in command.err for word in ("No space left", "disk is full", "cannot be written")), command.err
    assert "Traceback" not in command.err
    ballast.unlink()
    with Sender(small.endpoint) as sender:
        sender.send(stream.whole)
        commands.append(command := begin(small))
        assert command.wait() == 0, command.err
    assert_identical(plain_run.arrays, results(small.folder / "run"))
