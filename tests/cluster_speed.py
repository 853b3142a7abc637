"""What workers of a Dask cluster are worth: `python tests/cluster_speed.py`, two minutes on two cores.

The final volumes of 12 recorded slices by one process with a thread and with all cores, and by one and two workers of
one thread each on this machine, in turns: seconds, processor time of all processes; no bit may differ.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
from distributed import LocalCluster
from helpers.small_store import small_store

from stream.analyse.store import PatternStore
from stream.analyse.tomograph import Tomograph
from stream.core.config import ReconstructionConfig
from stream.scale.cluster import Cluster, connected
from stream.scale.spread import HERE, Spread

BINS = 256


def finals(store: PatternStore, spread: Spread) -> np.ndarray:
    """The volumes, and so much as the maps take of each slice."""
    volume = np.zeros((*store.grid.map_shape, BINS), np.float32)
    config = ReconstructionConfig(iterations=100, center=0.0)
    tomograph = Tomograph(store, config, volume, store.patterns.sum(axis=-1), 1e5)
    tomograph.settle()
    for voxels, _ in tomograph.finals(spread):
        voxels.noise()
    return volume


def used(cluster: Cluster | None) -> float:
    """Seconds of processor time of this process, and of the workers'."""
    return time.process_time() + (0.0 if cluster is None else sum(cluster.client.run(time.process_time).values()))


def timed(work: Callable[[], np.ndarray], cluster: Cluster | None) -> tuple[float, float, np.ndarray]:
    begun, before = time.monotonic(), used(cluster)
    volume = work()
    return time.monotonic() - begun, used(cluster) - before, volume


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("slices", 12), ("positions", 64), ("angles", 60), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        store = small_store(Path(folder), BINS, asked.slices, asked.angles, asked.positions)
        clusters: dict[str, Cluster | None] = {"one process, one thread": None, "one process, all cores": None}
        for n in (1, 2):
            local = LocalCluster(n_workers=n, threads_per_worker=1, host="127.0.0.1", dashboard_address=":0")
            clusters[f"{n} worker{'s' * (n > 1)}"] = stack.enter_context(
                connected(stack.enter_context(local).scheduler_address)
            )
        spreads = [Spread(map, 1), HERE, *(Spread(c.map, 1) for c in clusters.values() if c)]
        expected = finals(store, HERE)
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in clusters}
        for n in range(asked.rounds + 1):  # the first warms kernels and workers
            for (name, cluster), spread in zip(clusters.items(), spreads, strict=True):
                seconds, processor, volume = timed(partial(finals, store, spread), cluster)
                np.testing.assert_array_equal(volume, expected)
                taken[name] += [(seconds, processor)] if n else []
    print(f"{asked.slices} slices of {asked.positions} x {asked.angles} rays x {BINS} bins, no bit differs; "
          f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")  # fmt: skip
    for name, times in taken.items():
        seconds, processor = (median(column) for column in zip(*times, strict=True))
        print(f"{name}: {seconds:.1f} s, {processor:.1f} s of processor time")


if __name__ == "__main__":
    main()
