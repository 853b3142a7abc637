"""Who may touch a run directory: one process set, and only a run that can go on."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stream.core.config import Config
from stream.core.errors import BraggstreamError, RunDirectoryError
from stream.core.files import read_json
from stream.core.lifecycle import CLOSED, Status
from stream.core.rundir import RunDirectory

LOCK_WAIT = 5.0
KEPT = {"lock", "format.json", "beamline"}  # may lie in a directory that holds no run yet
FIXED_SECTIONS = ("scan", "detector", "fluorescence", "integration")


def take_lock(directory: RunDirectory, wait: float = LOCK_WAIT) -> int:
    """Lock the directory for this process and its children; returns the descriptor that holds the lock.

    The lock goes with the descriptor: it is free when the last process of the set is gone.
    """
    descriptor = os.open(directory.lock, os.O_RDWR | os.O_CREAT, 0o644)
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(descriptor)
                raise RunDirectoryError(f"{directory.path} is in use by another run") from None
            time.sleep(0.05)
        else:
            return descriptor


def prepare(directory: RunDirectory, config: Config) -> int:
    """Lock a directory in which this config may run; returns the lock's descriptor. Nothing else is changed in it.

    Raises
    ------
    RunDirectoryError
        when it is busy, finished, holds another scan, cannot be written, or is no run directory at all.
    ConfigError
        when the directory is new and a file that the config names cannot be used.
    """
    if directory.path.exists():
        if not directory.path.is_dir():
            raise RunDirectoryError(f"{directory.path} is a file, not a directory")
        if not holds_run(directory) and any(path.name not in KEPT for path in directory.path.iterdir()):
            raise RunDirectoryError(f"{directory.path} is not empty and holds no run; nothing in it was touched")
    if not holds_run(directory):
        from stream.service.check import check  # takes seconds to import, and a refusal need not wait for it

        for _ in check(config):  # before a directory is made for it
            pass
    try:
        directory.path.mkdir(parents=True, exist_ok=True)
        descriptor = take_lock(directory)
    except OSError as error:
        raise RunDirectoryError(f"{directory.path} cannot be written: {error.strerror}") from error
    try:
        if holds_run(directory):
            check_resume(directory, config)
    except BraggstreamError:
        os.close(descriptor)
        raise
    return descriptor


def holds_run(directory: RunDirectory) -> bool:
    """True for a run directory; a folder with a config.yaml of the user's own is none."""
    return directory.config.is_file() and directory.lock.is_file()


def check_resume(directory: RunDirectory, config: Config) -> None:
    """Refuse to go on with a finished run or another scan; one whose final maps Tiled lacks is not finished."""
    before = directory.read_config().model_dump(mode="json")
    status = read_status(directory)
    if status in CLOSED and is_published(directory):
        raise RunDirectoryError(f"{directory.path} holds a run that is {status}; give another --output")
    now = config.model_dump(mode="json")
    for section in FIXED_SECTIONS:
        for key, old, new in differences(before[section], now[section], section):
            raise RunDirectoryError(
                f"{directory.path} was begun with {key} = {old!r}, the config says {new!r}; "
                "a resumed run keeps scan, detector, fluorescence and integration"
            )


def differences(before: Any, now: Any, key: str) -> Iterator[tuple[str, Any, Any]]:
    """Leaves in which two plain values differ: (key, before, now)."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in {**before, **now}:
            yield from differences(before.get(name), now.get(name), f"{key}.{name}")
    elif before != now:
        yield key, before, now


def is_published(directory: RunDirectory) -> bool:
    """True when Tiled holds the final revision."""
    state, published = read_json(directory.state), read_json(directory.published)
    return bool(state and published and published["final"] and published["revision"] >= state["revision"])


def read_status(directory: RunDirectory) -> Status:
    """The status that analyse stored, `waiting` before it did."""
    state = read_json(directory.state)
    return Status(state["status"]) if state else Status.WAITING


def first_free(parent: Path, name: str) -> Path:
    """The first of name-1, name-2, … that does not exist."""
    n = 1
    while (parent / f"{name}-{n}").exists():
        n += 1
    return parent / f"{name}-{n}"
