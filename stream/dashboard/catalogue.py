"""What each map is: its group, its title, its colours; one table for the page and for pictures."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from stream.core.config import Config
from stream.core.revision import Revision

Palette = Literal["viridis", "cividis", "plasma", "classes"]
PROBABILITY = "class_probability"


@dataclass(frozen=True, slots=True, kw_only=True)
class MapEntry:
    """One map as the page lists it.

    title stands alone, short stands under its group. plane is the class label where the map is one plane of
    class_probability; error names the map that holds the standard error; limits are the ends of the scale where the
    quantity has natural ones.
    """

    name: str
    group: str
    title: str
    short: str
    unit: str = ""
    palette: Palette = "viridis"
    limits: tuple[float, float] | None = None
    plane: str | None = None
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Kind:
    """How a quantity is shown; title and short take the phase as {0}."""

    group: str
    title: str
    short: str
    palette: Palette = "viridis"
    limits: tuple[float, float] | None = None


UNITY = (0.0, 1.0)
OF_A_PHASE = {
    "phase": Kind("Phases", "Amount of {0}", "{0}"),
    "fraction": Kind("Weight fractions", "Weight fraction of {0}", "{0}", "viridis", UNITY),
    "strain": Kind("Strain and size", "Microstrain ε of {0}", "{0} ε", "plasma"),
    "strain_error": Kind("Strain and size", "Error of ε of {0}", "{0} ε error", "plasma"),
    "size": Kind("Strain and size", "Domain size of {0}", "{0} size", "plasma"),
    "a": Kind("Cell", "Cell of {0}, a", "{0} a", "cividis"),
    "b": Kind("Cell", "Cell of {0}, b", "{0} b", "cividis"),
    "c": Kind("Cell", "Cell of {0}, c", "{0} c", "cividis"),
    "alpha": Kind("Cell", "Cell of {0}, α", "{0} α", "cividis"),
    "beta": Kind("Cell", "Cell of {0}, β", "{0} β", "cividis"),
    "gamma": Kind("Cell", "Cell of {0}, γ", "{0} γ", "cividis"),
    "cell_volume": Kind("Cell", "Cell volume of {0}", "{0} volume", "cividis"),
}
ALONE = {
    "global": Kind("Intensity", "Whole pattern", "whole pattern"),
    "density": Kind("Intensity", "Density", "density"),
    "class_index": Kind("Classes", "Class", "class", "classes"),
    "cluster_index": Kind("Classes", "Cluster, unsupervised", "cluster", "classes"),
    "coverage": Kind("Quality", "Coverage", "coverage", "cividis", UNITY),
    "fit_quality": Kind("Quality", "Reduced χ² of the fit", "fit χ²", "cividis"),
    "parallax_strain": Kind("Quality", "Parallax bound on ε", "parallax ε", "cividis"),
    "parallax_cell": Kind("Quality", "Parallax bound on the cell", "parallax cell", "cividis"),
}
GROUPS = (
    *("Phases", "Weight fractions", "Strain and size", "Cell", "Classes", "Class probability"),
    *("Elements", "Intensity", "Quality", "Other"),
)


def kinds(config: Config) -> dict[str, Kind]:
    """Every name that the config lets a map have."""
    found = dict(ALONE)
    for phase in config.phases:
        for quantity, kind in OF_A_PHASE.items():
            title, short = kind.title.format(phase.name), kind.short.format(phase.name)
            found[f"{quantity}_{phase.name}"] = replace(kind, title=title, short=short)
    for region in config.regions:
        found[region.name] = _region(region.name)
    return found


def _kind(name: str, known: dict[str, Kind], revision: Revision) -> Kind:
    if name in known:
        return known[name]
    if name.startswith("xrf_"):
        element = name.removeprefix("xrf_")
        return Kind("Elements", f"Fluorescence of {element}", element, "plasma")
    if f"sinograms/{name}" in revision.arrays:  # a region added while the scan runs
        return _region(name)
    return Kind("Other", name, name)


def _region(name: str) -> Kind:
    return Kind("Intensity", f"Region {name}", name)


def catalogue(revision: Revision | None, config: Config) -> list[MapEntry]:
    """Entries of every map in `revision`, grouped in the order of the page."""
    if revision is None:
        return []
    known, maps = kinds(config), revision.maps
    units = revision.metadata.get("units") or {}
    order = {name: i for i, name in enumerate(known)}
    entries = []
    for name in sorted(maps, key=lambda name: (order.get(name, len(order)), name)):
        kind = _kind(name, known, revision)
        quantity, _, phase = name.partition("_")
        error = f"{quantity}_error_{phase}"
        entries.append(
            MapEntry(
                name=name,
                group=kind.group,
                title=kind.title,
                short=kind.short,
                unit=units.get(name) or "",
                palette=kind.palette,
                limits=kind.limits,
                error=error if error in maps else None,
            )
        )
    if f"maps/{PROBABILITY}" in revision.arrays:
        entries += [_probability(label) for label in revision.metadata.get("classes", [])]
    return sorted(entries, key=lambda entry: GROUPS.index(entry.group))


def _probability(label: str) -> MapEntry:
    name = label.replace("_", " ")
    return MapEntry(
        name=PROBABILITY,
        group="Class probability",
        title=f"Probability of {name}",
        short=name,
        limits=UNITY,
        plane=label,
    )
