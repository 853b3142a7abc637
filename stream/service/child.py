"""A child of the supervisor: `python -m stream.service.child NAME DIRECTORY`.

It ends when it is told to (SIGTERM) and when the supervisor is gone: the pipe that the supervisor keeps open
reads end-of-file, and on Linux the kernel sends SIGTERM besides. Ingest and publish finish what they have in hand;
analyse and a child that is still starting end at once, for nothing of theirs counts that is not on disk.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from stream.core.errors import BraggstreamError
from stream.core.rundir import RunDirectory
from stream.scale.cluster import ADDRESS
from stream.service.logs import log_as

if TYPE_CHECKING:
    from stream.ingest.process import Replay

NICE = {"ingest": 0, "fluorescence": 0, "analyse": 5, "publish": 3, "tiled": 3}
LIFELINE = "BRAGGSTREAM_LIFELINE"
REPLAY = "BRAGGSTREAM_REPLAY"
GATE = "BRAGGSTREAM_GATE"
TILED_HOST = "127.0.0.1"
GRACE = 1.5  # seconds to end in once the supervisor is gone
PR_SET_PDEATHSIG = 1

log = structlog.get_logger()


def run_child(name: str, directory: RunDirectory) -> None:
    """Run the process `name` until it is told to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    watch_supervisor()
    os.nice(NICE[name])
    {
        "ingest": _ingest,
        "fluorescence": _fluorescence,
        "analyse": _analyse,
        "publish": _publish,
        "tiled": _tiled,
    }[name](directory)


def watch_supervisor() -> None:
    """Stop when the supervisor dies; leave for good when stopping takes too long."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    lifeline = int(os.environ[LIFELINE])

    def wait() -> None:
        os.read(lifeline, 1)
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(GRACE)
        os._exit(1)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


def stop_on_sigterm() -> threading.Event:
    """From now on SIGTERM sets this event, and no longer ends the process by itself."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    return stop


def _ingest(directory: RunDirectory) -> None:
    from stream.ingest.process import run_ingest

    replay = _replay()
    run_ingest(directory, stop_on_sigterm(), replay, os.environ.get(ADDRESS) if replay else None, os.environ.get(GATE))


def _fluorescence(directory: RunDirectory) -> None:
    from stream.ingest.process import run_fluorescence

    run_fluorescence(directory, stop_on_sigterm(), _replay())


def _replay() -> Replay | None:
    """What takes the place of the sockets, if anything does."""
    from stream.ingest.process import Replay

    if REPLAY not in os.environ:
        return None
    path, _, speed = os.environ[REPLAY].rpartition("|")
    return Replay(Path(path) if path else None, float(speed) if speed != "max" else None)


def _analyse(directory: RunDirectory) -> None:
    from stream.analyse.process import run_analyse

    run_analyse(directory, threading.Event(), os.environ.get(ADDRESS))


def _publish(directory: RunDirectory) -> None:
    from stream.dashboard.process import run_publish
    from stream.service.keys import tiled_key

    config, key = directory.read_config(), directory.key.read_text()
    run_publish(directory, config, stop_on_sigterm(), key=key, tiled_key=tiled_key(config, directory))


def _tiled(directory: RunDirectory) -> None:
    from stream.publish.server import serve_tiled
    from stream.service.keys import tiled_key

    config = directory.read_config()
    serve_tiled(directory, TILED_HOST, config.tiled_port, tiled_key(config, directory))


def main(arguments: list[str]) -> int:
    """Exit with the error's own code, the sentence left beside the log for the supervisor."""
    name, path = arguments
    directory = RunDirectory(Path(path))
    faulthandler.enable()
    try:
        log_as(name, directory.read_config().scan.name)
        run_child(name, directory)
    except BraggstreamError as error:
        log.error("process.failed", error=str(error))
        (directory.logs / f"{name}.error").write_text(str(error))
        return error.exit_code
    except Exception as error:  # one line of the log, like every event
        log.critical("process.crashed", error=str(error), exc_info=True)
        return 1
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # the interpreter's own end waits for the threads of libraries, and takes a second on a busy machine
