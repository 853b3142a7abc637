"""Slices of a user's own run, with the classes that the user gave them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from stream.analyse.classify.learn.example import Example, Slice, clean_example
from stream.analyse.classify.manifest import CLASSES
from stream.analyse.classify.preprocess import to_q_grid
from stream.core.axis import RadialAxis
from stream.core.errors import UsageError
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.ingest.ledger_reader import LedgerReader

OWN = -1  # in the place of a phantom's number


def labelled_examples(run: Path | None, labels: Path | None) -> list[Example]:
    """The labelled slices of a run with final maps; none where neither is given.

    Raises
    ------
    UsageError
        naming what is missing, or does not fit.
    """
    if run is None and labels is None:
        return []
    if run is None or labels is None:
        raise UsageError("--run and --labels belong together: the run's directory, and the classes of its voxels")
    directory = RunDirectory(run)
    if not directory.results.is_file():
        raise UsageError(f"--run is {run}, which has no results.nxs: its final maps were not stored")
    try:
        classes = np.load(labels, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UsageError(f"--labels is {labels}, which cannot be read as .npy: {error}") from None
    config = directory.read_config()
    state = LedgerReader(directory.ledger, ScanGrid.from_config(config.scan)).snapshot().state
    axis = RadialAxis(**state["axis"])
    with h5py.File(directory.results) as file:
        volume = file["entry/volume"][()]
    if classes.shape != volume.shape[:3] or classes.dtype.kind not in "iu":
        raise UsageError(
            f"--labels holds {classes.dtype} of shape {classes.shape}, the run's voxels are integers {volume.shape[:3]}"
        )
    if classes.min() < -1 or classes.max() >= len(CLASSES):
        raise UsageError(f"--labels holds {classes.min()} to {classes.max()}, the classes are -1 to {len(CLASSES) - 1}")
    return [
        clean_example(Slice(to_q_grid(plane, axis), named.astype(np.int8)), OWN)
        for plane, named in zip(volume, classes, strict=True)
        if (named >= 0).any()
    ]
