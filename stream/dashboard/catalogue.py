"""What each map is: its group, its title, its colours; one table for the page and for pictures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from stream.core.config import Config
from stream.core.revision import Revision

Palette = Literal["viridis", "cividis", "magma", "classes"]
PROBABILITY = "class_probability"


@dataclass(frozen=True, slots=True, kw_only=True)
class MapEntry:
    """One map as the page lists it.

    plane is the class label where the map is one plane of class_probability; error names the map that holds the
    standard error; limits are the ends of the scale where the quantity has natural ones.
    """

    name: str
    group: str
    title: str
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
    """How a quantity is shown; title takes the phase."""

    group: str
    title: str
    palette: Palette = "viridis"
    limits: tuple[float, float] | None = None


UNITY = (0.0, 1.0)
OF_A_PHASE = {
    "phase": Kind("Phases", "{0}"),
    "fraction": Kind("Weight fractions", "{0}, weight fraction", "viridis", UNITY),
    "strain": Kind("Strain and size", "{0}, microstrain ε", "magma"),
    "strain_error": Kind("Strain and size", "{0}, error of ε", "magma"),
    "size": Kind("Strain and size", "{0}, domain size", "magma"),
    "a": Kind("Cell", "{0}, a", "cividis"),
    "b": Kind("Cell", "{0}, b", "cividis"),
    "c": Kind("Cell", "{0}, c", "cividis"),
    "alpha": Kind("Cell", "{0}, α", "cividis"),
    "beta": Kind("Cell", "{0}, β", "cividis"),
    "gamma": Kind("Cell", "{0}, γ", "cividis"),
    "cell_volume": Kind("Cell", "{0}, cell volume", "cividis"),
}
ALONE = {
    "global": Kind("Intensity", "Whole pattern"),
    "density": Kind("Intensity", "Density"),
    "class_index": Kind("Classes", "Class", "classes"),
    "cluster_index": Kind("Classes", "Cluster, unsupervised", "classes"),
    "coverage": Kind("Quality", "Coverage", "cividis", UNITY),
    "fit_quality": Kind("Quality", "Fit, reduced χ²", "cividis"),
    "parallax_strain": Kind("Quality", "Parallax bound on ε", "cividis"),
    "parallax_cell": Kind("Quality", "Parallax bound on the cell", "cividis"),
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
            title = kind.title.format(phase.name)
            found[f"{quantity}_{phase.name}"] = Kind(kind.group, title, kind.palette, kind.limits)
    for region in config.regions:
        found[region.name] = Kind("Intensity", region.name)
    return found


def _kind(name: str, known: dict[str, Kind], revision: Revision) -> Kind:
    if name in known:
        return known[name]
    if name.startswith("xrf_"):
        return Kind("Elements", name.removeprefix("xrf_"), "magma")
    if f"sinograms/{name}" in revision.arrays:  # a region added while the scan runs
        return Kind("Intensity", name)
    return Kind("Other", name)


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
                unit=units.get(name) or "",
                palette=kind.palette,
                limits=kind.limits,
                error=error if error in maps else None,
            )
        )
    if f"maps/{PROBABILITY}" in revision.arrays:
        entries += [
            MapEntry(
                name=PROBABILITY, group="Class probability", title=label.replace("_", " "), limits=UNITY, plane=label
            )
            for label in revision.metadata.get("classes", [])
        ]
    return sorted(entries, key=lambda entry: GROUPS.index(entry.group))
