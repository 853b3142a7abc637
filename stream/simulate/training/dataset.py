"""Labelled slices of many simulated scans, kept apart by phantom."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from stream.analyse.classify.learn.example import Example, Slice, clean_example, foreign_example
from stream.simulate.training.samples import Sample
from stream.simulate.training.slices import draw_scan, reconstructed_slices

Change = Callable[[Sample, np.random.Generator], Sample]
STAGES = 2  # reconstructions of a scan: the complete one, and one of a part of it


def simulate(
    number: int, seed: int, largest: int, kept: Path | None = None, change: Change | None = None
) -> list[Slice]:
    """Slices of one phantom, which depends on seed, number and largest alone.

    Parameters
    ----------
    largest
        voxels a side of the largest scan.
    kept
        a folder: what was simulated before is read from it, the rest is put there.
    change
        what is done to the phantom before it is measured; of such there is the complete scan alone.
    """
    stages, kind = (STAGES, "") if change is None else (1, f"-{change.__name__}")
    path = None if kept is None else kept / f"{seed}-{largest}-{number}{kind}.npz"
    if path is not None and path.is_file():
        with np.load(path, allow_pickle=False) as file:
            return [Slice(file[f"values{n}"], file["labels"], n == 0) for n in range(stages)]
    rng, sample, beam = draw_scan(number, seed, largest)
    if change is not None:
        sample = change(sample, rng)
    slices = reconstructed_slices(rng, sample, beam, stages)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        values = {f"values{n}": part.values for n, part in enumerate(slices)}
        np.savez(path, allow_pickle=False, labels=sample.labels, **values)
    return slices


def clean_examples(
    phantoms: Iterable[int], seed: int, largest: int, kept: Path | None = None, change: Change | None = None
) -> list[Example]:
    """One example, without foreign spots, of each slice of the phantoms with these numbers."""
    return [
        clean_example(part, number) for number in phantoms for part in simulate(number, seed, largest, kept, change)
    ]


def make_examples(phantoms: Iterable[int], seed: int, largest: int, kept: Path | None = None) -> list[Example]:
    """Two examples, one without and one with foreign spots, of each slice of the phantoms with these numbers."""
    found = []
    for number in phantoms:
        for stage, part in enumerate(simulate(number, seed, largest, kept)):
            rng = np.random.default_rng([seed, number, stage])
            found += [clean_example(part, number), foreign_example(rng, part, number)]
    return found
