"""Maps of the runs side by side, in one scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure as Drawing
from matplotlib.patches import Patch, Rectangle

from stream.dashboard.catalogue import MapEntry, catalogue
from stream.dashboard.colours import autoscale, discrete, lookup, paint
from stream.report.document import Figure
from stream.report.run import ReportRun

SIZE, GAP, TITLE, SCALE = 2.6, 0.2, 0.2, 1.3  # inches: a map with the room about it, that room, above it, the scale
SHOWN = ("class_index", "phase", "strain", "size", "cell_volume", "xrf", "density")
"""Maps that are shown, and what the names of those of each phase or element begin with."""
UNITS = {"Angstrom": "Å", "1/um": "1/µm", "Angstrom3": "Å³", "1": "", "degree": "°"}
STEPS = (1, 2, 5)


def map_figures(runs: Sequence[ReportRun]) -> list[Figure]:
    """A figure for each quantity that all runs have; of each run its middle slice."""
    entries = {entry.name: entry for entry in catalogue(runs[0].revision, runs[0].config)}
    shared = set.intersection(*(set(run.maps) for run in runs))
    chosen = [name for name in entries if name in shared and _shown(name, runs[0])]
    chosen.sort(key=lambda name: SHOWN.index(next(kind for kind in SHOWN if name.startswith(kind))))
    return [_figure(runs, entries[name]) for name in chosen if _known(runs, name)]


def unit_text(unit: str) -> str:
    """A unit as it is printed."""
    return UNITS.get(unit, unit.replace("2th_deg/um", "· 2θ° / µm"))


def _shown(name: str, run: ReportRun) -> bool:
    if name.startswith(("strain_error", "xrf_coverage")):
        return False
    strained = run.config.strain.phase or next(iter(run.crystals), "")
    if name.startswith(("strain_", "size_", "cell_volume_")):
        return name.endswith(f"_{strained}")
    return name.startswith(SHOWN)


def _known(runs: Sequence[ReportRun], name: str) -> bool:
    return any(np.isfinite(run.maps[name]).any() and (run.maps[name] != -1).any() for run in runs)


def _figure(runs: Sequence[ReportRun], entry: MapEntry) -> Figure:
    middle = [len(run.maps[entry.name]) // 2 for run in runs]
    planes = [run.maps[entry.name][s] for run, s in zip(runs, middle, strict=True)]
    whole = entry.palette in {"classes", "reasons"}
    limits = entry.limits or autoscale(np.concatenate([plane.ravel() for plane in planes]).astype(float))
    drawing, axes = _frames(len(runs))
    for ax, run, s, plane in zip(axes, runs, middle, planes, strict=True):
        ax.imshow(paint(plane, entry.palette, limits), interpolation="nearest")
        ax.set_title(run.label if len(run.maps[entry.name]) == 1 else f"{run.label}, slice {s}", fontsize=8)
        ax.set_axis_off()
        _scale_bar(ax, plane.shape, abs(run.view.grid.step))
    if whole:
        _legend(drawing, entry, planes)
    else:
        colours = ListedColormap(lookup(entry.palette) / 255.0)
        _colour_bar(drawing, colours, limits, unit_text(entry.unit))
    names = " and ".join(run.label for run in runs)
    caption = f"{entry.title}" + (", all in one scale" if len(runs) > 1 and not whole else "")
    return Figure(drawing, f"Map of {entry.title} of {names}", caption)


def _frames(count: int) -> tuple[Drawing, list[Axes]]:
    """An empty drawing with room for `count` maps and a scale, in the same places in every figure."""
    width, height = SIZE * count + SCALE, SIZE + TITLE
    drawing = Drawing(figsize=(width, height))
    share = (SIZE - GAP) / width, (SIZE - GAP) / height
    return drawing, [drawing.add_axes((n * SIZE / width, GAP / height, *share)) for n in range(count)]


def _scale_bar(ax: Axes, shape: tuple[int, ...], step: float) -> None:
    """A bar of 1, 2 or 5 times a power of ten µm, of about a quarter of the width."""
    quarter = shape[1] * step / 4
    power = 10 ** np.floor(np.log10(quarter))
    length = max(n * power for n in STEPS if n * power <= quarter)
    x, y = 0.02 * shape[1], shape[0] * 1.02
    ax.add_patch(Rectangle((x, y), length / step, shape[0] * 0.015, color="black", clip_on=False))
    ax.text(x + length / step + 0.02 * shape[1], y, f"{length:g} µm", fontsize=7, va="center", clip_on=False)
    ax.set_ylim(shape[0] * 1.06, -0.5)


def _legend(drawing: Drawing, entry: MapEntry, planes: Sequence[npt.NDArray[Any]]) -> None:
    colours, labels = discrete(entry.palette), entry.labels or {}
    seen = sorted({int(n) for plane in planes for n in np.unique(plane) if n >= 0})
    patches = [Patch(color=colours[n % len(colours)] / 255.0, label=labels.get(str(n), str(n))) for n in seen]
    left = 1 - (SCALE + GAP) / drawing.get_figwidth()
    drawing.legend(handles=patches, loc="center left", bbox_to_anchor=(left, 0.5), fontsize=7, frameon=False)


def _colour_bar(drawing: Drawing, colours: ListedColormap, limits: tuple[float, float], label: str) -> None:
    width, height = drawing.get_size_inches()
    ax = drawing.add_axes((1 - SCALE / width, 0.15, 0.12 / width, (SIZE - 3 * GAP) / height))
    bar = drawing.colorbar(ScalarMappable(Normalize(*limits), colours), cax=ax, label=label)
    ax.tick_params(labelsize=7)
    ax.yaxis.label.set_fontsize(7)
    bar.formatter.set_powerlimits((-3, 4))  # type: ignore[attr-defined]
    ax.yaxis.get_offset_text().set_fontsize(7)
