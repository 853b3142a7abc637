"""What is gone when ingest is killed and the sender goes on, knowing nothing: PUSH gives no acknowledgement.

LOSS_KILLS (2) for each condition; `make soak` takes 20, and both print what the README states.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.bench import Message, read_frames, v1_end, v1_start, write_config
from helpers.chain import Sender, until, write_poni
from helpers.encode import bslz4, v1_image
from helpers.ports import free_port
from helpers.warm_ingest import start_ingest

from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.ingest.ledger_reader import LedgerReader

KILLS = int(os.environ.get("LOSS_KILLS", "2"))
SIZE = 512
MIB = 1 << 20
WARM = 20  # frames of a life before it is killed, besides up to half a second's
KERNEL = [Path(f"/proc/sys/net/ipv4/tcp_{buffer}mem") for buffer in "rw"]


@pytest.fixture(scope="module")
def frames() -> list[tuple[np.ndarray, bytes]]:
    """Exposures of 512 × 512 pixels, and their compressed bytes."""
    images = np.random.default_rng(7).poisson(0.3, (8, SIZE, SIZE)).astype("<u2")
    return [(image, bslz4(image)) for image in images]


FREE = pytest.mark.slow  # a sender that never rests


@pytest.mark.parametrize(
    ("rate", "queue"), [(200, 256), pytest.param(None, 256, marks=FREE), pytest.param(None, 1, marks=FREE)]
)
def test_what_a_killed_ingest_loses_of_a_stream_is_bounded_and_named(
    tmp_path: Path, frames: list[tuple[np.ndarray, bytes]], rate: float | None, queue: int
) -> None:
    """rate in frames/s, None as fast as they are taken; queue in MiB."""
    series = [message(frames, n) for n in range((200 if rate else 1000) * (KILLS + 1))]
    sizes = np.array([sum(map(len, parts)) for parts in series])
    endpoint, dice = f"tcp://127.0.0.1:{free_port()}", random.Random(queue)
    directory = RunDirectory(tmp_path / "run")
    directory.create()
    detector = {"endpoint": endpoint, "geometry": "detector.poni", "queue_bytes": queue * MIB}
    scan = {"angles": {"start": 0, "step": 1, "count": len(series) // 100}, "positions": {"count": 100}}
    config = write_config(tmp_path, detector=detector, scan=scan)
    write_poni(tmp_path / "detector.poni", (SIZE, SIZE), 75e-6)
    directory.write_config(config)
    reader, kills = LedgerReader(directory.ledger, ScanGrid.from_config(config.scan)), []

    def integrated() -> int:
        return int(reader.snapshot().frames["integrated"])

    with Sender(endpoint, rate) as sender:
        sender.send([v1_start(), *series])
        for _ in range(KILLS):
            before, process = integrated(), start_ingest(directory)
            until(lambda n=before: integrated() > n + WARM, "frames")
            time.sleep(dice.uniform(0, 0.5))
            process.kill()
            process.join()
            kills.append(sender.sent)
        assert sender.sent < len(series)
        sender.send([v1_end()])
        process = start_ingest(directory)
        until(lambda: reader.snapshot().state["phase"] == "ended", "the end")
        process.terminate()
        process.join()
    counts, lost = read_frames(directory, config), np.zeros((KILLS, 2), int)  # frames and bytes of each kill
    for first, last in counts["missing_ranges"]:
        lost[np.searchsorted(kills, first)] += last - first + 1, sizes[first : last + 1].sum()
    print(
        f"{rate or 'any'} frames/s of {sizes.mean() / 1024:.0f} KiB, queue_bytes {queue} MiB, {KILLS} kills: each lost "
        f"{lost[:, 0].mean():.0f} frames ({lost[:, 1].mean() / MIB:.1f} MiB), "
        f"at most {lost[:, 0].max()} frames ({lost[:, 1].max() / MIB:.1f} MiB)"
    )
    assert (counts["received"], counts["duplicate"], counts["rejected"]) == (counts["integrated"], 0, {})
    assert len(counts["missing_ranges"]) <= KILLS
    kernel = sum(int(path.read_text().split()[2]) for path in KERNEL)
    assert lost[:, 1].max() < queue * MIB + kernel


def message(frames: list[tuple[np.ndarray, bytes]], number: int) -> Message:
    image, blob = frames[number % len(frames)]
    return v1_image(image, number, encoding="bs16-lz4<", blob=blob)
