"""Where the numbers come from: the scan, its frames, versions, model and config."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import yaml

from stream.publish.metadata import WARNINGS, public_config
from stream.report.document import Listing, Table, Text
from stream.report.run import ReportRun
from stream.report.tables import NONE

COUNTS = ("expected", "received", "integrated", "missing", "duplicate", "in_flight")
MOST = 12  # ranges of missing frames that are listed, and notes


def scan_table(runs: Sequence[ReportRun]) -> Table:
    """What was measured, and how far it is."""
    lines: list[tuple[str, Callable[[ReportRun], Any]]] = [
        ("sample", lambda run: run.config.scan.sample),
        ("status", lambda run: run.told["status"]),
        ("revision", lambda run: run.told["revision"]),
        ("frames integrated", lambda run: "{integrated} of {expected}".format(**run.told["frames"])),
        ("started", lambda run: moment(run.told["started"])),
        ("last update", lambda run: moment(run.told["updated"])),
        ("mode", lambda run: run.config.scan.mode),
        ("slices × angles × positions", lambda run: " × ".join(str(n) for n in run.view.grid.shape)),
        ("voxel (µm)", lambda run: f"{abs(run.view.grid.step):g}"),
        ("wavelength (Å)", lambda run: f"{run.axis.wavelength:.5f}"),
        ("rotation axis", lambda run: _axis(run)),
        ("iterations", lambda run: run.told["iterations"]),
        ("residual", lambda run: None if run.told["residual"] is None else f"{run.told['residual']:.3g}"),
        ("Bluesky uid", lambda run: run.told["bluesky_uid"]),
    ]
    rows = [["", *(run.label for run in runs)]]
    return Table("The scans", rows + [[name, *(_cell(tell(run)) for run in runs)] for name, tell in lines])


def alarms(runs: Sequence[ReportRun]) -> list[Text]:
    """What a person must know before the numbers are believed."""
    found = []
    for run in runs:
        if not run.revision.metadata.get("final"):
            found.append(
                Text(f"{run.label}: the maps are live ones of a scan that is {run.told['status']}.", alarm=True)
            )
        elif run.told["status"] != "complete":
            text = f"{run.label} is {run.told['status']}: {run.told['frames']['missing']} frames are missing."
            found.append(Text(text, alarm=True))
        found += [Text(f"{run.label}: {run.told[key]}", alarm=True) for key in WARNINGS if run.told.get(key)]
    return found


def ledger_table(runs: Sequence[ReportRun], key: str = "frames", caption: str = "Frames") -> Table | None:
    """What became of every frame (or spectrum); None where no run has that stream."""
    told = [run.told.get(key) or {} for run in runs]
    if not any(told):
        return None
    rows = [["", *(run.label for run in runs)]]
    rows += [[name.replace("_", " "), *(_cell(frames.get(name)) for frames in told)] for name in COUNTS]
    for kind in ("rejected", "dropped"):
        for reason in sorted({reason for frames in told for reason in frames.get(kind, {})}):
            rows.append([f"{kind}: {reason}", *(_cell(frames.get(kind, {}).get(reason)) for frames in told)])
    rows.append(["without beam", *(str(len(frames.get("no_beam", []))) for frames in told)])
    rows.append(["missing frames", *(_ranges(frames.get("missing_ranges", [])) for frames in told)])
    note = "received = integrated + duplicate + rejected + dropped + in flight; expected = integrated + missing"
    return Table(caption, rows, note)


def origin_table(runs: Sequence[ReportRun]) -> Table:
    """Versions, model, and the sum by which the result is known again."""
    rows = [["", *(run.label for run in runs)]]
    for name in dict.fromkeys(name for run in runs for name in run.told["software"]):
        rows.append([name, *(_cell(run.told["software"].get(name)) for run in runs)])
    rows.append(["classifier", *(_model(run) for run in runs)])
    rows.append(["instrument", *(_cell(run.config.instrument and run.config.instrument.name) for run in runs)])
    rows.append(["SHA-256 of results.nxs", *(_sum(run) for run in runs)])
    return Table("Software and files", rows)


def listings(runs: Sequence[ReportRun]) -> list[Listing]:
    """Notes and config of each run."""
    found = []
    for run in runs:
        notes = run.told.get("notes") or []
        if notes:
            lines = [f"{moment(at)}  {text}" for at, text in reversed(notes[:MOST])]
            found.append(Listing(f"Newest notes of {run.label}", "\n".join(lines)))
        config = yaml.safe_dump(public_config(run.config), sort_keys=False, allow_unicode=True, width=110)
        found.append(Listing(f"Config of {run.label}", config))
    return found


def moment(seconds: float | None) -> str:
    """Unix seconds as date and time in UTC."""
    return NONE if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _cell(value: Any) -> str:
    return NONE if value in (None, "") else str(value)


def _axis(run: ReportRun) -> str | None:
    centre = run.told.get("center_um")
    return None if centre is None else f"{round(centre, 2) + 0.0:.2f} µm (from {run.told['center_from']})"


def _ranges(ranges: Sequence[Sequence[int]]) -> str:
    listed = ", ".join(f"{a}–{b}" if a < b else str(a) for a, b in ranges[:MOST])
    return (listed + (f" and {len(ranges) - MOST} more ranges" if len(ranges) > MOST else "")) or NONE


def _model(run: ReportRun) -> str:
    model = run.told.get("model")
    return NONE if not model else f"{model['name']}, SHA-256 {model['sha256']}"


def _sum(run: ReportRun) -> str:
    if not run.view.directory.results.is_file():
        return NONE
    with run.view.directory.results.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
