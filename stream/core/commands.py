"""Commands from page or plan: small numbered files, applied in order and kept."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import orjson

from stream.core.errors import StoreError

Kind = Literal["regions", "labels", "finish", "abort", "recompute"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command; number is its place in the order."""

    number: int
    kind: Kind
    arguments: dict[str, Any] = field(default_factory=dict)


def post_command(folder: Path, kind: Kind, arguments: dict[str, Any]) -> Command:
    """Append a command; two writers never take the same number.

    Raises
    ------
    StoreError
        where it cannot be written.
    """
    partial = folder / f".{os.getpid()}-{threading.get_ident()}.partial"
    try:
        partial.write_bytes(orjson.dumps({"kind": kind, "arguments": arguments}))
        number = max(_numbered(folder), default=0) + 1
        while not _link(partial, _path(folder, number)):
            number += 1
    except OSError as error:
        raise StoreError(f"a command cannot be written in {folder}: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return Command(number=number, kind=kind, arguments=arguments)


def read_commands(folder: Path, after: int = 0) -> list[Command]:
    """Commands with a number above `after`, in order.

    Raises
    ------
    StoreError
        naming the file that holds no command.
    """
    return [_read(_path(folder, number), number) for number in sorted(_numbered(folder)) if number > after]


def _read(path: Path, number: int) -> Command:
    try:
        raw = orjson.loads(path.read_bytes())
        kind, arguments = raw["kind"], raw["arguments"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"the command {path} cannot be read: {error}") from error
    return Command(number=number, kind=kind, arguments=arguments)


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number:06d}.json"


def _numbered(folder: Path) -> list[int]:
    """Numbers taken; other files are none of ours."""
    return [int(path.stem) for path in folder.glob("*.json") if path.stem.isdecimal()]


def _link(partial: Path, path: Path) -> bool:
    """Give the file its name; False where that is taken."""
    try:
        os.link(partial, path)
    except FileExistsError:
        return False
    return True
