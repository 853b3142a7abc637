"""Publish as a process: the page and its HTTP interface, and the thread that keeps Tiled current."""

from __future__ import annotations

import threading

import structlog

from stream.core.config import Config
from stream.core.rundir import RunDirectory
from stream.dashboard.app import create_server
from stream.dashboard.voxel_fit import VoxelFit
from stream.publish.publisher import TiledPublisher

POLL = 0.2
CLOSING = 1.5  # seconds that the server has to end

log = structlog.get_logger()


def run_publish(directory: RunDirectory, config: Config, stop: threading.Event, *, key: str, tiled_key: str) -> None:
    """Serve until `stop` is set.

    Raises
    ------
    BaseException
        whatever ended the publisher's thread; the supervisor starts the process again.
    """
    embedded = config.publish.tiled == "embedded"
    url = f"http://127.0.0.1:{config.tiled_port}" if embedded else config.publish.tiled
    publisher = TiledPublisher(directory, config, url, tiled_key)
    server = create_server(directory, config, key, VoxelFit(directory, config) if config.phases else None)
    serving = threading.Thread(target=server.run, name="dashboard", daemon=True)
    serving.start()
    publisher.start()
    log.info("publish.ready", host=config.dashboard.host, port=config.dashboard.port, tiled=url)
    while not stop.wait(POLL) and serving.is_alive() and publisher.failure is None:
        pass
    server.should_exit = True
    publisher.close()
    serving.join(CLOSING)
    if publisher.failure is not None:
        raise publisher.failure
