"""The journal gives back what was written, or says that it cannot."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream.core.errors import StoreError
from stream.core.messages import Pattern
from stream.ingest.journal import FILE_HEADER, FIRST_SLOT, HEADERS, SLOT_HEADER, Journal
from stream.ingest.ledger import FrameRow

SLOTS, BINS = 20, 33


def row(slot: int, **values: object) -> FrameRow:
    told = {"series": "Ä7", "frame": 1000 + slot, "monitor": 2.5 * slot, "received": 1.7e9 + slot / 8} | values
    return FrameRow(slot=slot, **told)  # type: ignore[arg-type]


def pattern(seed: int, bins: int = BINS) -> Pattern:
    sums, norms, variances = np.random.default_rng(seed).random((3, bins)).astype(np.float32)
    return Pattern(sums=sums, norms=norms, variances=variances)


def same(found: Pattern, expected: Pattern) -> bool:
    return all(
        getattr(found, name).tobytes() == getattr(expected, name).tobytes() for name in ("sums", "norms", "variances")
    )


def test_round_trip(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "journal.bin", SLOTS, BINS)
    for slot in (0, 7, SLOTS - 1):
        journal.write(row(slot), pattern(slot))
    reader = Journal.read_only(tmp_path / "journal.bin")
    assert (reader.slots, reader.bins) == (SLOTS, BINS)
    for slot in (0, 7, SLOTS - 1):
        assert same(reader.read(slot), pattern(slot))
    assert list(reader.filled()) == [row(0), row(7), row(SLOTS - 1)]
    with pytest.raises(StoreError, match=r"slot 3 .* empty"):
        reader.read(3)
    reader.close()
    journal.close()
    again = Journal.create(tmp_path / "journal.bin", SLOTS, BINS)
    assert list(again.filled()) == [row(0), row(7), row(SLOTS - 1)]
    again.close()


def test_values_that_are_not_numbers_come_back_bit_for_bit(tmp_path: Path) -> None:
    odd = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-42] + [0] * (BINS - 5), dtype=np.float32)
    journal = Journal.create(tmp_path / "journal.bin", SLOTS, BINS)
    journal.write(row(1, monitor=None, series="x" * 50), Pattern(sums=odd, norms=odd, variances=odd))
    assert same(journal.read(1), Pattern(sums=odd, norms=odd, variances=odd))
    (found,) = journal.filled()
    assert np.isnan(found.monitor or 0.0)
    assert found.series == "x" * 32
    journal.close()


def test_the_file_is_allocated_at_once(tmp_path: Path) -> None:
    Journal.create(tmp_path / "journal.bin", SLOTS, BINS).close()
    size = FIRST_SLOT + SLOTS * (SLOT_HEADER.size + 12 * BINS)
    told = (tmp_path / "journal.bin").stat()
    assert told.st_size == size
    assert told.st_blocks * 512 >= size


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(where=st.integers(0, SLOT_HEADER.size + 12 * BINS - 1), bits=st.integers(1, 255))
def test_a_flipped_byte_anywhere_in_a_slot_is_found(tmp_path: Path, where: int, bits: int) -> None:
    path = tmp_path / "journal.bin"
    path.unlink(missing_ok=True)
    journal = Journal.create(path, SLOTS, BINS)
    for slot in (3, 4, 5):
        journal.write(row(slot), pattern(slot))
    at = FIRST_SLOT + 4 * journal.stride + where
    byte = os.pread(journal.descriptor, 1, at)[0]
    os.pwrite(journal.descriptor, bytes([byte ^ bits]), at)
    with pytest.raises(StoreError, match="slot 4"):
        journal.read(4)
    assert [found.slot for found in journal.filled()] == [3, 5]
    assert same(journal.read(5), pattern(5))
    journal.close()


@pytest.mark.parametrize("at", [*range(FILE_HEADER.size), *range(HEADERS[1], HEADERS[1] + FILE_HEADER.size)])
def test_a_flipped_bit_in_one_header_costs_nothing(tmp_path: Path, at: int) -> None:
    path = tmp_path / "journal.bin"
    journal = Journal.create(path, SLOTS, BINS)
    journal.write(row(5), pattern(5))
    os.pwrite(journal.descriptor, bytes([os.pread(journal.descriptor, 1, at)[0] ^ 16]), at)
    journal.close()
    for again in (Journal.read_only(path), Journal.create(path, SLOTS, BINS)):
        assert (again.slots, again.bins) == (SLOTS, BINS)
        assert same(again.read(5), pattern(5))
        again.close()


def test_a_journal_with_one_header_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "journal.bin"
    journal = Journal.create(path, SLOTS, BINS)
    journal.write(row(5), pattern(5))
    os.pwrite(journal.descriptor, bytes(FILE_HEADER.size), HEADERS[1])  # as it was before there were two
    assert same(Journal.read_only(path).read(5), pattern(5))
    os.pwrite(journal.descriptor, b"\xff", 8)
    with pytest.raises(StoreError, match="its header is damaged"):
        Journal.read_only(path)
    journal.close()


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(size=st.just(0) | st.integers(FILE_HEADER.size, FIRST_SLOT + SLOTS * (SLOT_HEADER.size + 12 * BINS) - 1))
def test_a_file_cut_short_keeps_what_is_whole(tmp_path: Path, size: int) -> None:
    path = tmp_path / "journal.bin"
    path.unlink(missing_ok=True)
    journal = Journal.create(path, SLOTS, BINS)
    for slot in range(SLOTS):
        journal.write(row(slot), pattern(slot))
    stride = journal.stride
    os.ftruncate(journal.descriptor, size)
    whole = max(0, (size - FIRST_SLOT) // stride)
    assert [found.slot for found in journal.filled()] == list(range(whole))
    journal.close()
    again = Journal.create(path, SLOTS, BINS)  # and is written to again
    again.write(row(SLOTS - 1), pattern(1))
    assert same(again.read(SLOTS - 1), pattern(1))
    again.close()


@pytest.mark.parametrize(("slots", "bins"), [(SLOTS + 1, BINS), (SLOTS, BINS - 1), (BINS, SLOTS)])
def test_the_journal_of_another_grid_is_refused(tmp_path: Path, slots: int, bins: int) -> None:
    Journal.create(tmp_path / "journal.bin", SLOTS, BINS).close()
    with pytest.raises(StoreError, match=f"not the journal of {slots} patterns with {bins} bins"):
        Journal.create(tmp_path / "journal.bin", slots, bins)


@pytest.mark.parametrize("content", [b"", b"BRAGGJ", b"something else entirely " * 300])
def test_what_is_no_journal_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "journal.bin").write_bytes(content)
    with pytest.raises(StoreError, match=r"journal\.bin is not the journal"):
        Journal.read_only(tmp_path / "journal.bin")
    with pytest.raises(StoreError, match=r"journal .*nowhere\.bin cannot be opened"):
        Journal.read_only(tmp_path / "nowhere.bin")


def test_a_creation_that_was_cut_short_is_done_again(tmp_path: Path) -> None:
    path = tmp_path / "journal.bin"
    path.write_bytes(b"\0" * 10_000)
    journal = Journal.create(path, SLOTS, BINS)
    journal.write(row(SLOTS - 1), pattern(0))
    assert [found.slot for found in journal.filled()] == [SLOTS - 1]
    journal.close()


LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np
from stream.core.errors import StoreError
from stream.core.messages import Pattern
from stream.ingest.journal import Journal
from stream.ingest.ledger import FrameRow

path, step = Path(sys.argv[1]), sys.argv[2]
ones = np.ones(33, dtype=np.float32)
journal = Journal.create(path, 20, 33) if step == "write" else None
resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))
try:
    if journal is None:
        Journal.create(path, 20, 33)
    for slot in range(20):
        journal.write(FrameRow(slot=slot, series="1", frame=slot, monitor=None, received=0.0),
                      Pattern(sums=ones, norms=ones, variances=ones))
except StoreError as error:
    print(error)
    sys.exit(0 if step == "create" else 10 + len(list(journal.filled())))
"""


@pytest.mark.parametrize("step", ["create", "write"])
def test_a_full_disk_is_an_error_and_no_signal(tmp_path: Path, step: str) -> None:
    """The limit on file sizes stands for the disk: writes beyond it fail in the same way."""
    path = tmp_path / "journal.bin"
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path), step], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
    assert "journal.bin cannot be " in done.stdout
    if step == "create":
        assert done.returncode == 0
    else:  # those before the limit are whole
        assert done.returncode == 10 + (6000 - FIRST_SLOT) // (SLOT_HEADER.size + 12 * BINS)
    again = Journal.create(path, SLOTS, BINS)  # once there is room
    for slot in range(SLOTS):
        again.write(row(slot), pattern(slot))
    assert len(list(again.filled())) == SLOTS
    again.close()


def test_what_was_written_outlives_the_writer(tmp_path: Path) -> None:
    path = tmp_path / "journal.bin"
    Journal.create(path, SLOTS, BINS).close()
    pid = os.fork()
    if pid == 0:
        try:
            journal = Journal.create(path, SLOTS, BINS)
            for slot in range(8):
                journal.write(row(slot), pattern(slot))
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    journal = Journal.read_only(path)
    assert list(journal.filled()) == [row(slot) for slot in range(8)]
    journal.close()
