"""Classes of a slice's voxels by each model, from patterns to labels."""

from __future__ import annotations

from functools import partial

import numpy as np

from stream.analyse.classify.choose import load_classifier
from stream.analyse.classify.manifest import read_manifest
from stream.analyse.classify.model import models_folder
from stream.benchmark.rounds import Job, Row, interleave
from stream.core.axis import RadialAxis

BINS = 1000
AXIS = RadialAxis("q_A^-1", 0.15, 4.0, BINS, 0.7)


def classify_rows(name: str, side: int, rounds: int, floor: float) -> list[Row]:
    """Milliseconds a thousand voxels, of a slice of side × side: q grid, features, model."""
    rng = np.random.default_rng(1)
    amounts = rng.uniform(0, 1, (side, side, 1))
    humps = [np.exp(-(((AXIS.centers - place) / 0.2) ** 2)) for place in (0.374, 1.55, 2.6)]
    patterns = (amounts * humps[1] + (1 - amounts) * humps[0] + amounts**2 * humps[2]).astype(np.float32)
    models = [load_classifier(entry.name) for entry in read_manifest(models_folder()).models]
    jobs = [Job(partial(model.predict, patterns, AXIS), side * side // 1000) for model in models]
    figures = interleave(jobs, rounds, floor)
    return [
        Row(
            name=f"{name}-{model.name}",
            unit="ms/1000 voxels",
            ours=figure,
            note=f"{side * side} voxels of {BINS} bins in {figure.median * (side * side // 1000) / 1000:.2f} s",
        )
        for model, figure in zip(models, figures, strict=True)
    ]
