"""Histograms of the strain with the Gaussian of their core, as the metadata have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from scipy.stats import norm

from stream.report.document import Figure
from stream.report.patterns import INKS, WIDTH
from stream.report.run import SOLID, ReportRun

SCALE = 1e4  # strain is drawn in 10⁻⁴


def strain_figure(runs: Sequence[ReportRun]) -> Figure | None:
    """A panel for each class of particles in each run, all over one axis; None where no strain is known."""
    panels = [(run, name, run.told["strain"][name]) for run in runs for name in SOLID if name in _strain(run)]
    if not panels:
        return None
    drawing = Drawing(figsize=(WIDTH, 0.5 + 1.25 * len(panels)), layout="constrained")
    axes = drawing.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for ax, (run, name, told) in zip(axes, panels, strict=True):
        _panel(ax, told, INKS[runs.index(run) % len(INKS)])
        words = f"{run.label}, {name.replace('_', ' ')}\n{strain_text(told)}, {told['n']} voxels"
        ax.text(0.99, 0.95, words, transform=ax.transAxes, ha="right", va="top", fontsize=7)
    axes[-1].set_xlabel("microstrain ε (10⁻⁴)", fontsize=8)
    drawing.supylabel("voxels", fontsize=8)
    means = "; ".join(f"{run.label} {name.replace('_', ' ')}: {strain_text(told)}" for run, name, told in panels)
    return Figure(drawing, f"Histograms of the microstrain. {means}", "Microstrain, and the Gaussian of its core")


def strain_text(told: dict[str, Any]) -> str:
    """Mean ± standard deviation of the Gaussian."""
    return f"({told['mean'] * SCALE:.2f} ± {told['sigma'] * SCALE:.2f})·10⁻⁴"


def _strain(run: ReportRun) -> dict[str, Any]:
    return run.told.get("strain") or {}


def _panel(ax: Axes, told: dict[str, Any], ink: str) -> None:
    edges, counts = np.array(told["histogram"]["edges"]), np.array(told["histogram"]["counts"])
    ax.stairs(counts, edges * SCALE, fill=True, color=ink, alpha=0.45)
    x = np.linspace(edges[0], edges[-1], 400)
    curve = told["inliers"] * np.diff(edges)[0] * norm.pdf(x, told["mean"], told["sigma"])
    ax.plot(x * SCALE, curve, color="black", lw=1)
    ax.axvline(told["mean"] * SCALE, color="black", lw=0.6, ls=":")
    ax.tick_params(labelsize=7)
    ax.spines[["top", "right"]].set_visible(False)
