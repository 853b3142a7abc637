"""The HTTP interface over a real socket: what it says when something is not there, its headers, schema and metrics."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from helpers.dashboard import SCAN, sentence, serving
from helpers.fake_run import FakeRun
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/api/v1/scans/other/maps", 404, "no scan 'other'"),
        (f"{SCAN}/maps/nothing", 404, "no map 'nothing'"),
        (f"{SCAN}/maps/coverage?slice=2", 404, "no slice 2: this scan has 2"),
        (f"{SCAN}/maps/coverage?slice=x", 422, "slice is 'x'"),
        (f"{SCAN}/maps/coverage?format=gif", 422, "format is 'gif'"),
        (f"{SCAN}/maps/coverage?format=png&low=2&high=1", 422, "low below high"),
        (f"{SCAN}/maps/class_probability?class=gold", 404, "no class 'gold'"),
        (f"{SCAN}/sinograms/nothing", 404, "no sinogram 'nothing'"),
        (f"{SCAN}/voxels/0/21/0", 404, "no voxel (0, 21, 0)"),
        (f"{SCAN}/voxels/0/-1/0", 404, "no voxel (0, -1, 0)"),
        (f"{SCAN}/profile?from=1,1&to=1", 422, "to is '1'"),
        (f"{SCAN}/profile?from=1,1", 422, "to: field required"),
        (f"{SCAN}/profile?from=1,1&to=90,1", 404, "no voxel (0, 90, 1)"),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(client: httpx.Client, path: str, status: int, words: str) -> None:
    assert words in sentence(client.get(path), status)


def test_the_page_and_what_it_loads_come_from_here(client: httpx.Client) -> None:
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "<style" not in page.text
    assert "http://" not in page.text.replace("http://www.w3.org/", "")
    assert "https://" not in page.text
    for path in ("js/main.js", "style.css", "colours.json", "vendor/uplot/uPlot.iife.min.js", "vendor/uplot/LICENSE"):
        assert client.get(f"/static/{path}").status_code == 200, path
    assert client.get("/static/../app.py").status_code == 404


def test_every_answer_carries_the_security_headers(client: httpx.Client) -> None:
    for path in ("/", "/static/style.css", "/api/v1/status", "/api/v1/nothing", f"{SCAN}/maps/nothing"):
        headers = client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'self';")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_the_schema_names_every_route(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    scan = "/api/v1/scans/{scan}"
    reads = [
        "maps",
        "maps/{name}",
        "sinograms",
        "sinograms/{name}",
        "voxels/{index}/{y}/{x}",
        "profile",
        "frame",
        "frame/two_theta",
        "pattern",
        "reflections",
        "summary",
    ]
    controls = ["regions", "labels", "finish", "abort", "recompute"]
    assert all("get" in paths[f"{scan}/{name}"] for name in reads)
    assert all("post" in paths[f"{scan}/{name}"] for name in controls)
    assert {"/healthz", "/readyz", "/metrics", "/api/v1/status", "/api/v1/scans", "/api/v1/documents"} <= set(paths)


def test_metrics_are_the_ledgers_numbers(client: httpx.Client) -> None:
    frames = client.get("/api/v1/status").json()["frames"]
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
    }
    assert samples["braggstream_frames_total", "integrated", "", "diffraction"] == frames["integrated"]
    assert samples["braggstream_frames_total", "rejected", "truncated", "diffraction"] == 1
    assert samples["braggstream_frames_missing", "diffraction"] == frames["missing"]
    assert samples["braggstream_revision",] == 1
    assert samples["braggstream_status", "ncm622-cycled", "acquiring"] == 1


def test_a_run_without_anything_yet(tmp_path: Path) -> None:
    run = FakeRun(tmp_path, size=21)
    with serving(run) as url, httpx.Client(base_url=url, trust_env=False) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 503
        status = client.get("/api/v1/status").json()
        assert (status["status"], status["revision"], status["rate"], status["update_age"]) == (
            "waiting",
            0,
            None,
            None,
        )
        assert client.get(f"{SCAN}/maps").json() == {"revision": 0, "maps": []}
        assert "has no maps yet" in sentence(client.get(f"{SCAN}/maps/global"), 404)
        assert "no detector frame yet" in sentence(client.get(f"{SCAN}/frame"), 404)
        run.receive(0.01)
        assert client.get("/api/v1/status").json()["status"] == "acquiring"


def test_a_damaged_revision_is_not_published(tmp_path: Path) -> None:
    run = FakeRun(tmp_path, size=21)
    run.advance(0.2)
    data = bytearray(run.directory.revision.read_bytes())
    data[len(data) // 2] ^= 0xFF
    run.directory.revision.write_bytes(data)
    with serving(run) as url:
        assert "cannot be read" in sentence(httpx.get(f"{url}/api/v1/status", trust_env=False), 503)
        with connect(url.replace("http", "ws") + "/api/v1/live", proxy=None) as socket:
            with pytest.raises(ConnectionClosedError) as closed:
                socket.recv(timeout=5)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1011
