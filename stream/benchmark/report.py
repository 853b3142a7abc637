"""The table, and the same as JSON: figures with machine, date and versions."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import orjson
from rich.table import Table

from stream.benchmark.rounds import Figure, Row

PACKAGES = (
    *("braggstream", "numpy", "numba", "scipy", "pyFAI", "dectris-compression", "hdf5plugin", "h5py", "pyzmq"),
    "astra-toolbox",
)
NOTHING = "–"
LEGEND = (
    "Medians of interleaved rounds; ± is the median absolute deviation of the ratio (of ours where there is no peer); "
    "deviation: of our result from the peer's, relative.\n"
    "reduce: decode and integrate. pyFAI has the faster of two ways to use the threads: OpenMP within a frame, or "
    "a frame in each."
)


def conditions(threads: int, load: tuple[float, float, float]) -> dict[str, Any]:
    """Where and when: machine, its load (1, 5, 15 minutes) before and after, versions, threads."""
    return {
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "threads": threads,
        "load_before": load,
        "load_after": os.getloadavg(),
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := installed(name))},
    }


def as_json(rows: Sequence[Row], where: dict[str, Any]) -> str:
    """One object: the conditions, and `figures`, one for each row; what is not there, or not finite, is null."""
    return orjson.dumps({**where, "figures": [as_dict(row) for row in rows]}).decode()


def as_dict(row: Row) -> dict[str, Any]:
    """A row with its figures: median, spread (median absolute deviation) and the value of each round."""
    told: dict[str, Any] = {"name": row.name, "unit": row.unit, "peer": row.peer}
    for key, figure in (("ours", row.ours), ("theirs", row.theirs), ("ratio", row.ratio)):
        told[key] = figure and {"median": figure.median, "spread": figure.spread, "values": figure.values}
    return {**told, "deviation": row.deviation, "bound": row.bound, "right": row.right, "note": row.note}


def as_table(rows: Sequence[Row], where: dict[str, Any]) -> Table:
    """A line for each row, under the conditions."""
    before, after = where["load_before"][0], where["load_after"][0]
    title = (
        f"{where['date']}, {where['cpu']}, {where['cores']} cores, {where['threads']} threads, "
        f"load {before:.1f} before and {after:.1f} after, Python {where['python']}"
    )
    versions = ", ".join(f"{name} {found}" for name, found in where["versions"].items())
    table = Table(title=title, title_justify="left", caption=f"{LEGEND}\n{versions}", caption_justify="left")
    for name in ("what", "unit", "ours", "peer", "peer's", "ratio", "±", "deviation", "note"):
        left = name in ("what", "unit", "peer", "note")
        table.add_column(name, justify="left" if left else "right", no_wrap=name != "note")
    for row in rows:
        table.add_row(
            row.name, row.unit, median(row.ours), row.peer or NOTHING, median(row.theirs), median(row.ratio),
            spread(row.ratio or row.ours), deviation(row), row.note,
        )  # fmt: skip
    return table


def median(figure: Figure | None) -> str:
    """Three digits of it."""
    return NOTHING if figure is None else f"{figure.median:.3g}"


def spread(figure: Figure | None) -> str:
    """In per cent of the median; nothing where there was one value."""
    if figure is None or len(figure.values) < 2:
        return NOTHING
    return f"{100 * figure.spread / figure.median:.2g} %"


def deviation(row: Row) -> str:
    """With a word where it is too large."""
    return NOTHING if row.deviation is None else f"{row.deviation:.1g}" + ("" if row.right else " WRONG")


def cpu_model() -> str:
    """As the kernel calls it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def installed(package: str) -> str | None:
    """Its version, None where it is not there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
