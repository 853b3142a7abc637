"""Numbered commands: nobody's is lost, no two share a number."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stream.core.commands import Command, post_command, read_commands
from stream.core.errors import StoreError


def test_commands_come_back_in_order(tmp_path: Path) -> None:
    first = post_command(tmp_path, "regions", {"regions": [{"name": "hump", "range": [1.0, 2.0]}]})
    second = post_command(tmp_path, "finish", {})
    assert (first.number, second.number) == (1, 2)
    assert read_commands(tmp_path) == [first, second]
    assert read_commands(tmp_path, after=1) == [second]
    assert read_commands(tmp_path, after=2) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000001.json", "000002.json"]


def test_concurrent_writers_never_collide(tmp_path: Path) -> None:
    def write(writer: int) -> list[int]:
        return [post_command(tmp_path, "labels", {"writer": writer, "n": n}).number for n in range(25)]

    with ThreadPoolExecutor(8) as pool:
        numbers = [number for taken in pool.map(write, range(8)) for number in taken]
    assert sorted(numbers) == list(range(1, 201))
    commands = read_commands(tmp_path)
    assert [command.number for command in commands] == list(range(1, 201))
    assert {(c.arguments["writer"], c.arguments["n"]) for c in commands} == {
        (w, n) for w in range(8) for n in range(25)
    }
    for writer in range(8):  # each writer's own commands keep their order
        own = [c.arguments["n"] for c in commands if c.arguments["writer"] == writer]
        assert own == sorted(own)


def test_writers_in_other_processes(tmp_path: Path) -> None:
    children = []
    for writer in range(4):
        pid = os.fork()
        if pid == 0:
            try:
                for n in range(20):
                    post_command(tmp_path, "labels", {"writer": writer, "n": n})
            finally:
                os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    found = {(c.arguments["writer"], c.arguments["n"]) for c in read_commands(tmp_path)}
    assert found == {(w, n) for w in range(4) for n in range(20)}


def test_order_is_by_number_and_gaps_are_allowed(tmp_path: Path) -> None:
    for number in (999_999, 1_000_000, 7):
        (tmp_path / f"{number:06d}.json").write_bytes(b'{"kind":"recompute","arguments":{}}')
    assert [command.number for command in read_commands(tmp_path)] == [7, 999_999, 1_000_000]
    assert post_command(tmp_path, "abort", {}) == Command(number=1_000_001, kind="abort")


def test_files_that_are_none_of_ours_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_text("mine")
    (tmp_path / ".000001.partial").write_text("")
    assert read_commands(tmp_path) == []
    assert post_command(tmp_path, "finish", {}).number == 1


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b'{"kind":"finish"}'])
def test_a_damaged_command_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "000001.json").write_bytes(content)
    with pytest.raises(StoreError, match=r"000001\.json"):
        read_commands(tmp_path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert read_commands(tmp_path / "nowhere") == []
    with pytest.raises(StoreError, match="nowhere"):
        post_command(tmp_path / "nowhere", "finish", {})
