"""Both streams at 500 points/s, 4 × 4096 channels a spectrum: neither waits for the other, and both fit a core."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.bench import v1_end, v1_start, write_config
from helpers.chain import Sender, until, write_poni
from helpers.encode import v1_image
from helpers.ports import free_port
from helpers.warm_ingest import start_ingest

from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.ingest.ledger_reader import LedgerReader
from stream.ingest.process import run_fluorescence
from stream.simulate.spectra_outlet import spectra_border, spectra_message

pytestmark = pytest.mark.slow
RATE, POINTS, ANGLES, SIZE = 500, 4000, 20, 192
MOST = 1.2e-3  # s of a core for a spectrum: 0.6 ms were measured, and a core has 2 ms for each at RATE
FRAMES = np.random.default_rng(1).poisson(0.6, (8, SIZE, SIZE)).astype("<u2")
SPECTRA = np.random.default_rng(2).poisson(3, (8, 4, 4096)).astype(np.uint32)
TOLD = {"dtc": [1.1] * 4, "i0": 1.0}


def seconds(pid: int | None) -> float:
    """Processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_spectra_hold_no_frame_back(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    directory.create()
    endpoints = [f"tcp://127.0.0.1:{free_port()}" for _ in range(2)]
    config = write_config(
        tmp_path,
        scan={"angles": {"start": 0, "step": 9, "count": ANGLES}, "positions": {"count": POINTS // ANGLES}},
        detector={"geometry": "detector.poni", "endpoint": endpoints[0], "queue_bytes": 4 << 20},
        integration={"bins": 1000},
        fluorescence={"endpoint": endpoints[1], "elements": ["Ni"], "queue_bytes": 4 << 20},
    )
    write_poni(tmp_path / "detector.poni", (SIZE, SIZE), 300e-6)
    directory.write_config(config)
    grid = ScanGrid.from_config(config.scan)
    readers = [LedgerReader(each.ledger, grid) for each in (directory, directory.fluorescence)]
    frames, spectra = start_ingest(directory), start_ingest(directory, run=run_fluorescence)
    until(lambda: all(reader.snapshot().state.get("updated") for reader in readers), "both ingests")
    before = seconds(spectra.pid)
    assert spectra.pid is not None
    try:
        with Sender(endpoints[0], RATE) as detector, Sender(endpoints[1], RATE) as xspress:
            os.kill(spectra.pid, signal.SIGSTOP)  # as slow as can be
            xspress.send([spectra_border("start"), *(spectra_message(n, SPECTRA[n % 8], TOLD) for n in range(POINTS))])
            detector.send([v1_start(), *(v1_image(FRAMES[n % 8], n) for n in range(POINTS)), v1_end()])
            until(lambda: readers[0].snapshot().frames["integrated"] == POINTS, "all frames")
            assert not [text for _, text in readers[0].events() if "faster than they are processed" in text]
            assert readers[1].snapshot().frames["integrated"] == 0
            assert xspress.sent < POINTS  # its detector is the one that waits
            os.kill(spectra.pid, signal.SIGCONT)
            begun = time.monotonic()
            until(lambda: readers[1].snapshot().frames["integrated"] == POINTS, "all spectra")
        spent = (seconds(spectra.pid) - before) / POINTS
        print(f"{1000 * spent:.2f} ms of a core for a spectrum, {time.monotonic() - begun:.1f} s for {POINTS}")
        assert spent < MOST
    finally:
        for process in (frames, spectra):
            process.kill()
            process.join()
