"""Error of live volumes after each tenth of a scan, for each order, plotted: `python tests/scan_orders.py FILE.svg`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import matplotlib as mpl
import numpy as np
from helpers.live_scan import ITERATIONS, ORDERS, error, grid, live_errors, scan

from stream.analyse.tomography.projector import Projector
from stream.analyse.tomography.sirt import reconstruct

mpl.use("svg")
from matplotlib import pyplot as plt

COUNTS = (5.0, 50.0)


def main(path: str) -> None:
    """Draw one panel for each dose."""
    mpl.rcParams["svg.hashsalt"] = "braggstream"
    figure, panels = plt.subplots(1, len(COUNTS), figsize=(9, 4), sharey=True, layout="constrained")
    for panel, counts in zip(panels, COUNTS, strict=True):
        data, source = scan(counts), grid("linear")
        projector = Projector(source.angles, source.positions, 0.0)
        offline = error(reconstruct(projector, data, np.ones(projector.rays), ITERATIONS)[0])
        print(f"{counts:g} counts: offline {offline:.3f}")
        for order in ORDERS:
            with tempfile.TemporaryDirectory() as folder:
                errors = live_errors(Path(folder), order, data, counts)
            print(f"  {order}: {np.round(errors, 3).tolist()}")
            panel.plot(np.arange(1, 11) / 10, errors, marker=".", label=order)
        panel.axhline(offline, color="black", linestyle=":", label=f"all rays, {ITERATIONS} iterations, every channel")
        panel.set(title=f"{counts:g} counts to a unit of intensity", xlabel="share of the scan", ylim=(0, 1))
    panels[0].set_ylabel("error against the truth, relative RMS")
    panels[1].legend(fontsize="small")
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main(sys.argv[1])
