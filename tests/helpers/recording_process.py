"""A recording that another process writes while the test looks at it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

FRAMES = np.random.default_rng(5).integers(0, 9, (7, 16, 20), dtype=np.uint16)
WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import numpy as np
from helpers.encode import v1_image
from stream.core.wire import decode
from stream.ingest.recording import Recording

frames = np.random.default_rng(5).integers(0, 9, (7, 16, 20), dtype=np.uint16)
recording = Recording(Path({folder!r}), frames.shape[1:])
for n, frame in enumerate(frames):
    if n == 5:
        recording.flush()
        print("flushed", flush=True)
        sys.stdin.readline()
    parts = v1_image(frame, frame=n)
    recording.append(parts, decode(parts), 1.8e9 + n)
recording.close()
"""


@contextmanager
def recording(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that records, as ingest does: five frames, and after a line to it the others."""
    code = WRITER.format(tests=str(Path(__file__).parents[1]), folder=str(folder))
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "flushed\n"
        yield process
