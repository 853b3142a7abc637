"""The embedded Tiled: a process of its own, beside the dashboard."""

from __future__ import annotations

import logging
import socket
from ipaddress import ip_address
from typing import Any

import structlog
import uvicorn

from stream.core.errors import UnavailableError
from stream.core.rundir import RunDirectory
from stream.publish.connections import Connection
from stream.publish.gate import TiledGate

GRACE = 1  # seconds that open requests and subscriptions have when the server ends

log = structlog.get_logger()


def serve_tiled(directory: RunDirectory, host: str, port: int, key: str) -> None:
    """Serve the run's Tiled until SIGTERM.

    Everybody who reaches a loopback address may read; writing needs the key.

    Parameters
    ----------
    key
        letters and digits only, as Tiled wants it.

    Raises
    ------
    UnavailableError
        when the port is taken.
    """
    listener = listen(host, port)
    app = TiledGate(build(directory, key, anonymous=ip_address(host).is_loopback), key)
    config = uvicorn.Config(
        app, http=Connection, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=GRACE
    )
    log.info("tiled.serving", url=f"http://{host}:{port}")
    uvicorn.Server(config).run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to the port; it takes connections once the server is up."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise UnavailableError(f"publish.port {port} on {host} cannot be used: {error.strerror}") from None
    return listener


def build(directory: RunDirectory, key: str, anonymous: bool) -> Any:
    """The ASGI application: a catalog in DIR/tiled, files of DIR readable in place."""
    from tiled.catalog import from_uri
    from tiled.config import Authentication
    from tiled.server.app import build_app

    from stream.publish.storage import STREAM, initialise_catalog, install

    logging.getLogger("tiled.server.app").setLevel(logging.WARNING)  # its import asked for more
    install()
    directory.tiled.mkdir(exist_ok=True)
    database = directory.tiled / "catalog.db"
    if not database.exists():
        initialise_catalog(database)
    catalog = from_uri(
        f"sqlite:///{database}",
        writable_storage=[str(directory.tiled / "arrays")],
        readable_storage=[str(directory.path)],
        cache_config=dict(STREAM),
    )
    return build_app(
        catalog,
        authentication=Authentication(single_user_api_key=key, allow_anonymous_access=anonymous),
        server_settings={"expose_raw_assets": False},
    )
