"""The HTTP interface over a real socket: every route, who gets in, and what is said when something is wrong."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tifffile
from helpers.dashboard import KEY, serving
from helpers.fake_run import CLASSES, FakeRun
from PIL import Image
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from stream.core.commands import read_commands
from stream.core.errors import FitError, UsageError
from stream.core.revision import read_revision
from stream.dashboard import create_app

SCAN = "/api/v1/scans/ncm622-cycled"
AUTH = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> FakeRun:
    run = FakeRun(tmp_path_factory.mktemp("run"), size=21, slices=2)
    run.advance(0.5)
    return run


@pytest.fixture(scope="module")
def client(run: FakeRun) -> Iterator[httpx.Client]:
    with serving(run) as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield client


def revision_arrays(run: FakeRun) -> dict[str, Any]:
    revision = read_revision(run.directory.revision)
    assert revision is not None
    return dict(revision.arrays)


def sentence(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    return str(response.json()["detail"])


# reads


def test_status_carries_the_metadata_and_the_figures(client: httpx.Client, run: FakeRun) -> None:
    status = client.get("/api/v1/status").json()
    frames = status["frames"]
    assert (status["scan"], status["status"], status["revision"]) == ("ncm622-cycled", "acquiring", 1)
    rejected, dropped = sum(frames["rejected"].values()), sum(frames["dropped"].values())
    assert frames["received"] == frames["integrated"] + frames["duplicate"] + rejected + dropped + frames["in_flight"]
    assert frames["expected"] == frames["integrated"] + frames["missing"] == run.grid.size
    assert status["eta"] == pytest.approx(frames["missing"] / status["rate"])
    assert [text for _, text in status["events"]] == ["series 1 opened by its header", "frame 17 was truncated"]


def test_maps_are_listed_with_group_unit_and_error(client: httpx.Client) -> None:
    entries = client.get(f"{SCAN}/maps").json()["maps"]
    by_name = {entry["name"]: entry for entry in entries if entry["plane"] is None}
    assert by_name["strain_layered"]["error"] == "strain_error_layered"
    assert by_name["a_layered"]["unit"] == "Å"
    assert by_name["hump"]["group"] == "Intensity"
    assert [entry["plane"] for entry in entries if entry["plane"]] == CLASSES


@pytest.mark.parametrize("index", [0, 1])
def test_a_map_is_the_same_in_every_format(client: httpx.Client, run: FakeRun, index: int) -> None:
    expected = revision_arrays(run)["maps/strain_layered"][index]

    def get(form: str) -> httpx.Response:
        return client.get(f"{SCAN}/maps/strain_layered", params={"slice": index, "format": form}).raise_for_status()

    data = np.array(get("json").json()["data"], dtype=np.float32)
    np.testing.assert_array_equal(data, expected)
    answer = get("npy")
    np.testing.assert_array_equal(np.load(io.BytesIO(answer.content)), expected)
    assert json.loads(answer.headers["X-Braggstream"])["revision"] == 1
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(get("tiff").content)), expected)
    np.testing.assert_allclose(np.loadtxt(io.StringIO(get("csv").text), delimiter=","), expected, rtol=1e-6)
    picture = np.asarray(Image.open(io.BytesIO(get("png").content)))
    np.testing.assert_array_equal(picture[..., 3] > 0, np.isfinite(expected))


def test_the_colours_of_a_picture_follow_the_limits(client: httpx.Client) -> None:
    answer = client.get(f"{SCAN}/maps/coverage", params={"format": "png", "low": 5, "high": 6})
    picture = np.asarray(Image.open(io.BytesIO(answer.content)))
    assert (picture[picture[..., 3] > 0][:, :3] == [0x00, 0x22, 0x4E]).all()  # the darkest colour of cividis


def test_class_probability_by_label_and_whole(client: httpx.Client, run: FakeRun) -> None:
    expected = revision_arrays(run)["maps/class_probability"][0]
    one = client.get(f"{SCAN}/maps/class_probability", params={"class": "particle", "format": "npy"})
    np.testing.assert_array_equal(np.load(io.BytesIO(one.content)), expected[3])
    whole = client.get(f"{SCAN}/maps/class_probability", params={"format": "npy"})
    np.testing.assert_array_equal(np.load(io.BytesIO(whole.content)), expected)
    assert "ask for one plane" in sentence(client.get(f"{SCAN}/maps/class_probability?format=png"), 422)


def test_sinograms_pattern_and_frame(client: httpx.Client, run: FakeRun) -> None:
    arrays = revision_arrays(run)
    assert set(client.get(f"{SCAN}/sinograms").json()["sinograms"]) == {"global", "hump", "layered", "spinel"}
    sinogram = client.get(f"{SCAN}/sinograms/hump?format=npy")
    np.testing.assert_array_equal(np.load(io.BytesIO(sinogram.content)), arrays["sinograms/hump"][0])
    pattern = client.get(f"{SCAN}/pattern").json()
    np.testing.assert_allclose(pattern["axis"], arrays["radial"])
    assert pattern["regions"] == [{"name": "hump", "range": [1.5, 3.0]}]
    frame = client.get(f"{SCAN}/frame").json()
    assert (frame["saturated"], frame["factor"], frame["shape"]) == (3, 16, [130, 140])
    assert frame["data"][65][0] is None


def test_a_voxel_tells_pattern_values_errors_and_classes(client: httpx.Client, run: FakeRun) -> None:
    arrays = revision_arrays(run)
    volume = np.fromfile(run.directory.volume, dtype="<f4").reshape(2, 21, 21, run.bins)
    voxel = client.get(f"{SCAN}/voxels/1/9/12").json()
    np.testing.assert_array_equal(np.float32(voxel["pattern"]), volume[1, 9, 12])
    assert voxel["position_um"] == {"y": -1.0, "x": 2.0}
    by_name = {value["name"]: value for value in voxel["values"]}
    assert by_name["coverage"]["value"] == pytest.approx(arrays["maps/coverage"][1, 9, 12])
    error = arrays["maps/strain_error_layered"][1, 9, 12].item()
    assert by_name["strain_layered"]["error"] == (pytest.approx(error) if np.isfinite(error) else None)
    assert list(voxel["classes"]["probabilities"]) == CLASSES
    assert sum(voxel["classes"]["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert voxel["fit"] is None


def test_a_voxel_outside_the_field_of_view_has_no_numbers(client: httpx.Client) -> None:
    voxel = client.get(f"{SCAN}/voxels/0/0/0").json()
    assert not voxel["inside"]
    assert {value["value"] for value in voxel["values"] if value["name"] != "class_index"} == {None}
    assert voxel["classes"]["label"] is None


def test_a_profile_follows_the_line(client: httpx.Client, run: FakeRun) -> None:
    volume = np.fromfile(run.directory.volume, dtype="<f4").reshape(2, 21, 21, run.bins)
    profile = client.get(f"{SCAN}/profile", params={"from": "2,3", "to": "8,6"}).json()
    assert [(point["y"], point["x"]) for point in profile["points"]][::2] == [(2, 3), (4, 4), (6, 5), (8, 6)]
    assert profile["points"][-1]["distance_um"] == pytest.approx(np.hypot(6, 3))
    np.testing.assert_array_equal(np.float32(profile["patterns"][-1]), volume[0, 8, 6])


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
        "pattern",
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
    assert samples["braggstream_frames_total", "integrated", ""] == frames["integrated"]
    assert samples["braggstream_frames_total", "rejected", "truncated"] == 1
    assert samples["braggstream_frames_missing",] == frames["missing"]
    assert samples["braggstream_revision",] == 1
    assert samples["braggstream_status", "ncm622-cycled", "acquiring"] == 1


# before the first frame


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
        assert client.get("/readyz").status_code == 200
        assert client.get("/api/v1/status").json()["status"] == "acquiring"


def test_a_damaged_revision_is_not_published(tmp_path: Path) -> None:
    run = FakeRun(tmp_path, size=21)
    run.advance(0.2)
    data = bytearray(run.directory.revision.read_bytes())
    data[len(data) // 2] ^= 0xFF
    run.directory.revision.write_bytes(data)
    with serving(run) as url:
        assert "cannot be read" in sentence(httpx.get(f"{url}/api/v1/status", trust_env=False), 503)


# who gets in


@pytest.mark.parametrize("path", [f"{SCAN}/finish", f"{SCAN}/regions", f"{SCAN}/nothing", "/api/v1/documents"])
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {KEY}"}])
def test_nothing_changes_without_the_key(
    client: httpx.Client, run: FakeRun, path: str, headers: dict[str, str]
) -> None:
    before = len(read_commands(run.directory.commands))
    answer = client.post(path, headers=headers, content=b"{not json")
    assert "Authorization: Bearer KEY" in sentence(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"
    assert len(read_commands(run.directory.commands)) == before


def test_an_empty_key_is_refused(run: FakeRun) -> None:
    with pytest.raises(UsageError, match="key of the HTTP interface is empty"):
        create_app(run.directory, run.config, "")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "", "["])
def test_a_foreign_host_name_reads_nothing(client: httpx.Client, host: str) -> None:
    assert "does not answer for the host" in sentence(client.get("/api/v1/status", headers={"Host": host}), 400)


def test_a_large_body_is_refused_however_it_comes(client: httpx.Client) -> None:
    big = b" " * 1_000_001
    assert "larger than 1000000" in sentence(client.post(f"{SCAN}/finish", headers=AUTH, content=big), 413)
    chunks = iter([big[:600_000], big[600_000:]])
    assert "larger than 1000000" in sentence(client.post(f"{SCAN}/finish", headers=AUTH, content=chunks), 413)


def test_other_binds_need_the_key_for_reads(tmp_path: Path) -> None:
    run = FakeRun(tmp_path, size=21)
    run.advance(0.2)
    with serving(run, host="0.0.0.0") as url, httpx.Client(base_url=url, trust_env=False) as client:
        for path in ("/api/v1/status", f"{SCAN}/maps/global", "/metrics"):
            assert client.get(path).status_code == 401
            assert client.get(path, headers=AUTH).status_code == 200
        assert client.get("/").status_code == 200
        assert client.get("/healthz").status_code == 200
        address = url.replace("http", "ws") + "/api/v1/live"
        with pytest.raises(InvalidStatus, match="403"):
            connect(address, proxy=None)
        coded = "bearer.dGVzdC1rZXk"  # base64url of test-key
        with connect(address, proxy=None, subprotocols=[coded]) as socket:  # type: ignore[list-item]
            assert json.loads(socket.recv(timeout=5))["revision"] == 1


# control


def test_commands_are_written_in_order(tmp_path: Path) -> None:
    run = FakeRun(tmp_path, size=21)
    run.advance(0.2)
    region = {"name": "first", "range": [7.0, 8.0]}
    with serving(run) as url, httpx.Client(base_url=url + SCAN, headers=AUTH, trust_env=False) as client:
        assert client.post("/regions", json={"regions": [region]}).json() == {"command": 1, "kind": "regions"}
        assert client.post("/labels", json={"labels": [{"cluster": 0, "label": "particle"}]}).status_code == 202
        assert client.post("/recompute").status_code == 202
        assert client.post("/finish").status_code == 202
        assert client.post("/abort").status_code == 202
        commands = read_commands(run.directory.commands)
        assert [command.kind for command in commands] == ["regions", "labels", "recompute", "finish", "abort"]
        assert commands[0].arguments == {"regions": [region]}
        run.advance(1.0, "complete")
        assert "a run that is complete cannot take" in sentence(client.post("/abort"), 409)
        assert "a run that is complete cannot take" in sentence(client.post("/finish"), 409)


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("regions", "{not json", "the body is not valid JSON"),
        ("regions", {"regions": []}, "regions"),
        ("regions", {"regions": [{"name": "a b", "range": [1, 2]}]}, "regions.0.name is 'a b'"),
        ("regions", {"regions": [{"name": "ab", "range": [2, 1]}]}, "low < high"),
        ("regions", {"regions": [{"name": "coverage", "range": [1, 2]}]}, "'coverage' is taken by a map"),
        ("regions", {"regions": [{"name": "strain_layered", "range": [1, 2]}]}, "is taken by a map"),
        ("regions", {"regions": [{"name": "ab", "range": [1, 2]}], "more": 1}, "more is 1"),
        ("labels", {"labels": [{"cluster": 0, "label": "gold"}]}, "'gold' is not one of the classes"),
        ("labels", {"labels": [{"cluster": -1, "label": "empty"}]}, "labels.0.cluster is -1"),
    ],
)
def test_bodies_are_checked(client: httpx.Client, path: str, body: Any, words: str) -> None:
    content = body if isinstance(body, str) else json.dumps(body)
    answer = client.post(f"{SCAN}/{path}", headers={**AUTH, "Content-Type": "application/json"}, content=content)
    assert words in sentence(answer, 422)


def test_documents_are_not_available(client: httpx.Client) -> None:
    assert "not available in this version" in sentence(client.post("/api/v1/documents", headers=AUTH, json={}), 501)


# the fit's seam


def test_the_fit_of_a_voxel_is_passed_on(tmp_path: Path) -> None:
    run = FakeRun(tmp_path, size=21)
    run.advance(0.2)

    def fit(axis: Any, pattern: Any) -> dict[str, Any]:
        if pattern.max() < 0.5:
            raise FitError("fewer than three usable reflections")
        return {"curve": pattern * 0 + axis.max()}

    with serving(run, fit_voxel=fit) as url, httpx.Client(base_url=url + SCAN, trust_env=False) as client:
        volume = np.fromfile(run.directory.volume, dtype="<f4").reshape(21, 21, run.bins)
        strong = np.argwhere(volume.max(axis=-1) > 0.5)[0]
        assert client.get(f"/voxels/0/{strong[0]}/{strong[1]}").json()["fit"]["curve"][0] == pytest.approx(20.0)
        weak = client.get("/voxels/0/0/0").json()
        assert (weak["fit"], weak["fit_refused"]) == (None, "fewer than three usable reflections")


# the push channel


def test_one_message_for_each_revision(tmp_path: Path) -> None:
    run = FakeRun(tmp_path, size=21)
    with serving(run) as url, connect(url.replace("http", "ws") + "/api/v1/live", proxy=None) as socket:
        assert json.loads(socket.recv(timeout=5))["revision"] == 0
        for share in (0.2, 0.4):
            number = run.advance(share).number
            message = json.loads(socket.recv(timeout=5))
            assert message["revision"] == number
            assert not {"config", "residual_trace"} & set(message)
        with pytest.raises(TimeoutError):
            socket.recv(timeout=0.4)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "http://evil.example#{host}"])
def test_a_foreign_origin_is_refused_at_the_handshake(client: httpx.Client, origin: str) -> None:
    address = str(client.base_url).rstrip("/").replace("http", "ws") + "/api/v1/live"
    with pytest.raises(InvalidStatus, match="403"):
        connect(address, proxy=None, origin=origin.format(host=client.base_url.netloc.decode()))  # type: ignore[arg-type]


def test_the_own_origin_is_welcome(client: httpx.Client) -> None:
    base = str(client.base_url).rstrip("/")
    with connect(base.replace("http", "ws") + "/api/v1/live", proxy=None, origin=base) as socket:  # type: ignore[arg-type]
        assert json.loads(socket.recv(timeout=5))["revision"] == 1


def test_readers_in_parallel_see_whole_revisions(tmp_path: Path) -> None:
    run = FakeRun(tmp_path, size=21)
    run.advance(0.1)
    failures: list[str] = []
    stop = time.monotonic() + 1.5

    def read(url: str) -> None:
        with httpx.Client(base_url=url, trust_env=False) as client:
            while time.monotonic() < stop:
                for path in ("/api/v1/status", f"{SCAN}/maps/global?format=npy", f"{SCAN}/voxels/0/10/10"):
                    if (answer := client.get(path)).status_code != 200:
                        failures.append(answer.text)

    with serving(run) as url:
        readers = [threading.Thread(target=read, args=(url,)) for _ in range(3)]
        for reader in readers:
            reader.start()
        while time.monotonic() < stop:
            run.advance(0.1 + 0.01 * run.number)
        for reader in readers:
            reader.join()
    assert run.number > 3
    assert failures == []
