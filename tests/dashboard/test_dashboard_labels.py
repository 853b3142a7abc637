"""Clusters that are named over HTTP: what is taken, and what is refused with a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from helpers.dashboard import AUTH, SCAN, sentence, serving
from helpers.fake_run import FakeRun

from stream.core.commands import read_commands
from stream.core.revision import write_revision

PARTITION = {"bins": [0, 1, 2], "mean": [0.1, 0.2, 0.3], "vectors": np.eye(3).tolist(), "nodes": [[0.0, 0.0, 0.0]]}
PARTITION |= {"group": [0], "reach": None}


@pytest.fixture
def run(tmp_path: Path) -> FakeRun:
    """A run with the clusters 0, 1 and 3, of 0 and 3 many voxels, of 1 five."""
    run = FakeRun(tmp_path, size=21)
    revision = run.advance(0.4)
    index = np.full((1, 21, 21), -1, np.int8)
    index[0, 4:10, 4:16], index[0, 12, 4:9], index[0, 13:17, 4:16] = 0, 1, 3
    told = {**revision.metadata, "cluster_partition": PARTITION}
    write_revision(
        run.directory.revision,
        replace(revision, metadata=told, arrays={**revision.arrays, "maps/cluster_index": index}),
    )
    return run


@pytest.fixture
def client(run: FakeRun) -> Iterator[httpx.Client]:
    with serving(run) as url, httpx.Client(base_url=url + SCAN, headers=AUTH, trust_env=False) as client:
        yield client


def label(cluster: int, name: str) -> dict[str, Any]:
    return {"cluster": cluster, "label": name}


def test_names_become_a_command_with_the_clusters_in_it(client: httpx.Client, run: FakeRun) -> None:
    names = [label(0, "capillary"), label(3, "particle"), label(1, "particle")]
    assert client.post("/labels", json={"labels": names}).json() == {"command": 1, "kind": "labels"}
    assert read_commands(run.directory.commands)[0].arguments == {"labels": names, "partition": PARTITION}


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([label(0, "particle"), label(2, "empty")], "labels.1.cluster is 2, which has no voxel: the clusters are 0, 1"),
        ([label(0, "particle"), label(77, "empty")], "labels.1.cluster is 77, which has no voxel"),
        ([label(0, "particle"), label(0, "empty")], "labels.1.cluster is 0, which has been named 'particle' already"),
        (
            [label(0, "particle"), label(3, "particle")],
            "labels name particle: a classifier learns to tell at least",
        ),
        (
            [label(0, "particle"), label(1, "empty")],
            "labels name 5 voxels empty, and a class is learnt from 24",
        ),
        ([label(0, "gold")], "labels.0.label is 'gold', which is not one of the classes empty, capillary"),
    ],
    ids=["without a voxel", "unknown", "twice", "one class", "too few", "no class"],
)
def test_names_that_cannot_be_learnt_from(
    client: httpx.Client, run: FakeRun, names: list[dict[str, Any]], words: str
) -> None:
    assert words in sentence(client.post("/labels", json={"labels": names}), 422)
    assert read_commands(run.directory.commands) == []


def test_a_run_without_clusters(client: httpx.Client, run: FakeRun) -> None:
    run.advance(0.5)
    names = {"labels": [label(0, "capillary"), label(3, "particle")]}
    assert "labels name clusters, and revision 2 has none" in sentence(client.post("/labels", json=names), 422)
