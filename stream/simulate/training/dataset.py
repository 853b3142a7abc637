"""Labelled slices of many simulated scans, kept apart by phantom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stream.analyse.classify.preprocess import features, scale_of
from stream.simulate.training.foreign import Draw, with_foreign
from stream.simulate.training.samples import draw_sample
from stream.simulate.training.slices import Slice, draw_beam, reconstructed_slices

STAGES = 2  # reconstructions of a scan: the complete one, and one of a part of it


@dataclass(frozen=True, slots=True)
class Example:
    """A slice as models see it.

    Attributes
    ----------
    inputs
        (y, x, features), as models take them.
    labels
        (y, x); -1 outside the field of view, the number of classes where something foreign is.
    phantom, complete
        the phantom's number; False where a part of the rays was left out.
    """

    inputs: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int8]
    phantom: int
    complete: bool


def simulate(number: int, seed: int, largest: int, kept: Path | None = None) -> list[Slice]:
    """Slices of one phantom, which depends on seed, number and largest alone.

    Parameters
    ----------
    largest
        voxels a side of the largest scan.
    kept
        a folder: what was simulated before is read from it, the rest is put there.
    """
    path = None if kept is None else kept / f"{seed}-{largest}-{number}.npz"
    if path is not None and path.is_file():
        with np.load(path, allow_pickle=False) as file:
            return [Slice(file[f"values{n}"], file["labels"], n == 0) for n in range(STAGES)]
    rng = np.random.default_rng([seed, number])
    sample = draw_sample(rng, largest)
    slices = reconstructed_slices(rng, sample, draw_beam(rng, sample.count), STAGES)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        values = {f"values{n}": part.values for n, part in enumerate(slices)}
        np.savez(path, allow_pickle=False, labels=sample.labels, **values)
    return slices


def clean_example(part: Slice, phantom: int = 0) -> Example:
    """A slice as it is."""
    return Example(features(part.values, scale_of(part.values)), part.labels, phantom, part.complete)


def foreign_example(rng: np.random.Generator, part: Slice, phantom: int = 0, draw: Draw | None = None) -> Example:
    """A slice with foreign spots; every other time they may be what is brightest in it."""
    scale = scale_of(part.values)
    values, labels = with_foreign(rng, part.values, part.labels, scale.level, draw)
    if rng.random() < 0.5:
        scale = scale_of(values)
    return Example(features(values, scale), labels, phantom, part.complete)


def make_examples(phantoms: Iterable[int], seed: int, largest: int, kept: Path | None = None) -> list[Example]:
    """Two examples, one without and one with foreign spots, of each slice of the phantoms with these numbers."""
    found = []
    for number in phantoms:
        for stage, part in enumerate(simulate(number, seed, largest, kept)):
            rng = np.random.default_rng([seed, number, stage])
            found += [clean_example(part, number), foreign_example(rng, part, number)]
    return found
