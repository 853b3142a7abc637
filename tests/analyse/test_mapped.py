"""Arrays in files: they can be put away while others need the memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stream.analyse.store import mapped, rest

MB = 64


def file_pages() -> float:
    """MB of files that this process holds in memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssFile")).split()[1]) / 1024


def test_what_rests_takes_no_memory_and_keeps_its_content(tmp_path: Path) -> None:
    array = mapped(tmp_path / "array.f4", (MB, 2**18))
    array[:] = np.arange(MB, dtype=np.float32)[:, None]
    held = file_pages()
    rest(array, np.zeros(3))
    assert file_pages() < held - 0.9 * MB
    assert np.array_equal(array, np.broadcast_to(np.arange(MB)[:, None], array.shape))
