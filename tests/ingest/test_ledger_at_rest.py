"""A ledger that nobody writes any more: one file, which is read where nothing can be written."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stream.core.config import ScanConfig
from stream.core.scan import ScanGrid
from stream.ingest.ledger import FrameRow, Ledger
from stream.ingest.ledger_reader import LedgerReader, put_at_rest

GRID = ScanGrid.from_config(
    ScanConfig.model_validate({"name": "t", "angles": {"start": 0, "step": 1, "count": 5}, "positions": {"count": 4}})
)


def filled(path: Path) -> Ledger:
    ledger = Ledger.open(path)
    for slot in range(7):
        ledger.add(FrameRow(slot=slot, series="1", frame=slot, monitor=None, received=1.0))
    ledger.event("series 1 opened by its header")
    ledger.commit(received=7, phase="acquiring")
    return ledger


def files(path: Path) -> list[str]:
    return sorted(found.name for found in path.parent.iterdir())


def assert_readable(path: Path) -> None:
    reader = LedgerReader(path, GRID)
    assert reader.snapshot().frames["missing_ranges"] == [[7, 19]]
    assert len(reader.record().rows) == 7
    assert [text for _, text in reader.events()] == ["series 1 opened by its header"]
    reader.close()


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """The same folder, mounted where nobody can write."""
    place = folder.with_name("mounted")
    place.mkdir()
    commands = [["mount", "--bind", str(folder), str(place)], ["mount", "-o", "remount,ro,bind", str(place)]]
    mounted = False
    try:
        for command in commands:
            if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
                pytest.skip("NOT TESTED ON A READ-ONLY MOUNT: it takes root and the right to mount")
            mounted = True
        yield place
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_the_last_process_leaves_one_file_and_looking_adds_none(tmp_path: Path) -> None:
    path = tmp_path / "run" / "ledger.sqlite"
    path.parent.mkdir()
    ledger, reader = filled(path), LedgerReader(path, GRID)
    reader.snapshot()
    ledger.close()
    reader.close()
    put_at_rest(path)
    assert files(path) == ["ledger.sqlite"]
    assert_readable(path)
    assert files(path) == ["ledger.sqlite"]


def test_a_ledger_that_somebody_looks_at_stays_whole(tmp_path: Path) -> None:
    path = tmp_path / "run" / "ledger.sqlite"
    path.parent.mkdir()
    ledger, reader = filled(path), LedgerReader(path, GRID)
    reader.snapshot()
    put_at_rest(path)
    ledger.add(FrameRow(slot=7, series="1", frame=7, monitor=None, received=1.0))
    ledger.commit(received=8)
    assert reader.snapshot().frames["integrated"] == 8
    ledger.close()
    reader.close()
    put_at_rest(tmp_path / "none.sqlite")
    assert not (tmp_path / "none.sqlite").exists()


def test_a_run_that_goes_on_writes_beside_its_readers_again(tmp_path: Path) -> None:
    path = tmp_path / "run" / "ledger.sqlite"
    path.parent.mkdir()
    filled(path).close()
    put_at_rest(path)
    reader = LedgerReader(path, GRID)
    assert reader.snapshot().frames["integrated"] == 7  # opened before ingest is there
    ledger = Ledger.open(path)
    for slot in range(7, 20):
        ledger.add(FrameRow(slot=slot, series="1", frame=slot, monitor=None, received=1.0))
        ledger.commit(received=slot + 1)
        assert reader.snapshot().frames["integrated"] == slot + 1
    ledger.close()
    reader.close()


@pytest.mark.parametrize("end", ["at rest", "closed", "killed"])
def test_a_read_only_copy_is_read_however_the_run_ended(tmp_path: Path, end: str) -> None:
    path = tmp_path / "run" / "ledger.sqlite"
    path.parent.mkdir()
    ledger = filled(path)
    if end == "killed":  # what the write-ahead log holds is not in the file yet
        copy = tmp_path / "copy"
        shutil.copytree(path.parent, copy)
        assert (copy / "ledger.sqlite-wal").stat().st_size > 0
        ledger.close()
        path = copy / "ledger.sqlite"
    else:
        ledger.close()
        if end == "at rest":
            put_at_rest(path)
        assert files(path) == ["ledger.sqlite"]
    with read_only(path.parent) as place:
        assert_readable(place / "ledger.sqlite")


def test_a_path_with_signs_of_an_address(tmp_path: Path) -> None:
    path = tmp_path / "run ?mode=memory#1 100%" / "ledger.sqlite"
    path.parent.mkdir()
    filled(path).close()
    assert_readable(path)
