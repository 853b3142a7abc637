"""Fitted models as ONNX files, with their manifest and cards."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stream.analyse.classify.learn.example import Example
from stream.analyse.classify.learn.pinned import pinned
from stream.analyse.classify.manifest import MANIFEST, Entry, Golden, Manifest
from stream.simulate.training.card import write_card
from stream.simulate.training.ceiling import ceiling
from stream.simulate.training.recipe import Fitted, Recipe

GOLDEN_FILE, GOLDEN_SIDE = "golden.npy", 7


def write_models(
    folder: Path, recipe: Recipe, fitted: Sequence[Fitted], examples: Sequence[Example], own: int = 0
) -> Manifest:
    """Write ``<family>.onnx``, ``<family>.md``, the golden input and the manifest into a folder.

    `own`: how many slices of the user's were learnt from. The default is the one that is right most
    often on phantoms never seen.
    """
    folder.mkdir(parents=True, exist_ok=True)
    golden = golden_input(examples)
    np.save(folder / GOLDEN_FILE, golden)
    content = (folder / GOLDEN_FILE).read_bytes()
    low = least_known(examples)
    most = ceiling(recipe.tested, recipe.seed, recipe.largest)
    entries = []
    for each in fitted:
        entry = write_model(folder, each, golden, low)
        write_card(folder / f"{each.family}.md", entry, recipe, each, most, own)
        entries.append(entry)
    best = max(entries, key=lambda entry: entry.accuracy)
    kept = Golden(file=GOLDEN_FILE, sha256=hashlib.sha256(content).hexdigest())
    manifest = Manifest(default=best.name, golden=kept, models=tuple(entries))
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return manifest


def write_model(folder: Path, fitted: Fitted, golden: npt.NDArray[np.float32], least: float) -> Entry:
    """Write the ONNX file; what the manifest says of it."""
    tested = fitted.tested[fitted.tested.familiar & fitted.tested.complete]
    right = float(tested.right(fitted.threshold).mean())
    entry, content = pinned(
        fitted.family, fitted.family, fitted.model, golden,
        threshold=fitted.threshold, least_known=least, accuracy=right,
    )  # fmt: skip
    (folder / entry.file).write_bytes(content)
    return entry


def golden_input(examples: Sequence[Example]) -> npt.NDArray[np.float32]:
    """A part of a slice with as many classes in it as can be."""
    best: tuple[int, npt.NDArray[np.float32]] | None = None
    for example in examples[:40]:
        rows_, columns = example.labels.shape
        for y in range(0, rows_ - GOLDEN_SIDE, GOLDEN_SIDE):
            for x in range(0, columns - GOLDEN_SIDE, GOLDEN_SIDE):
                window = np.s_[y : y + GOLDEN_SIDE, x : x + GOLDEN_SIDE]
                kinds = len(np.unique(example.labels[window]))
                if best is None or kinds > best[0]:
                    best = kinds, np.ascontiguousarray(example.inputs[window])
    assert best is not None
    return best[1]


def least_known(examples: Sequence[Example]) -> float:
    """The smallest share of the q grid that was measured in any scan, less a bin or two."""
    ends = np.array([example.inputs[example.labels >= 0][0, -3:-1] for example in examples])
    return round(float((ends[:, 1] - ends[:, 0]).min()) - 0.01, 3)
