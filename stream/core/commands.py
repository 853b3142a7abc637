"""Commands from page or plan: small numbered files, applied in order and kept."""

from __future__ import annotations

import os
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
    """Append a command; two writers never take the same number."""
    data = orjson.dumps({"kind": kind, "arguments": arguments})
    partial = folder / f".{os.getpid()}-{id(data)}.partial"
    partial.write_bytes(data)
    number = max((int(p.stem) for p in folder.glob("*.json")), default=0) + 1
    try:
        while True:
            try:
                os.link(partial, folder / f"{number:06d}.json")
            except FileExistsError:
                number += 1
            else:
                return Command(number=number, kind=kind, arguments=arguments)
    finally:
        partial.unlink()


def read_commands(folder: Path, after: int = 0) -> list[Command]:
    """Commands with a number above `after`, in order."""
    commands = []
    for path in sorted(folder.glob("*.json")):
        number = int(path.stem)
        if number <= after:
            continue
        try:
            raw = orjson.loads(path.read_bytes())
            commands.append(Command(number=number, kind=raw["kind"], arguments=raw["arguments"]))
        except (ValueError, KeyError) as error:
            raise StoreError(f"the command {path} cannot be read: {error}") from error
    return commands
