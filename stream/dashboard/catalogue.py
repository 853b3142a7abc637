"""What each map is: its group, its title, its colours; one table for the page and for pictures."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from stream.core.config import Config
from stream.core.revision import Revision

Palette = Literal["viridis", "cividis", "plasma", "classes", "reasons"]
PROBABILITY = "class_probability"


@dataclass(frozen=True, slots=True, kw_only=True)
class MapEntry:
    """One map as the page lists it.

    title stands alone, short stands under its group. plane is the class label where the map is one plane of
    class_probability; error names the map that holds the standard error, mask the one that says why there is no
    number, unmasked what no number means where that mask is 0; limits are the ends of the scale where the quantity
    has natural ones; labels name the values of a map of whole numbers.
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
    mask: str | None = None
    unmasked: str = ""
    labels: dict[str, str] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Kind:
    """How a quantity is shown; title and short take the phase as {0}.

    masked says that the phase's mask tells why a number is missing; unmasked, what it is where the mask does not.
    """

    group: str
    title: str
    short: str
    palette: Palette = "viridis"
    limits: tuple[float, float] | None = None
    masked: bool = False
    unmasked: str = ""


def _masked(group: str, title: str, short: str, palette: Palette, unmasked: str = "") -> Kind:
    return Kind(group, title, short, palette, masked=True, unmasked=unmasked)


UNITY = (0.0, 1.0)
OF_A_PHASE = {
    "phase": Kind("Phases", "Amount of {0}", "{0}"),
    "fraction": Kind("Weight fractions", "Weight fraction of {0}", "{0}", "viridis", UNITY),
    "strain": _masked("Strain and size", "Microstrain ε of {0}", "{0} ε", "plasma"),
    "strain_error": _masked("Strain and size", "Error of ε of {0}", "{0} ε error", "plasma"),
    "size": _masked("Strain and size", "Domain size of {0}", "{0} size", "plasma", "beyond what the widths can tell"),
    "a": _masked("Cell", "Cell of {0}, a", "{0} a", "cividis"),
    "b": _masked("Cell", "Cell of {0}, b", "{0} b", "cividis"),
    "c": _masked("Cell", "Cell of {0}, c", "{0} c", "cividis"),
    "alpha": _masked("Cell", "Cell of {0}, α", "{0} α", "cividis"),
    "beta": _masked("Cell", "Cell of {0}, β", "{0} β", "cividis"),
    "gamma": _masked("Cell", "Cell of {0}, γ", "{0} γ", "cividis"),
    "cell_volume": _masked("Cell", "Cell volume of {0}", "{0} volume", "cividis"),
    "c_over_a": _masked("Layering", "c/a of {0}", "{0} c/a", "cividis"),
    "ratio_003_104": _masked(
        "Layering", "I003/I104 of {0}", "{0} I003/I104", "cividis", "intensities tied to the structure"
    ),
    "superlattice_020": _masked(
        "Layering", "Superlattice of {0}, I020/I001", "{0} I020/I001", "cividis", "intensities tied to the structure"
    ),
    "splitting_018_110": _masked("Layering", "018/110 splitting of {0}", "{0} 018/110", "cividis"),
    "mask": Kind("Quality", "Why {0} has no strain", "{0} mask", "reasons"),
}
ALONE = {
    "global": Kind("Intensity", "Whole pattern", "whole pattern"),
    "density": Kind("Intensity", "Density", "density"),
    "class_index": Kind("Classes", "Class", "class", "classes"),
    "cluster_index": Kind("Classes", "Cluster, unsupervised", "cluster", "classes"),
    "particle_index": Kind("Classes", "Particles", "particles", "classes"),
    "coverage": Kind("Quality", "Coverage", "coverage", "cividis", UNITY),
    "fit_quality": Kind("Quality", "Reduced χ² of the fit", "fit χ²", "cividis"),
    "parallax_strain": Kind("Quality", "Parallax bound on ε", "parallax ε", "cividis"),
    "parallax_cell": Kind("Quality", "Parallax bound on the cell", "parallax cell", "cividis"),
}
GROUPS = (
    *("Phases", "Weight fractions", "Strain and size", "Cell", "Layering", "Classes", "Class probability"),
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
    if name == "class_index" and (unseen := (revision.metadata.get("model") or {}).get("unseen")):
        return replace(known[name], title=f"Class, {' and '.join(unseen)} hardly measured")
    if name in known:
        return known[name]
    if name == "xrf_coverage":
        return Kind("Quality", "Coverage by the fluorescence stream", "XRF coverage", "cividis", UNITY)
    if name.startswith("xrf_"):
        element, told = name.removeprefix("xrf_"), revision.metadata.get("fluorescence") or {}
        marked = ", biased by self-absorption" if name in (told.get("biased") or []) else ""
        return Kind("Elements", f"Fluorescence of {element}{marked}", element, "plasma")
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
        error, mask = f"{quantity}_error_{phase}", _mask_of(name, kind, config)
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
                mask=mask if mask in maps else None,
                unmasked=kind.unmasked,
                labels=_labels(name, revision),
            )
        )
    if f"maps/{PROBABILITY}" in revision.arrays:
        entries += [_probability(label) for label in revision.metadata.get("classes", [])]
    return sorted(entries, key=lambda entry: GROUPS.index(entry.group))


def why_masked(entry: MapEntry, revision: Revision, place: tuple[int, int, int]) -> str | None:
    """Why a map has no number at voxel (slice, y, x); None where that is not known."""
    if entry.mask is None:
        return None
    code = int(revision.maps[entry.mask][place])
    reasons = revision.metadata.get("mask_reasons") or {}
    found: str | None = entry.unmasked or None if code == 0 else reasons.get(str(code))
    return found


def _mask_of(name: str, kind: Kind, config: Config) -> str:
    """The map that says why this one has no number, empty for none."""
    phases = [phase.name for phase in config.phases if name.endswith(f"_{phase.name}")]
    return f"mask_{max(phases, key=len)}" if kind.masked and phases else ""


def _labels(name: str, revision: Revision) -> dict[str, str] | None:
    """What the values of a map of whole numbers mean; those without a label are numbered."""
    if name == "class_index":
        classes = [str(label).replace("_", " ") for label in revision.metadata.get("classes", [])]
        return {"-1": "unknown or outside", **{str(n): label for n, label in enumerate(classes)}}
    if name.startswith("mask_"):
        return dict(revision.metadata.get("mask_reasons") or {})
    return {"cluster_index": {"-1": "outside"}, "particle_index": {"-1": "no particle"}}.get(name)


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
