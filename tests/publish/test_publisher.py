"""The tree in a real Tiled: names, growth, refusals, restarts."""

from __future__ import annotations

import io
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from helpers.recording_process import FRAMES, recording
from helpers.tiled_run import BINS, KEY, SIZE, Run, Server, make_run
from PIL import Image
from tiled.queries import FullText, Key
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.sync.server import serve

from stream.core.errors import UnavailableError
from stream.core.files import read_json
from stream.core.revision import Revision, write_revision
from stream.core.rundir import RunDirectory
from stream.ingest.ledger import FrameRow, Ledger
from stream.publish.client import TiledScan, attach
from stream.publish.publisher import TiledPublisher
from stream.publish.server import listen
from stream.publish.tree import Node

pytestmark = [
    # Tiled leaves the connection of a client that it could not finish making to the garbage collector
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning"),
    # Tiled's subscription holds its websocket open without a with block, of which websockets 17 thinks little
    pytest.mark.filterwarnings("ignore:connect.. must be used as a context manager:DeprecationWarning"),
]

PLANE = ((1, SIZE, SIZE), "<f4", ("slice", "y", "x"))
RAYS = ((1, SIZE, SIZE), "<f4", ("slice", "angle", "position"))
TREE = {  # the tree of the documentation
    "live": ((1, 32, SIZE, SIZE), "<f4", ("slice", "map", "y", "x")),
    "radial": ((BINS,), "<f8", ("bin",)),
    "sum_pattern": ((BINS,), "<f8", ("bin",)),
    "patterns": ((1, SIZE, SIZE, BINS), "<f4", ("slice", "angle", "position", "bin")),
    "sinograms/global": RAYS,
    "sinograms/hump": RAYS,
    "maps/global": PLANE,
    "maps/hump": PLANE,
    "maps/coverage": PLANE,
    "maps/class_index": ((1, SIZE, SIZE), "|i1", ("slice", "y", "x")),
    "maps/class_probability": ((1, 5, SIZE, SIZE), "<f4", ("slice", "class", "y", "x")),
}
VOLUME = ((1, SIZE, SIZE, BINS), "<f4", ("slice", "y", "x", "bin"))


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    """Ours and the facility's, started side by side."""
    both = (Server(tmp_path_factory.mktemp("ours")), Server(tmp_path_factory.mktemp("facility"), embedded=False))
    for server in both:
        server.start()
    try:
        for server in both:
            server.wait()
        yield both
    finally:
        for server in both:
            server.stop()


@pytest.fixture
def run(servers: tuple[Server, Server], request: pytest.FixtureRequest) -> Iterator[Run]:
    """A fresh run under the embedded server, named after the test."""
    name = request.node.name.removeprefix("test_").translate(str.maketrans("[", "-", "]"))
    with closing(make_run(servers[0].folder / name, servers[0].url, name)) as run:
        yield run


@pytest.fixture(scope="module")
def shown(servers: tuple[Server, Server]) -> Iterator[Run]:
    """A run with one published revision, to look at."""
    with closing(make_run(servers[0].folder / "shown", servers[0].url, "shown")) as run:
        run.revise()
        run.publisher.step()
        yield run


def found(container: Any, folder: str = "") -> dict[str, tuple[Any, ...]]:
    """(shape, dtype, dims) of every array below; files that are read in place have trees of their own."""
    tree: dict[str, tuple[Any, ...]] = {}
    for key, item in container.items():
        if key in {"results", "recording"}:
            continue
        if item.structure_family == "container":
            tree |= found(item, f"{key}/")
        else:
            tree[folder + key] = (item.shape, item.dtype.str, item.dims)
    return tree


def assert_holds(container: Any, run: Run, but: str = "projection_frames") -> None:
    """Every array of the newest revision can be read, and is that revision's."""
    for path, array in run.arrays.items():
        if path != "projection_frames" and not path.startswith(but):
            got = container[path].read()
            np.testing.assert_array_equal(got, array.astype(got.dtype), err_msg=path)
    np.testing.assert_array_equal(container["patterns"].read(), run.patterns)


def test_every_array_but_the_volume_is_there_from_the_first_revision_on(run: Run) -> None:
    run.measure(0)
    run.revise()
    run.publisher.step()
    scan = run.scan
    assert [spec.name for spec in scan.specs] == ["XRDCT"]
    assert found(scan) == TREE
    assert_holds(scan, run)
    run.revise("complete", final=True)
    run.publisher.step()
    assert found(run.scan) == TREE | {"volume": VOLUME}
    assert_holds(run.scan, run)


def test_the_scan_is_there_before_its_first_revision(run: Run) -> None:
    run.publisher.step()
    assert run.scan.metadata["status"] == "waiting"
    assert run.scan.metadata["revision"] == 0
    assert run.scan.metadata["frames"]["expected"] == SIZE * SIZE


def test_revisions_grow(run: Run) -> None:
    run.measure(0, 1)
    run.revise()
    run.publisher.step()
    first = run.scan["patterns"].read()
    assert np.isfinite(first[0, :2]).all()
    assert np.isnan(first[0, 2:]).all()
    run.measure(2, 4)
    run.frames[0, 4] = 3
    run.patterns[0, 4, 3:] = np.nan  # a projection half done
    run.revise()
    run.publisher.step()
    scan = run.scan
    assert scan.metadata["revision"] == 2
    assert scan["live"].metadata["revision"] == 2
    assert_holds(scan, run, but="maps/")
    delays = run.publisher._outgoing.delays  # of the second revision: the first came before there was a container
    assert delays.counts.sum() == 1
    assert delays.total > 20


def test_maps_take_turns_between_the_first_and_the_final_revision(run: Run) -> None:
    run.revise()
    run.publisher.step()
    stale = {path: array for path, array in run.arrays.items() if path.startswith("maps/")}
    for _ in range(2):  # five maps, four a step
        run.revise()
        run.publisher.step()
    for path, array in stale.items():
        assert not np.array_equal(run.scan[path].read(), array.astype("f4"), equal_nan=True), path
    run.revise("incomplete", final=True)
    run.publisher.step()
    assert_holds(run.scan, run)


def test_live_holds_the_named_maps_and_nan_behind_them(shown: Run) -> None:
    live = shown.scan["live"]
    names = live.metadata["maps"]
    assert set(names) == {"global", "coverage", "class_index", "hump"}
    planes = live.read()
    for plane, name in enumerate(names):
        np.testing.assert_array_equal(planes[:, plane], shown.arrays[f"maps/{name}"].astype("f4"), err_msg=name)
    assert np.isnan(planes[:, len(names) :]).all()


def test_a_map_comes_later_and_one_goes(run: Run) -> None:
    run.revise()
    run.publisher.step()
    before = run.scan["live"].metadata["maps"]
    run.revise(regions=("ring",))
    run.publisher.step()
    scan = run.scan
    assert set(found(scan)) == set(TREE) | {"maps/ring", "sinograms/ring"}
    assert scan["live"].metadata["maps"] == [*before, "ring"]
    for gone in (scan["maps/hump"].read(), scan["sinograms/hump"].read(), scan["live"].read()[:, before.index("hump")]):
        assert np.isnan(gone).all()


def test_what_did_not_change_is_not_sent_again(run: Run) -> None:
    run.measure(0)
    run.revise()
    run.publisher.step()
    sent: list[str] = []
    outgoing = run.publisher._outgoing
    assert outgoing is not None
    outgoing.scan.container.context.http_client.event_hooks["request"].append(
        lambda r: sent.append(f"{r.method} {r.url.path}")
    )
    run.publisher.step()
    assert sent == []
    same = run.arrays
    run.revise()
    write_revision(
        run.directory.revision,
        Revision(
            number=3, metadata={"status": "acquiring", "final": True}, arrays={**same, "sum_pattern": np.ones(BINS)}
        ),
    )
    run.publisher.step()
    written = {path.rpartition("/")[2] for path in sent if path.startswith("PUT")}
    assert written == {"sum_pattern"}


def test_the_final_step_corrects_patterns_that_changed_under_the_same_count(run: Run) -> None:
    run.measure(0, 1)
    run.revise()
    run.publisher.step()
    run.patterns[0, 1] += 1
    run.revise("incomplete", final=True)
    run.publisher.step()
    assert_holds(run.scan, run)


def test_counts_move_between_two_revisions(run: Run) -> None:
    run.revise()
    run.publisher.step()
    ledger = Ledger.open(run.directory.ledger)
    ledger.add(FrameRow(slot=0, series="s", frame=0, monitor=None, received=0.0))
    ledger.commit(received=1, phase="acquiring")
    assert run.publisher._outgoing is not None
    run.publisher._outgoing._told_at = 0.0
    run.publisher.step()
    frames = run.scan.metadata["frames"]
    assert (frames["integrated"], frames["received"], frames["missing"]) == (1, 1, SIZE * SIZE - 1)
    ledger.close()


def test_anybody_reads_and_nobody_writes_without_the_key(shown: Run) -> None:
    scan = shown.scan
    assert scan["maps/global"].read().shape == (1, SIZE, SIZE)
    for attempt in (
        lambda: scan["maps/global"].write(np.zeros((1, SIZE, SIZE), "f4")),
        lambda: scan.patch_metadata([{"op": "add", "path": "/status", "value": "failed"}]),
        lambda: shown.connect().create_container("mine"),
        lambda: scan["maps/global"].delete(),
    ):
        with pytest.raises(httpx.HTTPStatusError, match="401"):
            attempt()
    node = httpx.get(f"{shown.url}/api/v1/metadata/shown/maps/global", params={"include_data_sources": True})
    asset = node.json()["data"]["attributes"]["data_sources"][0]["assets"][0]["id"]
    file = httpx.get(f"{shown.url}/api/v1/asset/manifest/shown/maps/global", params={"id": asset})
    assert file.status_code == 403, "raw files are not for everybody"


def test_tiled_answers_no_foreign_name_page_or_body(shown: Run) -> None:
    with httpx.Client(base_url=shown.url, trust_env=False) as client:
        paths = client.get("/openapi.json").json()["paths"]
        writes = [
            (verb, path)
            for path, found in paths.items()
            for verb in found
            if verb in {"post", "put", "patch", "delete"}
        ]
        assert len(writes) > 10
        for verb, path in writes:
            path = path.replace("{path}", "shown").replace("{provider}", "x")
            assert client.request(verb, path, content=b"{not json").status_code == 401, path
            wrong = {"Authorization": f"Apikey {KEY}x"}
            assert client.request(verb, path, content=b"{not json", headers=wrong).status_code == 401, path
        assert client.get("/api/v1/", headers={"Host": "evil.example"}).status_code == 400
        headers = client.get("/api/v1/").headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        for up in ("../", "..%2f", "%2e%2e/", "..%252f", "....//", "/"):
            for target in ("etc/passwd", "key", "catalog.db", "config.yaml"):
                for route in ("metadata", "array/full", "asset/bytes", "container/full"):
                    answer = client.get(f"/api/v1/{route}/{up * 6}{target}")
                    assert answer.status_code in {400, 403, 404, 422}, (route, up, target)
    address = shown.url.replace("http", "ws") + "/api/v1/stream/single/shown?envelope_format=json"
    with pytest.raises(InvalidStatus, match="403"):
        connect(address, proxy=None, origin="http://evil.example")  # type: ignore[arg-type]


def test_a_masked_map_is_drawn(shown: Run) -> None:
    url = f"{shown.url}/api/v1/array/full/{shown.config.scan.name}/maps/global"
    image = np.asarray(Image.open(io.BytesIO(httpx.get(url, params={"format": "png"}).content)))
    assert image.shape == (SIZE, SIZE, 2)
    np.testing.assert_array_equal(image[..., 1] == 0, np.eye(SIZE, dtype=bool))
    assert np.unique(image[..., 0]).size > 10


def test_a_subscriber_gets_each_update_of_live(run: Run) -> None:
    run.revise()
    run.publisher.step()
    got: list[Any] = []
    arrived = threading.Event()

    def take(update: Any) -> None:
        got.append(update.data())
        arrived.set()

    subscription = run.scan["live"].subscribe()
    subscription.new_data.add_callback(take)
    subscription.start_in_thread()
    try:
        for _ in range(20):  # the subscription is not there at once
            run.revise()
            run.publisher.step()
            if arrived.wait(0.1):
                break
        assert got[0].shape == (1, 32, SIZE, SIZE)
    finally:
        subscription.disconnect()


def test_complete_is_said_only_when_the_final_arrays_can_be_read(run: Run) -> None:
    run.measure(0)
    run.revise()
    run.publisher.step()
    run.measure(*range(SIZE))
    url = f"{run.url}/api/v1/metadata/{run.config.scan.name}"
    seen: list[tuple[str, int]] = []

    def watch() -> None:
        with httpx.Client() as client:
            while not seen or seen[-1][0] != "complete":
                metadata = client.get(url).json()["data"]["attributes"]["metadata"]
                seen.append((metadata["status"], metadata["revision"]))

    watcher = threading.Thread(target=watch)
    run.revise("complete", final=True)
    watcher.start()
    publishing = threading.Thread(target=run.publisher.step)
    publishing.start()
    watcher.join(30)
    assert_holds(run.scan, run)  # publishing may go on, but not with arrays
    publishing.join()
    assert set(seen) == {("acquiring", 1), ("complete", 2)}
    report = read_json(run.directory.published)
    assert (report["revision"], report["status"], report["final"], report["error"]) == (2, "complete", True, None)


def test_a_complete_run_that_is_computed_again_is_not_complete_meanwhile(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.revise("complete", final=True)
    run.publisher.step()
    run.revise("complete", final=True)
    said: list[str] = []
    write = TiledScan.write

    def watched(scan: TiledScan, node: Node, array: Any) -> None:
        said.append(run.scan.metadata["status"])
        write(scan, node, array)

    monkeypatch.setattr(TiledScan, "write", watched)
    run.publisher.step()
    assert set(said) == {"finishing"}
    assert run.scan.metadata["status"] == "complete"


def test_a_newer_live_goes_before_the_rest_of_an_older_revision(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run.revise()
    run.publisher.step()
    wrote: list[str] = []
    said: list[int] = []
    write = TiledScan.write

    def watched(scan: TiledScan, node: Node, array: Any) -> None:
        write(scan, node, array)
        wrote.append(node.path)
        said.append(run.scan["live"].metadata["revision"])
        if node.path == "sum_pattern" and run.number == 2:
            run.revise()

    monkeypatch.setattr(TiledScan, "write", watched)
    run.revise()
    run.publisher.step()
    assert wrote[:4] == ["live", "radial", "sum_pattern", "live"]
    assert said[3:5] == [2, 3]  # its metadata follow it at once
    assert (run.scan.metadata["revision"], run.scan["live"].metadata["revision"]) == (2, 3)
    run.publisher.step()
    assert run.scan.metadata["revision"] == 3
    assert_holds(run.scan, run, but="maps/")


@pytest.mark.parametrize("reads", [30, pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_live_is_read_whole_while_it_is_written(run: Run, reads: int) -> None:
    run.revise()
    run.publisher.step()
    sent = {1: run.arrays}
    stop = threading.Event()

    def publish() -> None:
        while not stop.is_set():
            run.revise()
            sent[run.number] = run.arrays
            run.publisher.step()

    writer = threading.Thread(target=publish)
    writer.start()
    try:
        kept: set[int] = set()
        live = run.scan["live"]
        after = live.refresh().metadata
        for _ in range(reads):
            before = after
            planes = live.read()[0]
            after = live.refresh().metadata
            number, names = after["revision"], after["maps"]
            if before["revision"] == number == after["coming"]:
                kept.add(number)
            else:  # of one revision all the same, though of which is not said
                newest_first = reversed(list(sent))
                number = next(
                    n for n in newest_first if np.array_equal(planes[0], of(sent[n], names[0]), equal_nan=True)
                )
            for plane, name in enumerate(names):
                np.testing.assert_array_equal(planes[plane], of(sent[number], name), err_msg=f"{number} {name}")
        assert len(kept) > 1
    finally:
        stop.set()
        writer.join()


def of(arrays: dict[str, Any], name: str) -> Any:
    """A map of the only slice as `live` holds it."""
    return arrays[f"maps/{name}"][0].astype("f4")


def test_a_new_process_takes_up_the_container_of_its_run(run: Run) -> None:
    run.measure(0)
    run.revise()
    run.publisher.step()
    run.restart()
    assert read_json(run.directory.published)["final"] is False
    run.revise()
    run.publisher.step()
    assert found(run.scan) == TREE
    assert_holds(run.scan, run)


def test_a_facility_server_by_url_and_key(servers: tuple[Server, Server], tmp_path: Path) -> None:
    with closing(make_run(tmp_path / "a", servers[1].url, "cycled", embedded=False)) as run:
        root = run.connect(KEY)
        root.create_container("cycled", metadata={"whose": "another's"})
        run.measure(0, 3)
        run.revise()
        run.publisher.step()
        run.revise("complete", final=True)
        run.publisher.step()
        assert read_json(run.directory.published)["name"] == "cycled-2"
        assert_holds(root["cycled-2"], run)
        assert found(root["cycled-2"]) == TREE | {"volume": VOLUME}
        assert list(root["cycled"]) == []
        run.restart()
        run.publisher.step()
        assert set(root) == {"cycled", "cycled-2"}
        metadata = str(root["cycled-2"].metadata)
        assert KEY not in metadata
        assert "api_key" not in metadata


def test_a_wrong_key_is_told_and_tried_again(run: Run) -> None:
    run.revise()
    publisher = TiledPublisher(run.directory, run.config, run.url, "wrong")
    publisher.start()
    wait_until(lambda: read_json(run.directory.published)["error"] is not None)
    assert "401" in read_json(run.directory.published)["error"]
    publisher.close()
    assert publisher.failure is None


def test_a_page_of_a_proxy_is_no_tiled() -> None:
    def answer(connection: Any, _: Any) -> Any:
        return connection.respond(200, "down for maintenance")

    with serve(lambda _: None, "127.0.0.1", 0, process_request=answer) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        with pytest.raises(httpx.HTTPError, match="no Tiled"):
            attach(f"http://127.0.0.1:{proxy.socket.getsockname()[1]}", KEY, "s", "id", embedded=True)


def test_a_tiled_that_dies_and_comes_back_gets_the_newest_state(servers: tuple[Server, Server], run: Run) -> None:
    published = run.directory.published
    run.publisher.start()
    run.measure(0)
    run.revise()
    wait_until(lambda: read_json(published)["revision"] == 1)
    servers[0].stop(signal.SIGKILL)
    try:
        run.measure(1)
        run.revise()
        wait_until(lambda: read_json(published)["error"] is not None)
        run.measure(*range(SIZE))
        run.revise("complete", final=True)
        assert read_json(published)["revision"] == 1
        assert read_json(published)["final"] is False
    finally:
        servers[0].start()
    wait_until(lambda: read_json(published)["final"])
    assert found(run.scan) == TREE | {"volume": VOLUME}
    assert_holds(run.scan, run)
    assert run.scan.metadata["revision"] == 3
    assert read_json(published)["error"] is None
    assert run.publisher.failure is None


def test_a_taken_port_is_a_sentence() -> None:
    with listen("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UnavailableError, match=f"publish.port {port} on 127.0.0.1 cannot be used"):
            listen("127.0.0.1", port)


def wait_until(done: Any, seconds: float = 120.0) -> None:
    """Poll until something has happened."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_the_run_directory_keeps_its_id(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", "http://127.0.0.1:9", "a")
    first = read_json(run.directory.published)
    TiledPublisher(RunDirectory(run.directory.path), run.config, run.url, KEY)
    assert read_json(run.directory.published)["run"] == first["run"]


def test_results_and_recording_are_read_in_place(run: Run) -> None:
    with recording(run.directory.recording) as process:
        run.measure(*range(SIZE))
        run.revise("incomplete", final=True)
        run.publisher.step()
        scan = run.scan
        np.testing.assert_array_equal(scan["results"]["entry"]["volume"].read(), run.arrays["volume"])
        (kept,) = scan["recording"].values()
        assert (kept.shape, kept.dtype.str, kept.dims) == ((5, 16, 20), "<u2", ("frame", "row", "column"))
        np.testing.assert_array_equal(kept.read(), FRAMES[:5])
        process.communicate("go on\n")
    assert process.returncode == 0
    run.revise("complete", final=True)
    run.publisher.step()
    (kept,) = run.scan["recording"].values()
    np.testing.assert_array_equal(kept.read(), FRAMES)
    np.testing.assert_array_equal(run.scan["results"]["entry"]["volume"].read(), run.arrays["volume"])


def test_a_damaged_file_of_the_recording_is_left_out(run: Run) -> None:
    (run.directory.recording / "raw-0001.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(500))
    run.revise("complete", final=True)
    run.publisher.step()
    assert run.scan.metadata["status"] == "complete"
    assert set(run.scan) >= {"volume", "results"}
    assert "recording" not in set(run.scan)


def test_runs_are_found_by_sample_time_and_uid(run: Run) -> None:
    for name, sample, started, uid in (("one", "NCM622, pristine", 1.2e9, "aa-1"), ("two", "LLNMO", 1.3e9, "bb-2")):
        scan = attach(run.url, KEY, name, f"id of {name}", embedded=False)
        scan.set_metadata("", {"sample": sample, "started": started, "bluesky_uid": uid})
        scan.close()
    root = run.connect()
    assert list(root.search(Key("sample") == "LLNMO")) == ["two"]
    assert list(root.search(FullText("pristine"))) == ["one"]
    assert list(root.search(Key("started") >= 1.25e9).search(Key("started") < 1.35e9)) == ["two"]
    assert list(root.search(Key("bluesky_uid") == "aa-1")) == ["one"]
    run.publisher.step()
    assert {"sample", "started", "bluesky_uid"} <= set(run.scan.metadata)


def test_a_subscriber_is_told_of_each_revision(run: Run) -> None:
    told: list[int] = []
    arrived = threading.Event()

    def take(update: Any) -> None:
        if update.key == run.config.scan.name and (revision := update.metadata.get("revision", 0)) not in told:
            told.append(revision)
            arrived.set()

    subscription = run.connect().subscribe()
    subscription.child_metadata_updated.add_callback(take)
    subscription.start_in_thread()
    try:
        deadline = time.monotonic() + 10
        while not arrived.wait(0.1):  # the subscription is not there at once
            assert time.monotonic() < deadline
            run.revise()
            run.publisher.step()
        assert told[-1] <= run.number
        assert run.scan.metadata["revision"] == run.number
    finally:
        subscription.disconnect()
