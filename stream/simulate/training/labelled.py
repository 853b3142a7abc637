"""Slices of a user's own run, with the classes that the user gave them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import orjson

from stream.analyse.classify.labels import Labelled, check_names, classes_of, read_names
from stream.analyse.classify.learn.example import Slice
from stream.analyse.classify.manifest import CLASSES
from stream.analyse.classify.preprocess import scale_of, to_q_grid
from stream.analyse.classify.sample import Sample
from stream.core.axis import RadialAxis
from stream.core.errors import UsageError
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.ingest.ledger_reader import LedgerReader

OWN = -1  # in the place of a phantom's number
CLUSTERS = "entry/maps/cluster_index"


def labelled_slices(run: Path | None, labels: Path | None) -> list[Slice]:
    """The labelled slices of a run with final maps; none where neither is given.

    Parameters
    ----------
    labels
        .npy: integers (slice, y, x), the classes of the voxels, -1 for none. Or .json: names of the run's clusters,
        ``{"labels": [{"cluster": 2, "label": "capillary"}, ...]}``, as over HTTP.

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
    with h5py.File(directory.results) as file:
        volume = file["entry/volume"][()]
        clusters = file[CLUSTERS][()] if CLUSTERS in file else None
    classes = _named(labels, clusters) if labels.suffix == ".json" else _drawn(labels, volume.shape[:3])
    config = directory.read_config()
    state = LedgerReader(directory.ledger, ScanGrid.from_config(config.scan)).snapshot().state
    axis = RadialAxis(**state["axis"])
    if not (classes >= 0).any():
        raise UsageError(f"--labels is {labels}, which gives no voxel a class")
    return [
        Slice(to_q_grid(plane, axis), named) for plane, named in zip(volume, classes, strict=True) if (named >= 0).any()
    ]


def labelled_samples(slices: list[Slice]) -> list[tuple[Sample, Labelled]]:
    """The labelled voxels of slices, as a classifier of the run alone learns from them."""
    found = []
    for part in slices:
        there = part.labels >= 0
        sample = Sample.of(part.values[there], scale_of(part.values))
        found.append((sample, part.labels[there][sample.voxels]))
    return found


def _drawn(path: Path, shape: tuple[int, ...]) -> Labelled:
    try:
        classes = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UsageError(f"--labels is {path}, which cannot be read as .npy: {error}") from None
    if classes.shape != shape or classes.dtype.kind not in "iu":
        raise UsageError(
            f"--labels holds {classes.dtype} of shape {classes.shape}, the run's voxels are integers {shape}"
        )
    if classes.min() < -1 or classes.max() >= len(CLASSES):
        raise UsageError(f"--labels holds {classes.min()} to {classes.max()}, the classes are -1 to {len(CLASSES) - 1}")
    return np.asarray(classes, np.int8)


def _named(path: Path, clusters: npt.NDArray[np.int8] | None) -> Labelled:
    if clusters is None:
        raise UsageError(f"--labels is {path}, which names clusters, and the run has none: it had no model")
    try:
        told: Any = orjson.loads(path.read_bytes())
        names = read_names(told["labels"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"--labels is {path}, which cannot be read as names of clusters: {error}") from None
    check_names(names, clusters)
    return classes_of(clusters, names)
