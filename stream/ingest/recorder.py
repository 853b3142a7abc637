"""The recording while messages come: file after file, suspended where the disk gives out.

A file begun without frames, because messages were flushed before the first image, is made anew by that image where they
are few; else another one begins, as it does after very many messages.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from stream.core.errors import StoreError
from stream.core.messages import Event, MonitorEvent, Parts
from stream.ingest.master import MASTER, write_master
from stream.ingest.recording import Recording
from stream.ingest.room import MARGIN, Foresight

LONGEST = 20_000  # messages of a file: HDF5 keeps up to 400 bytes of each in memory while it is open
RETRY = 5.0  # seconds until a suspended recording is tried again


class Recorder:
    """Records the messages of one start of ingest; trouble with the disk is noted and never raised.

    Parameters
    ----------
    folder
        of the recording.
    shape
        (rows, columns) of the detector.
    note
        takes a sentence for the run's events.
    reserve
        bytes of the disk that are left for others.

    Attributes
    ----------
    suspended
        why nothing is recorded at present; None while messages are.
    """

    def __init__(
        self,
        folder: Path,
        shape: tuple[int, int],
        note: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        reserve: int = MARGIN,
    ) -> None:
        self.suspended: str | None = None
        self._folder = folder
        self._shape = shape
        self._note = note
        self._clock = clock
        self._reserve = reserve
        self._foresight = Foresight(folder, reserve)
        self._recording: Recording | None = None
        self._missing = 0  # messages since the recording was suspended, and those lost with the file that failed
        self._again = 0.0  # when it may be tried again

    def append(
        self, parts: Parts, event: Event | MonitorEvent | None, received: float, stream: int = 0
    ) -> dict[str, Any] | None:
        """Record one message as `Recording.append` does.

        Returns
        -------
        The place of the next message in the recording, its ``file`` and ``count``; None while it is suspended.
        """
        if self.suspended is not None and not self._may_go_on():
            self._missing += 1
            return None
        try:
            recording = self._file_for(event)
            index = recording.append(parts, event, received, stream)
        except StoreError as error:
            self._missing += 1
            self._suspend(error)
            return None
        if self.suspended is not None:
            self._note(f"recording again in {recording.name}; {self._missing} messages are not in it")
            self.suspended, self._missing = None, 0
        self._foresight.count(sum(map(len, parts)))
        return {"file": recording.name, "count": index + 1}

    def foresee(self, left: int) -> None:
        """Note, once, that the disk has no room for so many more messages."""
        for sentence in self._foresight.notes(left, self._clock()):
            self._note(sentence)

    def flush(self) -> None:
        """Hand everything to the operating system."""
        if self._recording is not None:
            try:
                self._recording.flush()
            except StoreError as error:
                self._suspend(error)

    def close(self) -> None:
        """Flush and close, and write the master of what is there."""
        try:
            self._close_file()
        except StoreError as error:
            self._suspend(error)
        if self.suspended is not None:
            self._note(f"the recording ends without the last {self._missing} messages")
        try:
            write_master(self._folder)
        except StoreError as error:
            self._note(f"the recording has no {MASTER}: {error}")

    def _file_for(self, event: Event | MonitorEvent | None) -> Recording:
        """The file that takes the next message."""
        recording = self._recording
        if recording is not None and (recording.misses_frames(event) or recording.count >= LONGEST):
            self._close_file()
        if self._recording is None:
            self._recording = Recording(self._folder, self._shape, self._reserve)
        return self._recording

    def _close_file(self) -> None:
        if self._recording is not None:
            self._recording.close()
            self._recording = None

    def _suspend(self, error: StoreError) -> None:
        """Close the file, whose messages stay readable, and say once why."""
        recording, self._recording = self._recording, None
        if recording is not None:
            with suppress(StoreError):
                recording.close()
            self._missing += recording.count - recording.flushed
        self._again = self._clock() + RETRY
        if self.suspended is None:
            self.suspended = str(error)
            self._note(f"recording suspended: {error}; frames go on to be integrated but cannot be replayed")

    def _may_go_on(self) -> bool:
        """Now and then, and only with room for more than a few messages."""
        if self._clock() < self._again:
            return False
        self._again = self._clock() + RETRY
        try:
            return shutil.disk_usage(self._folder).free > self._reserve + MARGIN
        except OSError:
            return False
