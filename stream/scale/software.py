"""What two processes must have in common to compute the same bits."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from stream.core.errors import UnavailableError

PACKAGE = Path(__file__).parents[1]
COMPUTES = ("core", "scale", "ingest", "analyse")
"""Layers whose functions run on workers."""


@cache
def software() -> dict[str, str]:
    """Versions by package; ours with a fingerprint of its source, which changes between two releases."""
    source = sha256()
    for layer in COMPUTES:
        for file in sorted((PACKAGE / layer).rglob("*.py")):
            source.update(file.read_bytes())
    ours = {"braggstream": f"{version('braggstream')} (source {source.hexdigest()[:12]})"}
    return ours | {name: version(name) for name in ("numpy", "scipy", "numba")}


def check(expected: Mapping[str, str]) -> None:
    """Refuse to compute for a process with other software.

    Raises
    ------
    UnavailableError
        naming the package and both versions.
    """
    for name, wanted in expected.items():
        found = software()[name]
        if found != wanted:
            raise UnavailableError(
                f"the worker on {socket.gethostname()} has {name} {found}, the processor {wanted}: "
                "install the same on both"
            )
