"""Tables of what the runs' particles are: strain, cells, weight fractions, classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from stream.dashboard.catalogue import catalogue
from stream.report.document import Table
from stream.report.maps import unit_text
from stream.report.run import Floats, ReportRun
from stream.report.strain import strain_text

NONE = "–"
MEASURED = (
    "a",
    "b",
    "c",
    "alpha",
    "beta",
    "gamma",
    "cell_volume",
    "size",
    "c_over_a",
    "ratio",
    "splitting",
    "superlattice",
)
"""What the names of the maps of cells, sizes and layering begin with."""
CHANGES = " In brackets the change from the first run."
SCALED = 0.7413  # of the interquartile range: the standard deviation of a Gaussian


def strain_table(runs: Sequence[ReportRun]) -> Table | None:
    """Mean and spread of the strain in each class; None where no strain is known."""
    found = [run.told.get("strain") or {} for run in runs]
    names = list(dict.fromkeys(name for told in found for name in told))
    if not names:
        return None
    rows = [["class", *(run.label for run in runs)]]
    for name in names:
        cells = [f"{strain_text(told[name])}, {told[name]['n']} voxels" if name in told else NONE for told in found]
        means = [told[name]["mean"] if name in told else np.nan for told in found]
        rows.append([name.replace("_", " "), *_with_changes(cells, means)])
    note = "Mean ± standard deviation of the Gaussian of the core. Voxels of other classes hold a part of a particle."
    return Table("Microstrain ε", rows, note + CHANGES * (len(runs) > 1))


def cell_table(runs: Sequence[ReportRun]) -> Table | None:
    """Cells, sizes and ratios in the particles' voxels."""
    entries = {entry.name: entry for run in runs for entry in catalogue(run.revision, run.config)}
    names = [name for name in entries if any(name.startswith(f"{kind}_") for kind in MEASURED)]
    found = {name: [run.at_particles(name) for run in runs] for name in names}
    rows = [["quantity", *(run.label for run in runs)]]
    for name, values in found.items():
        if any(len(known) for known in values):
            unit = unit_text(entries[name].unit)
            cells = [_spread_text(known) for known in values]
            medians = [float(np.median(known)) if len(known) else np.nan for known in values]
            rows.append([entries[name].title + (f" ({unit})" if unit else ""), *_with_changes(cells, medians)])
    if len(rows) == 1:
        return None
    note = (
        "Median ± 0.74 of the interquartile range of the particles' voxels that have a number: the spread between "
        "voxels, noise included; the median itself is known better."
    ) + CHANGES * (len(runs) > 1)
    return Table("Cells and sizes", rows, note)


def fraction_table(runs: Sequence[ReportRun]) -> Table | None:
    """Weight fractions among the crystalline phases, of the whole sample."""
    found = [weight_fractions(run) for run in runs]
    names = list(dict.fromkeys(name for fractions in found for name in fractions))
    if not names:
        return None
    rows = [["phase", *(run.label for run in runs)]]
    rows += [[name, *(f"{100 * part[name]:.2f} %" if name in part else NONE for part in found)] for name in names]
    note = "Of all voxels together: amount (a volume) times the density of the structure in the config."
    return Table("Weight fractions of the crystalline phases", rows, note)


def weight_fractions(run: ReportRun) -> dict[str, float]:
    """w_p = ρ_p Σ amount_p / Σ_q ρ_q Σ amount_q over all voxels; empty where nothing crystalline is seen."""
    structures = {name: structure for name, structure in run.crystals.items() if f"phase_{name}" in run.maps}
    masses = {name: structure.density * np.nansum(run.maps[f"phase_{name}"]) for name, structure in structures.items()}
    whole = sum(masses.values())
    return {name: float(mass / whole) for name, mass in masses.items()} if whole > 0 else {}


def class_table(runs: Sequence[ReportRun]) -> Table | None:
    """How many voxels each class has."""
    names = list(dict.fromkeys(name for run in runs for name in run.classes if "class_index" in run.maps))
    if not names:
        return None
    rows = [["class", *(run.label for run in runs)]]
    for name in names:
        counts = [(int(run.of_class(name).sum()), int(run.of_class(*run.classes).sum())) for run in runs]
        rows.append([name.replace("_", " "), *(f"{n} ({100 * n / max(of, 1):.1f} %)" for n, of in counts)])
    return Table("Voxels of each class", rows)


def particle_table(runs: Sequence[ReportRun]) -> Table | None:
    """Number, size, contact and strain of the particles, and what the strain goes with."""
    columns: list[tuple[str, Callable[[ReportRun], str]]] = [
        ("particles", lambda run: str(len(_column(run, "index")))),
        ("diameter, median (µm)", lambda run: _median(_column(run, "diameter_um"), "{:.2f}")),
        ("share of the surface in contact, median", lambda run: _median(_column(run, "contact"), "{:.2f}")),
        ("ε at the surface, median (10⁻⁴)", lambda run: _median(_column(run, "strain_surface") * 1e4, "{:.2f}")),
        ("ε inside, median (10⁻⁴)", lambda run: _median(_column(run, "strain_interior") * 1e4, "{:.2f}")),
        ("rank correlation of ε with the diameter", lambda run: _rank(run, "diameter")),
        ("rank correlation of ε with the contact", lambda run: _rank(run, "contact")),
    ]
    if not any(len(_column(run, "index")) for run in runs):
        return None
    rows = [["", *(run.label for run in runs)]]
    return Table("Particles", rows + [[name, *(tell(run) for run in runs)] for name, tell in columns])


def _column(run: ReportRun, name: str) -> Floats:
    return np.asarray(run.revision.arrays.get(f"particles/{name}", []), dtype=np.float64)


def _median(values: Floats, form: str) -> str:
    known = values[np.isfinite(values)]
    return form.format(np.median(known)) if len(known) else NONE


def _rank(run: ReportRun, name: str) -> str:
    told = (run.told.get("particle_correlation") or {}).get(name)
    return (
        NONE if not told or told["rho"] is None else f"{told['rho']:.2f} (p = {told['p']:.2g}, {told['n']} particles)"
    )


def _spread_text(values: Floats) -> str:
    """Median ± spread with the digits that the spread leaves."""
    if not len(values):
        return NONE
    low, middle, high = np.percentile(values, [25, 50, 75])
    spread = SCALED * (high - low)
    digits = int(np.clip(1 - np.floor(np.log10(spread)), 0, 6)) if spread > 0 else 4
    return f"{middle:.{digits}f} ± {spread:.{digits}f}"


def _with_changes(cells: Sequence[str], values: Sequence[float]) -> list[str]:
    """Each cell but the first with the change of its value from the first's."""
    first = values[0]
    changes = [round(100 * (value / first - 1), 2) + 0.0 if first else np.nan for value in values]
    told = [
        f"{cell} ({change:+.2f} %)" if np.isfinite(change) else cell
        for cell, change in zip(cells, changes, strict=True)
    ]
    return [cells[0], *told[1:]]
