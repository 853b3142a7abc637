"""Where a person finds the run, and whether the ports are free for it."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass

from stream.core.config import Config
from stream.core.errors import UnavailableError
from stream.service.child import TILED_HOST

PORT_WAIT = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where a person finds the run."""

    dashboard: str
    tiled: str


def wait_for_ports(config: Config) -> None:
    """Wait until the ports of the page and of the embedded Tiled are free.

    Raises
    ------
    UnavailableError
        naming the port that is not.
    """
    ports = {"dashboard.port": (config.dashboard.host, config.dashboard.port)}
    if config.publish.tiled == "embedded":
        ports["publish.port"] = (TILED_HOST, config.tiled_port)
    deadline = time.monotonic() + PORT_WAIT
    for key, (host, port) in ports.items():
        while not is_free(host, port):
            if time.monotonic() > deadline:
                raise UnavailableError(f"{key} {port} on {host} is taken by another program")
            time.sleep(0.1)


def is_free(host: str, port: int) -> bool:
    """True when a server could listen there."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def addresses(config: Config, key: str) -> Addresses:
    """Links for a person; the key travels behind the #, which browsers do not send."""
    host = f"[{config.dashboard.host}]" if ":" in config.dashboard.host else config.dashboard.host
    tiled = config.publish.tiled
    if tiled == "embedded":
        tiled = f"http://{TILED_HOST}:{config.tiled_port}"
    return Addresses(dashboard=f"http://{host}:{config.dashboard.port}/#key={key}", tiled=tiled)
