"""What a user calls the clusters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from stream.analyse.classify.clusters import Partition
from stream.analyse.classify.manifest import CLASSES
from stream.analyse.classify.sample import Sample
from stream.core.errors import StoreError, UsageError

Labelled = npt.NDArray[np.int8]
FEWEST = 24  # voxels that a class is learnt from

Named = Mapping[int, str]
"""The class of each cluster that has a name."""


@dataclass(frozen=True, slots=True)
class Labels:
    """Names for clusters, and the clusters as they were when they were named.

    That makes them a command that means the same at any time: in the final result, after a restart, in a replay.
    """

    named: Named
    partition: Partition

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Self:
        """What `as_dict` told.

        Raises
        ------
        StoreError
            where something else did.
        """
        if not {"labels", "partition"} <= told.keys():
            raise StoreError(f"a command of labels has the keys {', '.join(told)}, not labels and partition")
        named = {int(each["cluster"]): str(each["label"]) for each in told["labels"]}
        return cls(named, Partition.from_dict(told["partition"]))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, from which `from_dict` makes the same to the bit."""
        return {"labels": self.told, "partition": self.partition.as_dict()}

    @property
    def told(self) -> list[dict[str, Any]]:
        """The names alone."""
        return [{"cluster": cluster, "label": label} for cluster, label in self.named.items()]

    def of(self, sample: Sample) -> Labelled:
        """Class of each voxel of a sample, -1 where its cluster has no name."""
        return classes_of(sample_index(self.partition, sample), self.named)


def sample_index(partition: Partition, sample: Sample) -> npt.NDArray[np.int8]:
    """Cluster of each voxel of a sample."""
    return partition.index(sample.values, sample.scale.level)


def read_names(labels: Sequence[Mapping[str, Any]]) -> Named:
    """Names from a list of {cluster, label}.

    Raises
    ------
    UsageError
        for a label that is no class, and for a cluster that is named twice.
    """
    named: dict[int, str] = {}
    for place, each in enumerate(labels):
        cluster, label = int(each["cluster"]), str(each["label"])
        if label not in CLASSES:
            raise UsageError(f"labels.{place}.label is {label!r}, which is not one of the classes {', '.join(CLASSES)}")
        if cluster in named:
            raise UsageError(f"labels.{place}.cluster is {cluster}, which has been named {named[cluster]!r} already")
        named[cluster] = label
    return named


def check_names(named: Named, cluster_index: npt.NDArray[np.int8]) -> None:
    """See whether a classifier can be learnt from these names.

    Parameters
    ----------
    cluster_index
        the clusters of all voxels, -1 where there is none.

    Raises
    ------
    UsageError
        for a cluster that has no voxel, and where there are too few voxels of a class.
    """
    counts = np.bincount(cluster_index[cluster_index >= 0], minlength=128)
    known = ", ".join(map(str, np.flatnonzero(counts))) or "none"
    for place, cluster in enumerate(named):
        if not 0 <= cluster < len(counts) or not counts[cluster]:
            raise UsageError(f"labels.{place}.cluster is {cluster}, which has no voxel: the clusters are {known}")
    check_counts([classes_of(cluster_index, named)])


def check_counts(parts: Sequence[Labelled]) -> None:
    """See whether there are enough voxels of each class that occurs, and two classes; any shapes, -1 is no class.

    Raises
    ------
    UsageError
        naming the class.
    """
    together = np.concatenate([np.zeros(0, np.int8), *(labels[labels >= 0] for labels in parts)])
    counts = np.bincount(together, minlength=len(CLASSES))
    there = np.flatnonzero(counts)
    if there.size < 2:
        names = ", ".join(CLASSES[label] for label in there) or "no class"
        raise UsageError(f"labels name {names}: a classifier learns to tell at least two classes apart")
    for label in there:
        if counts[label] < FEWEST:
            raise UsageError(
                f"labels name {counts[label]} voxels {CLASSES[label]}, and a class is learnt from {FEWEST} or more"
            )


def classes_of(index: npt.NDArray[np.int8], named: Named) -> Labelled:
    """Class of each voxel by its cluster, -1 where that has no name; any shape."""
    table = np.full(129, -1, np.int8)  # the last is of -1
    for cluster, label in named.items():
        table[cluster] = CLASSES.index(label)
    return np.asarray(table[index])
