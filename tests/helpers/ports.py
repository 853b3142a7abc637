"""Ports for the servers of a test."""

from __future__ import annotations

import itertools
import os
import socket

SHARE = 4000  # ports of each worker, below those that the system gives to outgoing connections
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 5
_NUMBERS = itertools.count(os.getpid() * 97)


def free_port() -> int:
    """A port that nobody listens on, and that no other test, worker or outgoing connection is given meanwhile."""
    while True:
        port = 10_000 + WORKER * SHARE + next(_NUMBERS) % SHARE
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
