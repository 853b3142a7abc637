"""What the elements of the fluorescence stream go together with, as the metadata have it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from stream.report.document import Figure
from stream.report.patterns import WIDTH
from stream.report.run import ReportRun

PALE = 0.6  # |r| below which black words are read on the colour


def elements_figure(runs: Sequence[ReportRun]) -> Figure | None:
    """A panel for each run: r of each element with each phase, and with the strain in each class; None without any."""
    shown = [(run, told) for run in runs if (told := run.told.get("fluorescence") or {}).get("correlations")]
    panels = [(run, told, cells) for run, told in shown if (cells := _cells(told["correlations"]))]
    if not panels:
        return None
    heights = [len(told["correlations"]) for _, told, _ in panels]
    drawing = Drawing(figsize=(WIDTH, sum(0.9 + 0.3 * rows for rows in heights)), layout="constrained")
    axes = drawing.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for ax, (run, told, cells) in zip(axes, panels, strict=True):
        _panel(ax, run.label, list(told["correlations"]), cells)
    states = "; ".join(f"{run.label}: {told['self_absorption']}" for run, told, _ in panels)
    words = "; ".join(f"{run.label}: {_words(cells)}" for run, _, cells in panels)
    caption = (
        f"Pearson's r of an element with the amount of a phase, and with ε in a class. Self-absorption of {states}"
    )
    return Figure(drawing, f"Correlations of elements. {words}", caption)


def _cells(correlations: dict[str, Any]) -> dict[str, dict[str, float]]:
    """{column: {element: r}}, phases before classes."""
    found: dict[str, dict[str, float]] = {}
    for kind, title in (("phases", "{}"), ("strain", "ε in {}")):
        for element, entry in correlations.items():
            for name, told in entry[kind].items():
                found.setdefault(title.format(name.replace("_", " ")), {})[element] = told["r"]
    return found


def _words(cells: dict[str, dict[str, float]]) -> str:
    told = [(element, name, r) for name, column in cells.items() for element, r in column.items()]
    return ", ".join(f"{element} with {name} {r:.2f}" for element, name, r in told)


def _panel(ax: Axes, label: str, elements: list[str], cells: dict[str, dict[str, float]]) -> None:
    values = np.array([[column.get(element, np.nan) for column in cells.values()] for element in elements])
    ax.imshow(values, cmap="RdBu", vmin=-1, vmax=1, aspect="auto")
    for (row, column), r in np.ndenumerate(values):
        ink = "black" if not abs(r) > PALE else "white"
        ax.text(column, row, f"{r:.2f}" if np.isfinite(r) else "–", ha="center", va="center", fontsize=7, color=ink)
    ax.set_xticks(range(len(cells)), list(cells), fontsize=7, rotation=20, ha="right")
    ax.set_yticks(range(len(elements)), elements, fontsize=7)
    ax.set_title(label, fontsize=8, loc="left")
