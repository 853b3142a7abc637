"""The card of a model: what it was made from, how right it is, and where it must not be trusted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from stream.analyse.classify.manifest import Entry
from stream.simulate.training.dataset import UNFAMILIAR, Dataset
from stream.simulate.training.fit import HIDDEN, PENALTY, Fitted, Split

Floats = npt.NDArray[np.float32]

TEXT = """\
# {name}

Names what a reconstructed voxel holds: {classes}; or says that it does not know.

- Multilayer perceptron, {hidden} hidden units, ReLU, L2 penalty {penalty}, on standardised inputs; softmax,
  temperature {temperature:.3f} folded into the last layer; stopped after {epochs} epochs.
- Input: {q_bins} bins of q from {q_low} to {q_high} Å⁻¹, two values each, and the ends of the measured range
  (`stream/analyse/classify/preprocess.py`).
- ONNX opset {opset}, SHA-256 `{sha256}`.
- Made by `{command}`.

## Data

Simulated scans only, with contents known exactly. Half of the phantoms are the presets as they are, half vary
freely: capillary size, place and wall (or none), carbon/binder, particles, porosity, phase mixtures, cells (±1.5 %),
crystallite size, strain. Wavelength 0.4-0.8 Å, any radial unit, measured q from 0.12-0.5 to 2.7-5 Å⁻¹, 0.5-1.5 angles
for each position, 1.6e4 to 3e6 counts a frame, Poisson noise, texture of 2-25 % a line, air scatter (subtracted or
not), fluorescence, up to 26 % absorption, a rotation axis off by about 0.1 step, humps shifted by 3 % and scaled by
25 % (standard deviations). Each was reconstructed by the product's own SIRT twice: complete, and from 35-100 % of its
angles with up to 10 % of the rays lost. A voxel's label is its content by volume.

Phantoms {train} to learn, {calibrate} to stop, calibrate and set the threshold, {test} to test: no phantom
is in two parts.

## Test: {voxels} voxels of complete scans, of phantoms never seen

Right: **{accuracy:.1%}** of all voxels in the field of view; by phantom {worst:.1%} to {best:.1%}, median {median:.1%}.
Voxels of scans not yet complete: {partial:.1%}. A voxel called unknown counts as wrong ({unknown:.2%} of them).
Expected calibration error: {calibration:.3f}.

{confusion}

The worst class is `{worst_class}`. Foreign patterns (random lines, humps, faults) called unknown: {foreign:.1%}.

## Limits

- Most errors are at edges: a voxel that is half one thing and half another gets one name, and the reconstruction blurs
  it over its neighbours. Coarse scans, where most voxels are edges, come out worse than fine ones.
- `particle` and `particle_with_carbon` differ by a tenth of a voxel of carbon/binder, whose hump lies near
  0.37 Å⁻¹: where that was not measured the two cannot be told apart.
- Never shown measured data. Crystals other than layered oxides, spinel and rock salt are foreign to it, but a foreign
  crystal with a single line within reach, on one of theirs, is not noticed: iron and steel, near 3.0-3.1 Å⁻¹, may
  be called `empty`.
- A pattern is judged against its slice: a slice without any particle, or of one class alone, has no scale to judge by.
"""


def write_card(
    path: Path, entry: Entry, command: str, fitted: Fitted, split: Split, test: Dataset, probability: Floats
) -> None:
    """Write the card; probability (n, classes + 1) is the model's output for the test voxels."""
    called = decide(probability, entry.threshold)
    familiar = test.labels < UNFAMILIAR
    complete, partial = familiar & test.complete, familiar & ~test.complete
    right = called == test.labels
    by_phantom = [float(right[complete & (test.phantom == n)].mean()) for n in split.test]
    recalls = [float(right[complete & (test.labels == label)].mean()) for label in range(UNFAMILIAR)]
    text = TEXT.format(
        **entry.model_dump(include={"name", "opset", "sha256", "q_low", "q_high", "q_bins"}),
        classes=", ".join(f"`{name}`" for name in entry.classes),
        hidden=" and ".join(str(n) for n in HIDDEN),
        penalty=PENALTY,
        temperature=fitted.temperature,
        epochs=fitted.epochs,
        command=command,
        train=span(split.train),
        calibrate=span(split.calibrate),
        test=span(split.test),
        voxels=int(complete.sum()),
        accuracy=right[complete].mean(),
        worst=min(by_phantom),
        best=max(by_phantom),
        median=float(np.median(by_phantom)),
        partial=right[partial].mean(),
        unknown=(called[complete] < 0).mean(),
        calibration=calibration_error(probability[complete], right[complete]),
        confusion=confusion_table(entry.classes, test.labels[complete], called[complete]),
        worst_class=entry.classes[int(np.argmin(recalls))],
        foreign=(called[~familiar] < 0).mean(),
    )
    path.write_text(text, encoding="utf-8")


def decide(probability: Floats, threshold: float) -> npt.NDArray[np.int8]:
    """The called class, -1 unknown."""
    classes = probability[:, :UNFAMILIAR]
    return np.where(classes.max(axis=1) >= threshold, classes.argmax(axis=1), -1).astype(np.int8)


def calibration_error(probability: Floats, right: npt.NDArray[np.bool_], bins: int = 15) -> float:
    """Mean distance of the best class's probability from the share that is right, over equal bins of it."""
    best = probability[:, :UNFAMILIAR].max(axis=1)
    member = np.minimum((best * bins).astype(int), bins - 1)
    sums = np.bincount(member, weights=best - right, minlength=bins)
    return float(np.abs(sums).sum() / len(best))


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


def span(numbers: range) -> str:
    """First to last."""
    return f"{numbers.start}-{numbers.stop - 1}"
