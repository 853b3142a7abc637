"""Bits that flip and files that are cut, in the journal and the recording of a small run.

Whatever the damage: it is named or it changed nothing, what it did not hit is still read, and no number is wrong.
The files are read in processes of their own, so that a crash of the HDF5 library would be counted.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # where this file is run as a script

from helpers.encode import bslz4, v1_image

from stream.core.errors import StoreError
from stream.core.messages import Armed, Pattern
from stream.core.wire import decode
from stream.ingest.journal import FIRST_SLOT, SLOT_HEADER, Journal
from stream.ingest.ledger import FrameRow
from stream.ingest.rawformat import BYTES, FRAMES, INDEX, ROW
from stream.ingest.recorded import read_recording, recording_summary
from stream.ingest.recorder import Recorder

SLOTS, BINS, FRAMES_A_FILE, SHAPE = 40, 60, 20, (40, 50)
FLIPS, CUTS = 1000, 200
HANGS = 10  # seconds
START = [b'{"htype":"dheader-1.0","header_detail":"none","series":1}']


def build(folder: Path) -> None:
    """A journal and a recording of three files: a header, a closed one, and one whose writer is killed."""
    random = np.random.default_rng(622)
    journal = Journal.create(folder / "journal.bin", SLOTS, BINS)
    for slot in range(0, SLOTS, 2):
        row = FrameRow(slot=slot, series="1", frame=slot, monitor=2.5, received=1.7e9 + slot)
        sums, norms, variances = random.random((3, BINS)).astype(np.float32)
        journal.write(row, Pattern(sums=sums, norms=norms, variances=variances))
    journal.close()
    for part in range(2):
        recorder = Recorder(folder, SHAPE, print)
        if part == 0:
            recorder.append(START, decode(START), 1.0)
            recorder.flush()
        for frame in range(FRAMES_A_FILE):
            pixels = random.poisson(3, SHAPE).astype(np.uint16)
            parts = v1_image(pixels, frame, encoding="bs16-lz4<", blob=bslz4(pixels))
            recorder.append(parts, decode(parts), 1.7e9 + frame)
            recorder.append([b"reading %d" % frame], Armed(), 1.7e9 + frame, 1 + part)
        recorder.flush()
        if part == 0:
            recorder.close()
    os.kill(os.getpid(), signal.SIGKILL)


def NUMBERED(slot: int) -> dict[str, int]:
    return {"number": slot} if "number" in FrameRow.__dataclass_fields__ else {}


def read_journal(path: Path, opened: Callable[[Path], Journal]) -> tuple[dict[Any, Any], list[str]]:
    """Row and pattern of each slot that can be read, and what was said of the others."""
    found: dict[Any, Any] = {}
    said = []
    try:
        journal = opened(path)
    except StoreError as error:
        return {}, [str(error)]
    rows = {row.slot: row for row in journal.filled()}
    for slot in range(SLOTS):
        try:
            pattern = journal.read(slot)
            values = b"".join(values.tobytes() for values in (pattern.sums, pattern.norms, pattern.variances))
            found["journal.bin", slot] = (repr(rows[slot]), values)
        except StoreError as error:
            said.append(str(error))
            if f"slot {slot} " not in said[-1]:
                raise
    journal.close()
    if {slot for _, slot in found} != rows.keys():
        raise AssertionError(f"slots {sorted(rows)} are filled, {sorted(found)} can be read")
    return found, said


def read_messages(folder: Path) -> tuple[dict[Any, Any], list[str]]:
    """Every message that can be read, and what was said of the others."""
    said: list[str] = []
    messages = read_recording(folder, on_damage=lambda error: said.append(str(error)))
    found = {(m.file, m.index): ([bytes(part) for part in m.parts], m.received, m.stream) for m in messages}
    with suppress(StoreError):
        recording_summary(folder)
    first = None
    try:
        list(read_recording(folder))
    except StoreError as error:
        first = str(error)
    if [first] != (said[:1] or [None]):
        raise AssertionError(f"{said[:1]} is not what is raised: {first}")
    return found, said


def places(folder: Path) -> dict[str, list[tuple[int, int, int]]]:
    """First and last byte of what belongs to one slot or message, file by file: (first, last, which)."""
    stride = SLOT_HEADER.size + 12 * BINS
    found = {"journal.bin": [(FIRST_SLOT + n * stride, FIRST_SLOT + (n + 1) * stride, n) for n in range(SLOTS)]}
    for path in sorted(folder.glob("raw-*.h5")):
        with h5py.File(path, "r", swmr=True) as file:
            index = file[INDEX].id.get_chunk_info(0).byte_offset
            data = file[BYTES].id.get_chunk_info(0).byte_offset
            found[path.name] = spans = []
            for n, row in enumerate(file[INDEX][:]):
                spans.append((index + n * ROW.itemsize, index + (n + 1) * ROW.itemsize, n))
                spans.append((int(data + row["offset"]), int(data + row["offset"] + row["length"]), n))
                if row["frame"] >= 0:
                    chunk = file[FRAMES].id.get_chunk_info(int(row["frame"]))
                    spans.append((chunk.byte_offset, chunk.byte_offset + chunk.size, n))
    return found


def damage(case: int, path: Path, good: bytes) -> tuple[int, int]:
    """Flip a bit, three of four times of a byte that is not zero, or cut the file; from where to where it was hit."""
    random = np.random.default_rng([622, case])
    if case >= FLIPS:
        at = int(random.integers(len(good)))
        path.write_bytes(good[:at])
        return at, len(good)
    anywhere = random.integers(4) == 0
    at = int(random.integers(len(good)) if anywhere else random.choice(np.flatnonzero(np.frombuffer(good, np.uint8))))
    path.write_bytes(good[:at] + bytes([good[at] ^ (1 << random.integers(8))]) + good[at + 1 :])
    return at, at + 1


def examine(folder: Path, cases: list[int]) -> None:
    """Print for each case what became of it."""
    journal = folder / "journal.bin"
    files = [journal, *sorted(folder.glob("raw-*.h5"))]
    contents = {path: path.read_bytes() for path in files}
    spans = places(folder)
    truth, _ = read_messages(folder)
    truth |= read_journal(journal, Journal.read_only)[0]
    for case in cases:
        signal.alarm(HANGS)  # ends the process where the library hangs
        path = journal if case % 2 else files[1 + case // 2 % (len(files) - 1)]
        begin, end = damage(case, path, contents[path])
        os.utime(path, (0, 0))  # a file at rest, that nobody is writing
        if path == journal:
            found, said = read_journal(path, Journal.read_only)
            found |= read_journal(path, lambda path: Journal.create(path, SLOTS, BINS))[0]
        else:
            found, said = read_messages(folder)
        path.write_bytes(contents[path])
        wrong = [place for place, value in found.items() if truth.get(place) != value]
        lost = sorted(n for name, n in truth.keys() - found.keys() if name == path.name)
        hit = {n for first, last, n in spans[path.name] if first < end and begin < last}
        tables = path != journal and (case >= FLIPS or not hit)  # HDF5's own may lie anywhere
        if not all(path.name in sentence for sentence in said):
            verdict = "not named"
        elif wrong:
            verdict = "wrong"
        elif not tables and not hit.issuperset(lost):
            verdict = "more lost than was hit"
        elif lost and not said:
            verdict = "lost in silence"
        elif not lost:
            verdict = "named, nothing lost" if said and path != journal else "harmless"
        else:
            verdict = "a cut or HDF5's own tables, named" if tables else "what was hit is named"
        print(json.dumps([case, path.name, verdict, len(lost), said[:1]]), flush=True)


def run(folder: Path, cases: list[int]) -> list[list[Any]]:
    """The verdicts of a process that is started again behind a case that kills it."""
    told: list[list[Any]] = []
    while cases:
        command = [sys.executable, __file__, str(folder), *map(str, cases)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        verdicts = [json.loads(line) for line in done.stdout.splitlines()]
        cases = cases[len(verdicts) :]
        if done.returncode:
            verdicts.append([cases.pop(0), "", f"crashed: {done.returncode} {done.stderr[-2000:]}", 0, []])
        told += verdicts
    return told


@pytest.mark.parametrize("share", [pytest.param(1, marks=pytest.mark.slow), 5], ids=["all", "a share"])
def test_damage_is_named_or_harmless_and_the_rest_is_read(tmp_path: Path, share: int) -> None:
    made = subprocess.run([sys.executable, __file__, str(tmp_path)], check=False)
    assert made.returncode == -signal.SIGKILL
    cases = list(range(0, FLIPS + CUTS, share))
    told = run(tmp_path, cases)
    for kind, chosen in (("flips", range(FLIPS)), ("cuts", range(FLIPS, FLIPS + CUTS))):
        counts = Counter((name, verdict) for case, name, verdict, *_ in told if case in chosen)
        for (name, verdict), count in sorted(counts.items()):
            print(f"{count:5} {kind} in {name or 'a file'}: {verdict}")
    allowed = ("harmless", "named, nothing lost", "what was hit is named", "a cut or HDF5's own tables, named")
    assert len(told) == len(cases)
    assert [verdict for verdict in told if verdict[2] not in allowed] == []


if __name__ == "__main__":
    target, *numbers = sys.argv[1:]
    if numbers:
        examine(Path(target), [int(number) for number in numbers])
    else:
        build(Path(target))
