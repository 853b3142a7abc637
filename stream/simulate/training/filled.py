"""Scans of samples whose voxels hold one thing each: what a model reaches where no voxel is half this and half that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from stream.analyse.classify.learn.example import Example, clean_example
from stream.simulate.sample import voxel_shares
from stream.simulate.training.samples import Sample
from stream.simulate.training.slices import draw_scan, reconstructed_slices


def filled(sample: Sample) -> Sample:
    """The sample with each voxel full of what most of it holds."""
    phantom = sample.phantom
    most = voxel_shares(phantom).argmax(axis=-1).astype(phantom.labels.dtype)
    fine = most.repeat(phantom.oversampling, axis=1).repeat(phantom.oversampling, axis=2)
    return replace(sample, phantom=replace(phantom, labels=fine))


def filled_examples(phantoms: Iterable[int], seed: int, largest: int) -> list[Example]:
    """Complete scans of the phantoms with these numbers, filled, measured as they are in the data set."""
    found = []
    for number in phantoms:
        rng, sample, beam = draw_scan(number, seed, largest)
        found += [clean_example(part, number) for part in reconstructed_slices(rng, filled(sample), beam, stages=1)]
    return found
