"""A scan from its first frame to the last array in Tiled, read by a client while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import httpx
import matplotlib.pyplot as plt
import numpy as np
import orjson
import pytest
from helpers.chain import (
    Command,
    Message,
    PlainRun,
    Sender,
    Site,
    Stream,
    assert_identical,
    results,
    simulated,
    until,
)
from helpers.leaks import MARKED, leaks_of
from helpers.ports import free_port
from tiled.client import from_uri

from stream.analyse.classify.manifest import CLASSES
from stream.core.files import read_json
from stream.core.rundir import RunDirectory

N, BINS = 12, 300
FITTED = ["fraction", "strain", "strain_error", "size", "a", "c", "cell_volume"]
MAPS = ["global", "hump", "coverage", "phase_layered", "phase_carbon", "fit_quality"]
MAPS += [f"{name}_layered" for name in FITTED]
SINOGRAMS = ["global", "hump", "layered", "carbon"]
SHAPES = {
    "radial": (BINS,),
    "sum_pattern": (BINS,),
    "patterns": (1, N, N, BINS),
    **{f"sinograms/{name}": (1, N, N) for name in SINOGRAMS},
    **{f"maps/{name}": (1, N, N) for name in MAPS},
}
DIMS = {
    "radial": ("bin",),
    "sum_pattern": ("bin",),
    "live": ("slice", "map", "y", "x"),
    "patterns": ("slice", "angle", "position", "bin"),
    "volume": ("slice", "y", "x", "bin"),
    "sinograms": ("slice", "angle", "position"),
    "maps": ("slice", "y", "x"),
}


def read_tree(container: Any) -> dict[str, Any]:
    """Every array below a container: path → client, each of them read; results.nxs has a tree of its own."""
    found = {}
    for key, node in container.items():
        if key == "results":
            continue
        if hasattr(node, "shape"):
            assert node.read().shape == node.shape
            found[key] = node
        else:
            found |= {f"{key}/{name}": array for name, array in read_tree(node).items()}
    return found


def test_tiled_shows_the_scan_while_it_runs(
    site: Site, stream: Stream, plain_run: PlainRun, commands: list[Command], tiled: Callable[[], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("BRAGGSTREAM_KEY", MARKED)
    site.write(classification={"model": "mlp"}, detector={"idle_timeout": 60.0})  # it waits for a person's labels
    with Sender(site.endpoint, rate=40) as sender:
        command = site.run(once=False)
        commands.append(command)
        sender.send(stream.whole[:80])
        scan = until(tiled, "the scan in Tiled")
        assert [spec.name for spec in scan.specs] == ["XRDCT"]
        seen = [until(lambda: revision_of(scan), "the first revision")]
        tree = read_tree(scan)
        assert set(SHAPES) | {"live"} <= set(tree)  # all but the volume, from the first revision on
        for rest in (stream.whole[80:110], stream.whole[110:]):
            sender.send(rest)
            before = seen[-1]
            seen.append(until(lambda b=before: (now := revision_of(scan)) > b and now, "a later revision"))
            read_tree(scan)
            if len(seen) == 2:
                name_clusters(site)  # frames are missing still: the scan goes on
                until(lambda: model_of(site).get("labels_state") == "in use", "the user's classifier")
                assert model_of(site)["name"] == "own"
        assert seen == sorted(seen)
        assert seen[-1][0] > seen[0][0]
        assert seen[-1][1] > seen[0][1]
        until(lambda: scan.refresh().metadata["status"] == "complete", "complete in Tiled")

    tree = read_tree(scan)
    stored = results(site.folder / "run")
    for path, shape in {**SHAPES, "volume": (1, N, N, BINS)}.items():
        array = tree[path]
        assert array.shape == shape
        assert tuple(array.dims) == DIMS.get(path, DIMS.get(path.partition("/")[0])), path
        assert array.dtype == np.dtype("f8" if path in {"radial", "sum_pattern"} else "f4"), path
        np.testing.assert_array_equal(array.read(), stored[path], err_msg=path)
    assert tree["recording/raw-0001"].shape == (N * N, 128, 128)
    np.testing.assert_array_equal(scan["results"]["entry"]["maps"]["global"].read(), stored["maps/global"])
    live, planes = tree["live"], tree["live"].metadata["maps"]
    assert live.shape == (1, 32, N, N)
    for plane, name in enumerate(planes):
        np.testing.assert_array_equal(live.read()[:, plane], stored[f"maps/{name}"])
    assert np.isnan(live.read()[:, len(planes) :]).all()
    metadata = dict(scan.refresh().metadata)
    assert metadata["frames"] == {
        "expected": N * N, "received": N * N, "integrated": N * N, "duplicate": 0, "rejected": {}, "dropped": {},
        "in_flight": 0, "missing": 0, "missing_ranges": [], "no_beam": [],
    }  # fmt: skip
    assert metadata["config"]["scan"]["name"] == "tiny"
    assert metadata["center_from"] in {"data", "grid"}
    assert metadata["iterations"] == 20
    assert metadata["basis"].keys() == {"rank", "structures", "left_out", "worst_bin"}
    assert (metadata["outliers"], metadata["alignment"]) == (None, None)  # twelve projections are too few to tell
    manifest = read_json(RunDirectory(site.folder / "run").models / "manifest.json")
    assert (metadata["model"]["name"], metadata["model"]["sha256"]) == ("own", manifest["models"][0]["sha256"])
    assert set(np.unique(stored["maps/class_index"])) <= {-1, *map(CLASSES.index, ("empty", "particle"))}
    as_documented(site, stored["maps/strain_layered"][0])
    assert leaks_of(site, command) == []
    assert command.interrupt() < 5
    assert command.process.returncode == 0
    np.testing.assert_array_equal(stored["maps/global"], plain_run.arrays["maps/global"])


def as_documented(site: Site, strain: np.ndarray) -> None:
    """Readers copy these lines: the notebook's, and the README's."""
    root = Path(__file__).parents[2]
    cells = orjson.loads((root / "docs" / "strain-map.ipynb").read_bytes())["cells"]
    notebook = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    readme = (root / "README.md").read_text(encoding="utf-8").partition("```python\n")[2].partition("```")[0]
    for lines, scale in ((notebook, 1e4), (readme, 1.0)):
        assert "127.0.0.1:8081" in lines
        seen: dict[str, Any] = {}
        exec(lines.replace("8081", str(site.tiled)).replace("ncm622-cycled", "tiny"), seen)
        np.testing.assert_array_equal(seen["strain"], strain * np.float32(scale))
        seen["scan"].context.close()
    plt.close("all")


def name_clusters(site: Site) -> None:
    """Call the clusters of about half of the voxels empty, the others particle, on the page."""
    page = f"http://127.0.0.1:{site.page}/api/v1/scans/tiny"
    index = np.array(httpx.get(f"{page}/maps/cluster_index", trust_env=False).raise_for_status().json()["data"])
    counts = np.bincount(index[index >= 0])
    below = counts.cumsum() - counts / 2 < counts.sum() / 2
    labels = [{"cluster": k, "label": "empty" if below[k] else "particle"} for k in np.flatnonzero(counts).tolist()]
    key = {"Authorization": f"Bearer {(site.folder / 'run' / 'key').read_text()}"}
    answer = httpx.post(f"{page}/labels", json={"labels": labels}, headers=key, trust_env=False)
    assert answer.status_code == 202, answer.text


def model_of(site: Site) -> dict[str, Any]:
    """What the page tells of the model."""
    answer = httpx.get(f"http://127.0.0.1:{site.page}/api/v1/status", trust_env=False)
    return dict(answer.raise_for_status().json()["model"])


@pytest.fixture
def tiled(site: Site) -> Iterator[Callable[[], Any]]:
    """Gives the scan's container as a client finds it, None while it is not there."""
    url, roots = f"http://127.0.0.1:{site.tiled}", []

    def scan() -> Any:
        if not roots:
            try:
                httpx.get(f"{url}/healthz", trust_env=False)
            except httpx.TransportError:
                return None
            roots.append(from_uri(url))
        return roots[0].get("tiny")

    yield scan
    for root in roots:
        root.context.close()


def revision_of(scan: Any) -> tuple[int, int] | None:
    """(revision, integrated) as the client sees them, None before the first."""
    metadata = scan.refresh().metadata
    return (metadata["revision"], metadata["frames"]["integrated"]) if metadata["revision"] else None


def test_results_hold_every_array_of_the_tree(plain_run: PlainRun) -> None:
    arrays = plain_run.arrays
    for path, shape in {**SHAPES, "volume": (1, N, N, BINS)}.items():
        assert arrays[path].shape == shape, path
        assert arrays[path].dtype == np.dtype("f8" if path in {"radial", "sum_pattern"} else "f4"), path
    y, x = np.indices((N, N)) * 2.0 - 11.0
    outside = x**2 + y**2 > 12**2
    for name in MAPS:
        assert np.isnan(arrays[f"maps/{name}"][0][outside]).all(), name
    inside = (x**2 + y**2) < 11**2
    assert np.isfinite(arrays["maps/global"][0][inside]).all()
    assert np.isfinite(arrays["maps/phase_layered"][0][inside]).all()
    np.testing.assert_allclose(arrays["maps/coverage"][0][inside], 1, rtol=1e-6)
    np.testing.assert_allclose(arrays["sinograms/global"], arrays["patterns"].sum(-1) * 19 / BINS, rtol=1e-4)
    state = read_json(RunDirectory(plain_run.directory).state)
    assert state["status"] == "complete"
    with h5py.File(plain_run.directory / "results.nxs") as file:
        assert file.attrs["default"] == "entry"
        assert file["entry/maps"].attrs["signal"] == "global"
        told = orjson.loads(file["entry/metadata"][()])
    assert told["units"]["strain_layered"] == "1"
    assert read_json(RunDirectory(plain_run.directory).published)["status"] == "complete"


def delivered(stream: Stream, dice: np.random.Generator) -> list[Message]:
    """The series with each image once to three times, none more than 64 places from where it belongs."""
    images = [
        image for image, times in zip(stream.images, dice.integers(1, 4, N * N), strict=True) for _ in range(times)
    ]
    order = np.argsort(np.arange(len(images)) + dice.uniform(0, 64, len(images)))
    return [stream.start, *(images[n] for n in order), stream.end]


@pytest.mark.parametrize("format", [pytest.param("dectris-1", marks=pytest.mark.slow), "dectris-2"])
def test_other_protocol_order_and_duplicates_change_no_bit(site: Site, plain_run: PlainRun, format: str) -> None:
    messages = delivered(simulated(site, format), np.random.default_rng(3))
    with Sender(site.endpoint) as sender:
        sender.send(messages)
        command = site.run()
        assert command.wait() == 0, command.err
        assert sender.sent == len(messages)
    assert_identical(plain_run.arrays, results(site.folder / "run"))
    frames = site.frames()
    extra = len(messages) - 2 - N * N
    print(f"{format}: {N * N} frames in {len(messages) - 2} deliveries, {frames['duplicate']} duplicate")
    assert (frames["integrated"], frames["duplicate"], frames["received"]) == (N * N, extra, N * N + extra)
    assert (frames["rejected"], frames["dropped"]) == ({}, {})


def test_replay_changes_no_bit(site: Site, plain_run: PlainRun) -> None:
    ports = {"BRAGGSTREAM__DASHBOARD__PORT": str(free_port()), "BRAGGSTREAM__PUBLISH__PORT": str(free_port())}
    command = site.command("replay", plain_run.directory, "--once", **ports)
    assert command.wait() == 0, command.err
    assert_identical(plain_run.arrays, results(site.folder / "runs" / "tiny-1"))
