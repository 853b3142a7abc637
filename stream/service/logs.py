"""Logs: one JSON line an event with the same keys everywhere, in files that do not grow without end.

``timestamp`` (UTC), ``level``, ``event`` (``part.what``), ``process``, ``run`` (the scan's name), and what belongs to
the event, such as ``frame``, ``revision``, ``seconds``, ``error``. What libraries say through Python's own logging is
an event, too, and so is an exception that nobody caught.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

LARGEST = 10_000_000
"""Bytes of a log; then it is kept beside itself as .log.1, in the place of an older one, and begins anew."""


def log_as(process: str, run: str) -> None:
    """From now on this process logs to its standard output, which the supervisor points at the log file."""

    def in_order(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        first = {key: event.pop(key) for key in ("timestamp", "level", "event")}
        return {**first, "process": process, "run": run, **event}

    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        in_order,
        structlog.processors.format_exc_info,
    ]
    render = structlog.processors.JSONRenderer()
    structlog.configure(processors=[*shared, render], logger_factory=structlog.PrintLoggerFactory())
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    sys.excepthook = _crashed
    threading.excepthook = lambda told: _crashed(told.exc_type, told.exc_value or told.exc_type(), told.exc_traceback)


def _crashed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    structlog.get_logger().critical("process.crashed", error=str(error), exc_info=(kind, error, trace))


def keep_short(logs: Path) -> None:
    """Begin those logs anew that have become too long; their writers append and need not know."""
    for log in logs.glob("*.log"):
        if log.stat().st_size > LARGEST:
            with suppress(OSError):  # no room for the old lines: the log is cut all the same
                shutil.copyfile(log, log.with_name(f"{log.name}.1"))
            os.truncate(log, 0)
