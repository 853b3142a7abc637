"""The card of a model: what it was made from, how right it is, and where it must not be trusted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from stream.analyse.classify.learn.foreign import UNFAMILIAR
from stream.analyse.classify.learn.score import COARSE, REJECTED, SCANS, Judged
from stream.analyse.classify.manifest import Entry
from stream.simulate.training.recipe import FOLDS, Fitted, Recipe

KINDS = {
    "cnn": "Convolutional network, ReLU: each voxel's amounts and principal components, two layers of 3 × 3 neighbours",
    "mlp": "Two perceptrons, 128 and 64 units, ReLU: the voxel's whole pattern; the same and 5 × 5 voxels' amounts",
    "svm": "Support vector machine, Gaussian kernel: discriminants of 5 × 5 voxels, the voxel's own numbers",
    "knn": "Nearest of prototypes, weighted by distance: discriminants of 5 × 5 voxels, the voxel's own numbers",
}
TEXT = """\
# {name}

Names what a reconstructed voxel holds: {classes}; or says that it does not know.

- {kind}; multinomial logistic regression of its scores as calibration.
- Input: slices of {q_bins} bins of q from {q_low} to {q_high} Å⁻¹, two values each, amounts of carbon, glass, lines and
  continuum against the slice's, and the ends of the measured range (`stream/analyse/classify/preprocess.py`).
- ONNX opset {opset}, {size:.0f} KiB, SHA-256 `{sha256}`.
- Made by `{command}`.

## Data

Simulated scans only, with contents known exactly. Half of the phantoms are the presets as they are, half vary
freely: capillary size, place and wall (or none), carbon/binder, particles, porosity, phase mixtures, cells (±1.5 %),
crystallite size, strain. {smallest}-{largest} voxels a side. Wavelength 0.4-0.8 Å, any radial unit, measured q from
0.12-0.5 to 2.7-5 Å⁻¹, 0.5-1.5 angles for each position, 1.6e4 to 3e6 counts a frame, Poisson noise, texture of 2-25 % a
line, air scatter (subtracted or not), fluorescence, up to 26 % absorption, a rotation axis off by about 0.1 step, humps
shifted by 3 % and scaled by 25 % (standard deviations). Each was reconstructed by the product's own SIRT twice:
complete, and from 35-100 % of its angles with up to 10 % of the rays lost. A voxel's label is its content by volume.

{learnt} of {phantoms} phantoms to learn from, {folds} folds of them to calibrate, {unseen} to test: no phantom is in
two parts.{own} Every slice is shown once as it is, once with foreign spots. A third of the phantoms to learn from are
shown twice more: each voxel full of what most of it holds; and with many of those in each other's places, so that
neighbours tell little.

## Cross-validation, by phantom

Right: **{validated:.1%}** of the voxels of complete scans; scans not yet complete: {validated_partial:.1%}.

## Test: {voxels} voxels of complete scans, of phantoms never seen

Right: **{accuracy:.1%}** of all voxels in the field of view; by phantom {worst:.1%} to {best:.1%}, median {median:.1%}.
Scans of at least {coarse} voxels a side: {fine_right:.1%}; coarser ones: {coarse_right:.1%}; scans not yet complete:
{partial:.1%}. A voxel called unknown counts as wrong ({unknown:.2%} of them). Expected calibration error:
{calibration:.3f}.

The same voxels named by what decides their class, their contents, reconstructed from the rays' true paths through each
without noise, scatter, texture or a misplaced axis: {most:.1%}. What lacks to all is what reconstruction blurs; some of
it is undone by who knows how things look.

The same scans of the same phantoms, each voxel full of what most of it holds: **{filled:.1%}** right, and of each
class {filled_worst:.1%} or more.

{confusion}

The worst class is `{worst_class}`.

## What it does not know

A voxel is unknown where its pattern is unfamiliar with a probability of {threshold} or more: chosen on {held} more
phantoms, so that {scans:.0%} of their complete scans lose at most {rejected:.1%} of their voxels. Called unknown in
the test: of invented patterns (random lines, humps, faults) {foreign:.1%}; of real materials that it was never shown,
at half a voxel and more, where a tenth of their intensity lies in the measured range:

{strangers}

A pattern with a stretch in which nothing changes, where those of the slice that are like it do, is unknown before the
model is asked (`stream/analyse/classify/faults.py`); the figures above are the model's alone.

## Limits

- Most errors are at edges: a voxel that is half one thing and half another gets one name, and the reconstruction blurs
  it over its neighbours. Coarse scans, where every fifth voxel is an edge, come out worse than fine ones.
- `particle` and `particle_with_carbon` differ by a tenth of a voxel of carbon/binder, whose hump lies near
  0.37 Å⁻¹: where that was not measured the two cannot be told apart.
- Never shown measured data.
- What has no line in the measured range cannot be seen: iron, steel and copper begin at 3.0-3.1 Å⁻¹. What fills a tenth
  of a slice shifts the scale that its voxels are judged against: more of it passes then.
- A pattern is judged against its slice: a slice without any particle, or of one class alone, has no scale to judge by.
"""


def write_card(path: Path, entry: Entry, recipe: Recipe, fitted: Fitted, most: float, own: int = 0) -> None:
    """Write the card beside the model; `most` as `ceiling` has it."""
    threshold = entry.threshold
    tested = fitted.tested
    complete, partial = tested[tested.familiar & tested.complete], tested[tested.familiar & ~tested.complete]
    right = complete.right(threshold)
    phantoms = [float(right[complete.phantom == n].mean()) for n in np.unique(complete.phantom)]
    recalls = [recall(complete, threshold, label) for label in range(UNFAMILIAR)]
    fine = complete.side >= COARSE
    text = TEXT.format(
        **entry.model_dump(include={"name", "opset", "sha256", "q_low", "q_high", "q_bins"}),
        classes=", ".join(f"`{name}`" for name in entry.classes),
        kind=KINDS[entry.family],
        size=(path.parent / entry.file).stat().st_size / 1024,
        command=recipe.command,
        smallest=int(tested.side.min()),
        largest=recipe.largest,
        learnt=len(recipe.learnt),
        phantoms=recipe.phantoms,
        folds=FOLDS,
        own=f" {own} slices of a measured run were learnt from, too." if own else "",
        unseen=len(recipe.tested),
        validated=validated_right(fitted, complete=True),
        validated_partial=validated_right(fitted, complete=False),
        voxels=len(right),
        accuracy=right.mean(),
        worst=min(phantoms),
        best=max(phantoms),
        median=float(np.median(phantoms)),
        coarse=COARSE,
        fine_right=right[fine].mean() if fine.any() else float("nan"),
        coarse_right=right[~fine].mean() if not fine.all() else float("nan"),
        partial=share_right(partial, threshold),
        unknown=(complete.called(threshold) < 0).mean(),
        calibration=complete.calibration_error(),
        most=most,
        filled=share_right(fitted.filled, threshold),
        filled_worst=np.nanmin([recall(fitted.filled, threshold, label) for label in range(UNFAMILIAR)]),
        confusion=confusion_table(entry.classes, complete.labels, complete.called(threshold)),
        worst_class=entry.classes[int(np.nanargmin(recalls))],
        foreign=share_right(tested[~tested.familiar], threshold),
        threshold=threshold,
        held=len(recipe.held),
        rejected=REJECTED,
        scans=SCANS,
        strangers=strangers_table(fitted.strangers),
    )
    path.write_text(text, encoding="utf-8")


def validated_right(fitted: Fitted, *, complete: bool) -> float:
    """Share of what the folds were not shown that they name rightly, in complete scans or in the others."""
    right = [fold.right(threshold)[fold.familiar & (fold.complete == complete)] for fold, threshold in fitted.validated]
    return float(np.concatenate(right).mean())


def share_right(judged: Judged, threshold: float) -> float:
    """Of these voxels."""
    return float(judged.right(threshold).mean())


def recall(judged: Judged, threshold: float, label: int) -> float:
    """Share of a class that is called so; NaN without any of it."""
    of = judged.called(threshold)[judged.labels == label]
    return float((of == label).mean()) if of.size else float("nan")


def strangers_table(shares: dict[str, float]) -> str:
    """One row of materials, one of shares."""
    rows = (shares, [f"{share:.1%}" for share in shares.values()])
    head, told = ("| " + " | ".join(row) + " |" for row in rows)
    return "\n".join([head, "|" + "---:|" * len(shares), told])


def confusion_table(classes: tuple[str, ...], truth: npt.NDArray[np.int8], called: npt.NDArray[np.int8]) -> str:
    """Rows are the truth, columns what was called; the last column the share that is right."""
    lines = [
        "| truth \\ called | " + " | ".join(classes) + " | unknown | right |",
        "|---|" + "---:|" * (len(classes) + 2),
    ]
    for label, name in enumerate(classes):
        of = called[truth == label]
        counts = [int((of == other).sum()) for other in (*range(len(classes)), -1)]
        share = f"{(of == label).mean():.1%}" if of.size else "-"
        lines.append(f"| {name} | " + " | ".join(str(n) for n in counts) + f" | {share} |")
    return "\n".join(lines)
