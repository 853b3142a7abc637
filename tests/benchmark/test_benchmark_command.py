"""`braggstream benchmark`, as a user starts it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson

from stream.benchmark.suite import Effort, select
from stream.benchmark.threads import Threads

KEYS = {"name", "unit", "peer", "ours", "theirs", "ratio", "deviation", "bound", "right", "note"}


def command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stream.cli", "benchmark", "--quick", *arguments],
        cwd=cwd, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def figures(*arguments: str, cwd: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The whole object, and its rows by name and peer."""
    done = command("--json", *arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr
    told = orjson.loads(done.stdout)
    return told, {f"{row['name']} {row['peer']}": row for row in told["figures"]}


def check_against_peer(row: dict[str, Any]) -> None:
    assert row.keys() == KEYS
    assert row["right"]
    assert 0 <= row["deviation"] <= row["bound"]
    for key in ("ours", "theirs", "ratio"):
        assert len(row[key]["values"]) == 3
        assert min(row[key]["values"]) > 0
        assert row[key]["spread"] >= 0
    assert row["ratio"]["values"] == [
        b / a for a, b in zip(row["ours"]["values"], row["theirs"]["values"], strict=True)
    ]


def test_decoding_and_integration_as_json(tmp_path: Path) -> None:
    told, rows = figures("--only", "decode", "--only", "no", "--threads", "1", cwd=tmp_path)
    assert {"date", "cpu", "cores", "load_before", "load_after", "python", "versions"} <= told.keys()
    assert told["threads"] == 1
    assert {"numpy", "pyFAI", "hdf5plugin", "dectris-compression"} <= told["versions"].keys()
    assert len(rows) == 4
    for row in rows.values():
        check_against_peer(row)
    assert rows["decode-1M-uint32-sparse hdf5plugin"]["deviation"] == 0
    assert rows["integrate-no-1M-uint32-sparse scipy CSR"]["unit"] == "ms/frame"
    assert any(name.startswith("reduce-no-1M-uint32-sparse dectris + pyFAI") for name in rows)


def test_zeromq_to_journal(tmp_path: Path) -> None:
    _, rows = figures("--only", "ingest", cwd=tmp_path)
    rate, cpu, p50, p95 = (rows[f"ingest-1M-uint32-sparse-plain-{what} None"] for what in ("rate", "cpu", "p50", "p95"))
    assert 0 < cpu["ours"]["median"] < 1e3
    assert rate["right"]
    assert 0 <= rate["deviation"] < 1e-5
    assert rate["ours"]["median"] > 1
    assert 0 < p50["ours"]["median"] <= p95["ours"]["median"] < 10_000
    assert rate["ratio"] is None
    assert "no peer" in rate["note"]


def test_the_table_and_sirt(tmp_path: Path) -> None:
    done = command("--only", "sirt", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "sirt-64x64" in done.stdout
    assert "ASTRA" in done.stdout
    assert "1 of 1: sirt-64x64" in done.stderr


def test_a_name_that_no_figure_has(tmp_path: Path) -> None:
    done = command("--only", "decode-16M", cwd=tmp_path)
    assert done.returncode == 2
    assert "--only is 'decode-16M'" in done.stderr
    assert "4M" not in done.stderr


def test_every_figure_of_the_full_run() -> None:
    threads = Threads.start(1)
    names = [case.name for case in select(Effort.of(quick=False), threads, ())]
    some = [case.name for case in select(Effort.of(quick=False), threads, ("reduce-bbox-4M", "ingest-recorded"))]
    asked = [case.name for case in select(Effort.of(quick=False), threads, ("final", "live-560x180x1000"))]
    threads.close()
    others = 6  # ingest with and without recording, SIRT, fits of a voxel and of a slice, classes
    assert len(names) == len(set(names)) == 8 + 2 * 3 * 8 + others
    assert len(some) == 4 + 1
    assert len(asked) == 4 + 1
    assert not set(asked) & set(names)  # they take half an hour
