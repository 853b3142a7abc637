"""The report of one run, or of several beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from stream import __version__
from stream.report.document import Document, Part, Section
from stream.report.elements import elements_figure
from stream.report.maps import map_figures
from stream.report.origin import alarms, ledger_table, listings, moment, origin_table, scan_table
from stream.report.patterns import pattern_figures
from stream.report.run import ReportRun
from stream.report.strain import strain_figure
from stream.report.tables import cell_table, class_table, fraction_table, particle_table, strain_table


def open_runs(paths: Sequence[Path]) -> list[ReportRun]:
    """The runs in these directories, in this order.

    Raises
    ------
    UsageError
        where one of them holds no run, or no map yet.
    """
    runs: list[ReportRun] = []
    for path in paths:
        runs.append(ReportRun.open(path, {run.label for run in runs}))
    return runs


def compose(runs: Sequence[ReportRun]) -> Document:
    """Maps, strain, patterns, tables, ledger and provenance of these runs, the first one the reference."""
    sections = [
        _section("Scans", *alarms(runs), scan_table(runs)),
        _section("Maps", *map_figures(runs)),
        _section("Microstrain", strain_figure(runs), strain_table(runs)),
        _section("Elements", elements_figure(runs)),
        _section("Patterns", *pattern_figures(runs)),
        _section(
            "Phases and particles", cell_table(runs), fraction_table(runs), class_table(runs), particle_table(runs)
        ),
        _section("Frames", ledger_table(runs), ledger_table(runs, "fluorescence_frames", "Fluorescence spectra")),
        _section("Provenance", origin_table(runs), *listings(runs)),
    ]
    made = moment(datetime.now(UTC).timestamp())
    title = " compared with ".join(run.label for run in reversed(runs))
    return Document(title, f"braggstream {__version__}, {made}", [section for section in sections if section.parts])


def _section(title: str, *parts: Part | None) -> Section:
    return Section(title, [part for part in parts if part is not None])
