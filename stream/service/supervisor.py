"""The supervisor: starts the processes of a run, starts a dead one again, ends them together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Self

import structlog

from stream.core.errors import BraggstreamError, UnavailableError, UsageError
from stream.core.rundir import RunDirectory
from stream.core.vitals import EVERY, tell
from stream.service.child import LIFELINE
from stream.service.logs import keep_short

BACKOFF = (0.2, 0.5, 1.0, 2.0, 5.0)
FLAPPING = 8  # deaths of a child in a row, none of which lived for LONG, that end the run
LONG = 60.0  # seconds
OUTSIDE = frozenset({-signal.SIGKILL, -signal.SIGTERM})  # ended by somebody, not by a fault of its own
DRAIN = 3.0  # seconds that the children have to end by themselves
LAST = "tiled"  # publish brings the newest state there before it ends

log = structlog.get_logger()


@dataclass(slots=True)
class Child:
    """One process of the set."""

    name: str
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    starts: int = 0
    deaths: int = 0
    faults: int = 0
    restart_at: float = 0.0


@dataclass(slots=True)
class Supervisor:
    """The process set of one run directory.

    The processes start and end with a `with` block. They hold the read end of a pipe whose write end only the
    supervisor has, and the lock's descriptor: when the supervisor is killed they see end-of-file, and the directory
    stays locked until the last one is gone.
    """

    directory: RunDirectory
    names: tuple[str, ...]
    lock: int
    environment: dict[str, str]
    children: list[Child] = field(init=False)
    _lifeline: tuple[int, int] = field(init=False)
    _due: float = 0.0

    def __post_init__(self) -> None:
        """Nothing runs yet."""
        self.children = [Child(name) for name in self.names]
        self._lifeline = os.pipe()

    def __enter__(self) -> Self:
        """Start every child."""
        for child in self.children:
            self._spawn(child)
        return self

    def tend(self) -> None:
        """Start dead children again.

        Raises
        ------
        BraggstreamError
            when a child says that it never can run, or dies again and again.
        """
        for child in self.children:
            if child.process is None:
                if time.monotonic() >= child.restart_at:
                    self._spawn(child)
            elif child.process.poll() is not None:
                self._bury(child, child.process.returncode)
        if time.monotonic() >= self._due:
            self._due = time.monotonic() + EVERY
            self._tell()
            keep_short(self.directory.logs)

    def __exit__(self, *_: object) -> None:
        """End every child: SIGTERM, then, when DRAIN has passed, SIGKILL."""
        deadline = time.monotonic() + DRAIN
        for last in (False, True):
            living = [c.process for c in self.children if c.process is not None and (c.name == LAST) is last]
            for process in living:
                process.terminate()
            for process in living:
                try:
                    process.wait(max(0.0, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        for descriptor in self._lifeline:
            os.close(descriptor)

    def _spawn(self, child: Child) -> None:
        read_end = self._lifeline[0]
        child.started = time.monotonic()
        child.starts += 1
        (self.directory.vitals / f"{child.name}.json").unlink(missing_ok=True)
        (self.directory.logs / f"{child.name}.error").unlink(missing_ok=True)
        with (self.directory.logs / f"{child.name}.log").open("ab") as output:
            child.process = subprocess.Popen(
                [sys.executable, "-m", "stream.service.child", child.name, str(self.directory.path)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment, LIFELINE: str(read_end)},
                pass_fds=(read_end, self.lock),
                start_new_session=True,
            )
        self._tell()

    def _tell(self) -> None:
        """Which processes there are; pid is None of one that is dead."""
        children = {
            c.name: {"pid": c.process and c.process.pid, "restarts": max(0, c.starts - 1)} for c in self.children
        }
        tell(self.directory.vitals / "supervisor.json", {"children": children})

    def _bury(self, child: Child, code: int) -> None:
        now = time.monotonic()
        child.process = None
        self._tell()
        if now - child.started > LONG:
            child.deaths = child.faults = 0
        child.deaths += 1
        child.faults += code not in OUTSIDE
        child.restart_at = now + BACKOFF[min(child.deaths, len(BACKOFF)) - 1]
        log.warning("supervisor.died", child=child.name, code=code, deaths=child.deaths)
        sentence = self._last_words(child)
        if code == UsageError.exit_code and sentence:
            raise UsageError(sentence)
        if code == UnavailableError.exit_code and sentence:
            raise UnavailableError(sentence)
        if child.faults >= FLAPPING:
            raise BraggstreamError(
                sentence or f"the process {child.name} died {FLAPPING} times in a row; see {self._log_of(child)}"
            )

    def _last_words(self, child: Child) -> str:
        try:
            return (self.directory.logs / f"{child.name}.error").read_text()
        except FileNotFoundError:
            return ""

    def _log_of(self, child: Child) -> str:
        return str(self.directory.logs / f"{child.name}.log")
