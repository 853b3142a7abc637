"""Ingest as a process that starts in milliseconds: forked from a server that has imported and compiled everything."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import cache
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.forkserver import ensure_running
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from stream.core.rundir import RunDirectory
from stream.ingest.integrate import CpuIntegrator
from stream.ingest.integrate.kernel import accumulate
from stream.ingest.process import run_ingest

for dtype in (np.uint8, np.uint16, np.uint32):  # compiled here, once for all that are forked
    bins, weights, sums = np.zeros(8, np.uint16), np.zeros(8, np.int64), np.zeros((4, 2), np.int64)
    accumulate(np.zeros(8, dtype), bins, weights, dtype(1), sums, np.zeros(2, np.int64))
gc.freeze()  # pyFAI collects garbage at every new geometry


@cache
def _server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with mock.patch.dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)):  # where it finds this module
        ensure_running()
    return context


def start_ingest(
    directory: RunDirectory, pause: float = 0.0, run: Callable[..., None] = run_ingest
) -> ForkServerProcess:
    """Start it; `pause` is the seconds by which each integration takes longer, `run` the stream's ingest."""
    process = _server().Process(target=_ingest, args=(directory.path, pause, run), daemon=True)
    process.start()
    return process


def _ingest(path: Path, pause: float, run: Callable[..., None]) -> None:
    """As the supervisor's child does, until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    if pause:
        CpuIntegrator.__call__ = _slowed(CpuIntegrator.__call__, pause)  # type: ignore[method-assign]
    run(RunDirectory(path), stop)


def _slowed(integrate: Callable[..., Any], pause: float) -> Callable[..., Any]:
    def slow(*arguments: Any) -> Any:
        time.sleep(pause)
        return integrate(*arguments)

    return slow
