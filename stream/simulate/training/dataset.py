"""Labelled slices of many simulated scans, kept apart by phantom."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from stream.analyse.classify.learn.example import Example, Slice, clean_example, foreign_example
from stream.simulate.training.slices import draw_scan, reconstructed_slices

STAGES = 2  # reconstructions of a scan: the complete one, and one of a part of it


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
    rng, sample, beam = draw_scan(number, seed, largest)
    slices = reconstructed_slices(rng, sample, beam, STAGES)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        values = {f"values{n}": part.values for n, part in enumerate(slices)}
        np.savez(path, allow_pickle=False, labels=sample.labels, **values)
    return slices


def make_examples(phantoms: Iterable[int], seed: int, largest: int, kept: Path | None = None) -> list[Example]:
    """Two examples, one without and one with foreign spots, of each slice of the phantoms with these numbers."""
    found = []
    for number in phantoms:
        for stage, part in enumerate(simulate(number, seed, largest, kept)):
            rng = np.random.default_rng([seed, number, stage])
            found += [clean_example(part, number), foreign_example(rng, part, number)]
    return found
