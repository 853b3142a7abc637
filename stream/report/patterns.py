"""Averaged patterns of the runs, one over the other, above the reflections of their phases."""

from __future__ import annotations

from collections.abc import Sequence

import gemmi
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from stream.analyse.crystal.structure import Structure
from stream.report.document import Figure
from stream.report.run import ReportRun

Floats = npt.NDArray[np.float64]
INKS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito's
NAMES = {"2th_deg": "2θ (°)", "q_A^-1": "q (1/Å)", "q_nm^-1": "q (1/nm)"}
WEAK = 0.002  # of a phase's strongest reflection: weaker ones have no tick
NAMED = 0.08  # of a phase's strongest reflection: stronger ones have their indices, where there is room
APART = 0.03  # of the axis, between two indices
WIDTH = 7.0  # inches


def pattern_figures(runs: Sequence[ReportRun]) -> list[Figure]:
    """The mean pattern of each run overlaid, and of each run those of its classes."""
    as_q = len({(run.axis.unit, run.axis.wavelength) for run in runs}) > 1
    name = NAMES["q_A^-1" if as_q else runs[0].axis.unit]
    found = [_overlay(runs, as_q, name)]
    found += [figure for run in runs if (figure := _of_classes(run, as_q, name)) is not None]
    return found


def _overlay(runs: Sequence[ReportRun], as_q: bool, name: str) -> Figure:
    phases = {phase: run for run in reversed(runs) for phase in run.crystals}
    drawing = Drawing(figsize=(WIDTH, 3.4 + 0.35 * len(phases)), layout="constrained")
    ratios = [3.0] + [0.35] * len(phases)
    axes = drawing.subplots(1 + len(phases), 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
    for run, ink in zip(runs, INKS * len(runs), strict=False):
        _draw(axes[0], run.abscissa(as_q), run.revision.arrays["sum_pattern"], ink, run.label)
    _square_root(axes[0], (0, 0.01, 0.1, 0.3, 0.6, 1))
    axes[0].legend(fontsize=8, frameon=False)
    for ax, phase in zip(axes[1:], sorted(phases), strict=True):
        _ticks(ax, phases[phase], phase, as_q)
    axes[-1].set_xlabel(name, fontsize=8)
    labels = " and ".join(run.label for run in runs)
    caption = (
        "Averaged patterns, each over its maximum; the ordinate is the square root of the intensity. "
        "Ticks: reflections of the structures in the config, before any refinement of their cells"
    )
    return Figure(drawing, f"Averaged patterns of {labels} over {name}, with the reflections of the phases", caption)


def _of_classes(run: ReportRun, as_q: bool, name: str) -> Figure | None:
    patterns = run.class_patterns()
    patterns.pop("empty", None)
    if not patterns:
        return None
    drawing = Drawing(figsize=(WIDTH, 0.5 + 0.75 * len(patterns)), layout="constrained")
    axes = drawing.subplots(len(patterns), 1, sharex=True, squeeze=False)[:, 0]
    for ax, (label, pattern), ink in zip(axes, patterns.items(), INKS, strict=False):
        _draw(ax, run.abscissa(as_q), pattern, ink, label.replace("_", " "))
        _square_root(ax, (0.01, 0.1, 0.5, 1))
        ax.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    axes[-1].set_xlabel(name, fontsize=8)
    caption = f"{run.label}: mean pattern of the voxels of each class, each over its maximum, square root"
    return Figure(drawing, f"Mean patterns of the classes of {run.label} over {name}", caption)


def _draw(ax: Axes, x: Floats, pattern: Floats, ink: str, label: str) -> None:
    highest = np.nanmax(pattern, initial=0.0) or 1.0
    ax.set_xlim(x[0], x[-1])
    ax.plot(x, np.sqrt(np.clip(pattern / highest, 0, None)), color=ink, lw=0.9, label=label)


def _square_root(ax: Axes, shares: Sequence[float]) -> None:
    ax.set_yticks(np.sqrt(shares), [f"{share:g}" for share in shares])
    ax.tick_params(labelsize=7)
    ax.spines[["top", "right"]].set_visible(False)


def indices(structure: Structure, hkl: npt.NDArray[np.int64]) -> str:
    """The member of a set of equivalent reflections that is usually named: none negative, the highest first."""
    operations = gemmi.SpaceGroup(structure.space_group).operations()
    turned = [operation.apply_to_hkl([int(i) for i in hkl]) for operation in operations]
    members = [*turned, *([-i for i in member] for member in turned)]
    named = max(members, key=lambda member: (min(member) >= 0, member))
    return "".join(str(i) if i >= 0 else f"$\\bar{{{-i}}}$" for i in named)


def _ticks(ax: Axes, run: ReportRun, phase: str, as_q: bool) -> None:
    """One row of ticks, the strong reflections with their indices."""
    axis = run.axis
    lines = run.crystals[phase].reflections(*axis.spacings)
    strength = lines.intensity(axis.wavelength)
    seen = strength > WEAK * strength.max(initial=0.0)
    x = np.interp(lines.two_theta(axis.wavelength), axis.two_theta, run.abscissa(as_q))
    ax.vlines(x[seen], 0, 1, color="black", lw=0.7)
    taken: list[float] = []
    span = np.ptp(run.abscissa(as_q))
    for n in np.argsort(-strength):
        if strength[n] < NAMED * strength.max() or any(abs(x[n] - at) < APART * span for at in taken):
            continue
        taken.append(float(x[n]))
        name = indices(run.crystals[phase], lines.hkl[n])
        ax.text(x[n], 1.1, name, fontsize=5.5, ha="center", va="bottom", parse_math=True)
    ax.set(ylim=(0, 2.2), yticks=[])
    ax.set_ylabel(phase, fontsize=7, rotation=0, ha="right", va="center")
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(labelsize=7)
