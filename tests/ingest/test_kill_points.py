"""`kill -9` of ingest at seeded moments: nothing that was journalled is lost, nothing is counted twice.

KILL_POINTS (20) of them, KILL_SEED (0); `make soak` takes 200.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from helpers.bench import Bench, Message, patterns, read_frames, v1, v1_end, v1_start, write_config
from helpers.chain import Sender, until
from helpers.ports import free_port
from helpers.warm_ingest import start_ingest

from stream.core.config import Config
from stream.core.errors import MessageError
from stream.core.messages import Image
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.core.wire import decode
from stream.ingest.journal import FIRST_SLOT, SLOT_HEADER
from stream.ingest.ledger_reader import LedgerReader
from stream.ingest.recorded import read_recording, recording_summary

POINTS = int(os.environ.get("KILL_POINTS", "20"))
SEED = int(os.environ.get("KILL_SEED", "0"))
FRAMES, BINS = 300, 40
SCAN = {"angles": {"start": 0, "step": 12, "count": 15}, "positions": {"count": FRAMES // 15}}
START_UP = 0.3  # s, in which a forked ingest is ready
RATE, AHEAD = 1000, 100  # frames a second; a kill comes within so many of the next frames
MOMENTS = (*("start-up", "header", "write of a slot", "after a frame") * 2, "right before the end")


@pytest.fixture(scope="module")
def images() -> list[Message]:
    return [v1(frame) for frame in range(FRAMES)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, images: list[Message]) -> dict[int, bytes]:
    """The patterns of an ingest without incidents."""
    bench = Bench.open(tmp_path_factory.mktemp("undisturbed"), scan=SCAN)
    bench.send(v1_start(), *images, v1_end()).close()
    found = patterns(bench.directory)
    assert len(found) == FRAMES
    return found


@dataclass
class Killing:
    """One scan, whose ingest is killed at moments that the dice choose."""

    directory: RunDirectory
    config: Config
    endpoint: str
    images: list[Message]
    dice: random.Random

    @property
    def booked(self) -> set[int]:
        """Slots that the ledger counts as integrated."""
        return {row.slot for row in LedgerReader(self.directory.ledger, ScanGrid.from_config(self.config.scan)).rows(0)}

    def life(self, moment: str | None) -> None:
        """Start ingest, send what the ledger lacks, and kill at the moment; None waits for the end."""
        missing = sorted(set(range(FRAMES)) - self.booked)
        begun, process = time.time(), start_ingest(self.directory)
        try:
            with Sender(self.endpoint, RATE) as sender:
                sender.send([v1_start(), *(self.images[n] for n in missing), v1_end()])
                if moment is None:
                    until(lambda: self.ended(since=begun), "the end")
                    process.terminate()
                else:
                    self.wait_for(moment, sender, missing)
                    process.kill()
                process.join(30)
        finally:
            process.kill()
        assert process.exitcode == (0 if moment is None else -9)

    def wait_for(self, moment: str, sender: Sender, missing: list[int]) -> None:
        """Wait for the moment in this life."""
        if moment == "start-up":
            time.sleep(self.dice.uniform(0, START_UP))
        elif moment == "header":
            spin(lambda: sender.sent)
            time.sleep(self.dice.uniform(0, 0.02))
        elif moment == "right before the end":
            spin(lambda: sender.sent > len(missing))
            time.sleep(self.dice.uniform(0, 0.05))
        else:
            slot = self.dice.choice(missing[:AHEAD])
            spin(lambda: self.written(slot))
            time.sleep(self.dice.uniform(0, 0.1) if moment == "after a frame" else 0)

    def written(self, slot: int) -> bool:
        """True as soon as a byte of the slot is in the journal: its commit is under way."""
        if not self.directory.journal.exists():
            return False
        with self.directory.journal.open("rb", buffering=0) as file:
            file.seek(FIRST_SLOT + slot * (SLOT_HEADER.size + 12 * BINS))
            return any(file.read(SLOT_HEADER.size))

    def ended(self, since: float) -> bool:
        snapshot = LedgerReader(self.directory.ledger, ScanGrid.from_config(self.config.scan)).snapshot()
        full = snapshot.state["phase"] == "ended" and snapshot.frames["integrated"] == FRAMES
        return full and snapshot.state["updated"] > since

    def recorded(self) -> list[int]:
        """Frame numbers of all recorded images."""
        return [event.frame for message in read_recording(self.directory.path) for event in image_of(message.parts)]


def image_of(parts: Message) -> Iterator[Image]:
    try:
        event = decode(parts)
    except MessageError:
        return
    if isinstance(event, Image):
        yield event


def spin(condition: Callable[[], object]) -> None:
    """Wait almost without a rest: the moment is a matter of microseconds."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(5e-5)


def test_nothing_journalled_is_lost_and_nothing_counted_twice(
    tmp_path: Path, images: list[Message], undisturbed: dict[int, bytes]
) -> None:
    dice, told = random.Random(SEED), Counter[str]()
    while told["kills"] < POINTS:
        directory = RunDirectory(tmp_path / f"{told['scans']}" / "run")
        directory.create()
        endpoint = f"tcp://127.0.0.1:{free_port()}"
        detector = {"endpoint": endpoint, "geometry": "detector.poni", "queue_bytes": 1 << 20}
        config = write_config(directory.path.parent, detector=detector, scan=SCAN, integration={"bins": BINS})
        directory.write_config(config)
        scan = Killing(directory, config, endpoint, images, dice)
        seen: dict[int, bytes] = {}
        while told["kills"] < POINTS and len(scan.booked) < FRAMES:
            moment = dice.choice(MOMENTS)
            scan.life(moment)
            found = patterns(directory) if directory.journal.exists() else {}
            told["lost"] += len(seen.items() - found.items())
            told["wrong"] += len(found.items() - undisturbed.items())
            told["inside a commit"] += len(found) > len(scan.booked)
            told[moment] += 1
            told["kills"] += 1
            seen = found
        scan.life(None)
        told["scans"] += 1
        told["lost"] += len(seen.items() - patterns(directory).items())
        counts, recorded = read_frames(directory, config), scan.recorded()
        assert patterns(directory) == undisturbed
        assert counts["integrated"] == FRAMES == len(set(recorded))
        told["counted twice"] += abs(counts["received"] - len(recorded))
        assert counts["duplicate"] == counts["received"] - FRAMES, counts
        told["resent"] += counts["duplicate"]
    print(f"seed {SEED}:", ", ".join(f"{n} {what}" for what, n in told.items()))
    assert (told["lost"], told["wrong"], told["counted twice"]) == (0, 0, 0)


DIES_WHILE_MAKING_A_FILE = """
import os, signal, sys
from pathlib import Path
import h5py
from stream.core.wire import decode
from stream.ingest.recording import Recording

recording = Recording(Path(sys.argv[1]), (71, 95))
h5py.File.swmr_mode = property(None, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
message = [bytes.fromhex(part) for part in sys.argv[2:]]
recording.append(message, decode(message), 0.0)
recording.flush()
"""


def test_a_file_that_was_being_made_hides_nothing_of_the_others(tmp_path: Path, images: list[Message]) -> None:
    """The first image of a life makes the file of its recording; an ingest killed there leaves half of one."""
    bench = Bench.open(tmp_path, scan=SCAN)
    bench.send(v1_start(), *images[:3], v1_end()).close()
    folder, message = bench.directory.recording, [part.hex() for part in images[3]]
    killed = subprocess.run([sys.executable, "-c", DIES_WHILE_MAKING_A_FILE, str(folder), *message], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(folder.iterdir())) > 1
    assert len(list(read_recording(bench.directory.path))) == 5
    assert sum(file.messages for file in recording_summary(bench.directory.path)) == 5
