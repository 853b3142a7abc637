"""What a run misses comes from the detector's own files, and its maps are then those of a scan without gaps."""

from __future__ import annotations

from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest
from helpers.chain import Command, PlainRun, Sender, Site, Stream, assert_identical, results

from stream.core.messages import Image
from stream.core.wire import decode


def detector_file(path: Path, stream: Stream) -> Path:
    """A file as the DECTRIS file writer leaves it: the chunks are what it streamed."""
    images = [event for event in map(decode, stream.images) if isinstance(event, Image)]
    pixels = images[0].channels[""]
    with h5py.File(path, "w") as file:
        data = file.create_dataset(
            "entry/data/data_000001",
            shape=(len(images), *pixels.shape),
            chunks=(1, *pixels.shape),
            dtype=pixels.dtype,
            compression=hdf5plugin.Bitshuffle(cname="lz4"),
        )
        for image in images:
            data.id.write_direct_chunk((image.frame, 0, 0), bytes(image.channels[""].data))
    return path


@pytest.mark.slow
def test_a_run_with_gaps_is_filled(site: Site, stream: Stream, commands: list[Command], tmp_path: Path) -> None:
    """No bit of the final maps tells which frames came from where."""

    def perform(*arguments: str | Path) -> tuple[int, Command]:
        commands.append(command := site.command(*arguments))
        return command.wait(), command

    def run(messages: list[list[bytes]], output: str) -> tuple[int, Command]:
        with Sender(site.endpoint) as sender:
            sender.send(messages)
            return perform("run", site.path, "--output", output, "--once")

    site.write(detector={"monitor": None})
    assert run(stream.whole, "plain")[0] == 0
    plain = results(site.folder / "plain")
    lost = set(np.random.default_rng(5).choice(len(stream.images), 40, replace=False).tolist())
    code, command = run([m for n, m in enumerate(stream.whole) if n - 1 not in lost], "run")
    assert code == 3
    assert f"40 of {len(stream.images)} frames are missing" in command.err
    code, command = perform("backfill", "run", detector_file(tmp_path / "all.h5", stream))
    assert code == 0, command.err
    assert "filled 40 of 40 missing frames" in command.out
    assert_identical(plain, results(site.folder / "run"))
    code, command = perform("backfill", "run", tmp_path / "all.h5")
    assert code == 2
    assert "complete" in command.err


@pytest.mark.parametrize(
    ("run", "file", "code", "said"),
    [("run", "nothing.h5", 2, "there is no nothing.h5"), ("run", "config.yaml", 1, "cannot be read"),
     ("nowhere", "config.yaml", 2, "is not a run directory")],
)  # fmt: skip
def test_files_and_directories_that_cannot_be_used(
    site: Site, plain_run: PlainRun, commands: list[Command], run: str, file: str, code: int, said: str
) -> None:
    (site.folder / "run").symlink_to(plain_run.directory)
    commands.append(command := site.command("backfill", run, file))
    assert command.wait() == code
    assert said in command.err
    assert "Traceback" not in command.err
