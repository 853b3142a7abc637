"""The pattern of a line standard: from one frame, or from all frames of a run that moved it through the beam."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stream.core.errors import UsageError
from stream.core.messages import Pattern
from stream.core.rundir import RunDirectory
from stream.ingest.integrate import CpuIntegrator, integrate_still, read_image
from stream.ingest.integrate.geometry import Mask
from stream.ingest.integrate.still import valid_pixels
from stream.ingest.journal import Journal
from stream.ingest.ledger import Ledger


def standard_pattern(source: Path, integrate: CpuIntegrator, where: str) -> tuple[Pattern, Mask]:
    """Sums, norms and variances, and the pixels (rows, columns) that have no count; `where` begins the error.

    Raises
    ------
    UsageError
        for a run that was integrated otherwise, or has no frames.
    """
    if source.is_dir():
        return _of_run(RunDirectory(source), integrate, where)
    frame = read_image(source, where)
    return integrate_still(frame, integrate, where), ~valid_pixels(frame)


def _of_run(directory: RunDirectory, integrate: CpuIntegrator, where: str) -> tuple[Pattern, Mask]:
    directory.read_config()  # it is a run's
    ledger, journal = Ledger.open(directory.ledger), Journal.read_only(directory.journal)
    rows = list(ledger.frames().values())
    if ledger.state().get("axis") != integrate.axis.as_dict():
        raise UsageError(f"{where}: this run has other bins than the config's integration section asks for")
    if not rows:
        raise UsageError(f"{where}: this run has no frames")
    _, masked = ledger.read_header(rows[0].series, integrate.shape)
    parts = np.zeros((3, integrate.axis.bins))
    for row in rows:
        pattern = journal.read(row.slot)
        parts += pattern.sums, pattern.norms, pattern.variances
    ledger.close()
    journal.close()
    dead = np.zeros(integrate.shape, dtype=bool) if masked is None else masked
    return Pattern(sums=parts[0], norms=parts[1], variances=parts[2]), dead
