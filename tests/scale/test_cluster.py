"""Final slices, fits and frames on the workers of a Dask cluster: the bits of one process; what cannot be is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from distributed import LocalCluster
from helpers.chain import tiny_site
from helpers.device_frames import encoded, make_cpu
from helpers.ports import free_port
from helpers.small_store import small_store

from stream.analyse.slices import WholeSlice
from stream.analyse.store import PatternStore
from stream.analyse.tomograph import Tomograph
from stream.analyse.voxels import VoxelReader
from stream.core.axis import RadialAxis
from stream.core.config import ReconstructionConfig, load_config
from stream.core.errors import ConfigError, MessageError, Reject, StoreError, UnavailableError, UsageError
from stream.core.messages import Pattern
from stream.ingest.integrate.on_cluster import ClusterIntegrator
from stream.scale import cluster as scale
from stream.scale.cluster import Cluster, connected, spread_over
from stream.scale.spread import HERE, Spread
from stream.scale.start import workers
from stream.service.run import Job, check_backend


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Two workers of one thread each; messages are pickled as between machines."""
    options = {"processes": False, "protocol": "tcp", "dashboard_address": ":0"}
    with LocalCluster(n_workers=2, threads_per_worker=1, **options) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def cluster(address: str) -> Iterator[Cluster]:
    with connected(address) as found:
        yield found


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PatternStore:
    """Two slices of three blocks of channels."""
    return small_store(tmp_path_factory.mktemp("store"), 150)


def test_results_come_in_order_and_arguments_are_taken_as_they_are_needed(cluster: Cluster) -> None:
    taken = []

    def numbers() -> Iterator[int]:
        for n in range(20):
            taken.append(n)
            yield n

    squares = cluster.map(pow, numbers(), [2] * 20)
    assert next(squares) == 0
    assert len(taken) <= cluster.ahead + 1
    assert list(squares) == [n**2 for n in range(1, 20)]


def final(store: PatternStore, config: dict[str, Any], spread: Spread) -> tuple[npt.NDArray[np.float32], Any]:
    """Volume, and of each slice the trace and what its voxels tell."""
    volume = np.zeros((*store.grid.map_shape, store.axis.bins), np.float32)
    asked = ReconstructionConfig.model_validate({"iterations": 12, "center": 0.0} | config)
    tomograph = Tomograph(store, asked, volume, store.patterns.sum(axis=-1), 1e5)
    tomograph.settle()
    some = np.arange(5)
    finals = tomograph.finals(spread)
    return volume, [(t, v.noise(), v.variances(some), v.patterns(some), v.unheld(some)) for v, t in finals]


@pytest.mark.parametrize(
    "config", [{}, {"channels": "basis:8"}, {"parallax": True}], ids=["every", "basis", "parallax"]
)
def test_final_slices_are_those_of_one_process(store: PatternStore, cluster: Cluster, config: dict[str, Any]) -> None:
    volume, slices = final(store, config, HERE)
    there, same = final(store, config, Spread(cluster.map, 1))
    np.testing.assert_array_equal(there, volume)
    assert np.isfinite(volume).any()
    for one, other in zip(slices, same, strict=True):
        for here, found in zip(one, other, strict=True):
            assert np.isfinite(here).any()
            np.testing.assert_array_equal(found, here)


def test_fits_are_those_of_one_process(tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.analyse.slices.BATCH", 10)
    config, axis = load_config(tiny_site(tmp_path).path, {}), RadialAxis("2th_deg", 1.0, 20.0, 300, 0.6738)
    lines = np.exp(-0.5 * ((axis.centers[:, None] - [8.1, 15.6, 18.9]) / 0.08) ** 2).sum(axis=1)
    volume = np.random.default_rng(0).poisson(400 * (0.2 + lines), (5, 5, axis.bins)).astype(np.float32)
    inside = np.ones((5, 5), bool)
    voxels = WholeSlice(volume, inside, lambda some: volume[inside][some])
    maps, same = (
        VoxelReader.from_config(config, axis).read(0, voxels, {}, None, s) for s in (HERE, Spread(cluster.map, 1))
    )
    assert maps.keys() == same.keys()
    assert np.isfinite(maps["phase_layered"]).all()
    for name, plane in maps.items():
        np.testing.assert_array_equal(same[name], plane, err_msg=name)


def test_frames_are_those_of_one_process_and_a_damaged_one_is_told_apart(cluster: Cluster) -> None:
    cpu = make_cpu((97, 103), 80)
    remote = ClusterIntegrator.create(cpu, cluster)
    images = np.random.default_rng(1).poisson(3, (5, 97, 103)).astype("<u4")
    arrays = [encoded(image) for image in images]
    arrays[2] = encoded(images[2][:, :50])
    mask = images[0] > 4
    for there, here in ((remote, cpu), (remote.for_series(mask, 5), cpu.for_series(mask, 5))):
        assert there.axis == here.axis
        for n, (found, expected) in enumerate(zip(there.many(arrays), here.many(arrays), strict=True)):
            if n == 2:
                assert isinstance(found, MessageError)
                assert found.reason is Reject.SHAPE
                assert str(found) == str(expected)
                continue
            assert isinstance(found, Pattern)
            assert isinstance(expected, Pattern)
            np.testing.assert_array_equal(found.sums, expected.sums)
            np.testing.assert_array_equal(found.norms, expected.norms)


def fail(number: int) -> None:
    raise StoreError(f"task {number}")


def test_an_error_of_a_task_is_that_of_the_call(cluster: Cluster) -> None:
    with pytest.raises(StoreError, match="task 0"):
        list(cluster.map(fail, range(3)))


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "PATIENCE", 0.3)
    address = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(UnavailableError, match=f"no Dask scheduler answers at {address}"), spread_over(address):
        pass
    with pytest.raises(UnavailableError, match="no Dask scheduler answers at nonsense"), spread_over("nonsense"):
        pass


def test_workers_with_another_version_are_refused(
    address: str, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scale, "software", lambda: {"braggstream": "0.0.9"})
    with (
        pytest.raises(UnavailableError, match=r"has braggstream .*, the processor 0\.0\.9"),
        connected(address),
    ):
        pass
    with pytest.raises(UnavailableError, match=r"the processor 0\.0\.9"):  # of one that came later
        cluster.result(cluster.begin(abs, -1))


def test_what_excludes_each_other(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="exclude each other"):
        workers("tcp://x:1", local=2)
    config = load_config(tiny_site(tmp_path, integration={"backend": "opencl"}).path, {})
    with pytest.raises(ConfigError, match=r"integration\.backend is 'opencl'"):
        check_backend(Job(config=config, output=tmp_path, workers={"X": "tcp://x:1"}))
    check_backend(Job(config=config, output=tmp_path))
