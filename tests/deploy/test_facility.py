"""The tree in a facility's Tiled: PostgreSQL, Redis, and nothing without a key."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from facility import Facility, facility
from helpers.tiled_run import BINS, SIZE, Run, make_run
from tiled.client.utils import ClientError
from tiled.queries import Eq, FullText, Key
from websockets.sync.client import connect

from stream.core.documents import Document
from stream.core.files import read_json
from stream.ingest.ledger import Ledger
from stream.publish.publisher import TiledPublisher

pytestmark = [
    pytest.mark.slow,  # 20 s of processor time until Tiled is there
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning"),
]


@dataclass(frozen=True)
class Keys:
    writer: str
    reader: str
    metrics: str


@pytest.fixture(scope="module")
def served() -> Iterator[Facility]:
    with facility() as running:
        yield running


@pytest.fixture(scope="module")
def keys(served: Facility) -> Keys:
    return Keys(*map(served.key, ("writer", "reader", "metrics")))


@pytest.fixture
def run(served: Facility, keys: Keys, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Run]:
    """A run that publishes to the facility, its tree seen with the reader's key."""
    name = request.node.name.removeprefix("test_").translate(str.maketrans("[", "-", "]"))
    with closing(make_run(tmp_path / "a", served.url, name, embedded=False)) as run:
        run.publisher = TiledPublisher(run.directory, run.config, run.url, keys.writer)
        run.connect(keys.reader)
        yield run


def test_the_whole_tree_is_written_and_read_through_keys(run: Run) -> None:
    run.measure(0, 3)
    run.revise()
    run.publisher.step()
    run.measure(*range(SIZE))
    run.revise("complete", final=True)
    run.publisher.step()
    scan = run.scan
    for path in run.arrays.keys() - {"projection_frames"}:
        got = scan[path].read()
        np.testing.assert_array_equal(got, run.arrays[path].astype(got.dtype), err_msg=path)
    np.testing.assert_array_equal(scan["patterns"].read(), run.patterns)
    assert scan["maps/class_index"].dtype == np.int8
    assert (scan.metadata["status"], scan.metadata["revision"]) == ("complete", 2)
    assert scan.metadata["residual"] is None, "it is NaN"
    assert not {"results", "recording"} & set(scan), "files that only the run's own machine can read"


def test_nobody_is_let_in_without_a_key_and_each_key_has_its_limits(run: Run, served: Facility, keys: Keys) -> None:
    run.revise()
    run.publisher.step()
    name = run.config.scan.name
    asked = {
        "read metadata": ("GET", f"metadata/{name}", b""),
        "read data": ("GET", f"array/full/{name}/live", b""),
        "write": ("PUT", f"array/full/{name}/radial", bytes(8 * BINS)),
        "delete": ("DELETE", f"metadata/{name}", b""),
        "metrics": ("GET", "metrics", b""),
    }
    allowed = {}
    for who, key in {"nobody": "", "reader": keys.reader, "metrics": keys.metrics, "writer": keys.writer}.items():
        headers = {"Content-Type": "application/octet-stream"} | ({"Authorization": f"Apikey {key}"} if key else {})
        answers = {
            what: httpx.request(method, f"{served.url}/api/v1/{path}", content=body, headers=headers, trust_env=False)
            for what, (method, path, body) in asked.items()
        }
        assert {answer.status_code for answer in answers.values()} <= {200, 401}
        allowed[who] = [what for what, answer in answers.items() if answer.is_success]
    assert allowed == {
        "nobody": [],
        "reader": ["read metadata", "read data"],
        "metrics": ["metrics"],
        "writer": ["read metadata", "read data", "write"],
    }


def test_runs_are_found_by_sample_time_and_uid(run: Run) -> None:
    run.publisher.step()
    values = {"sample": "NCM622, pristine", "started": 1.3e9, "bluesky_uid": "bb-2"}
    run.publisher._outgoing.scan.set_metadata("", values)
    root, name = run.connect(run.publisher.key), run.config.scan.name
    for query in (FullText("pristine"), Eq("sample", "NCM622, pristine"), Key("bluesky_uid") == "bb-2"):
        assert list(root.search(query)) == [name]
    assert list(root.search(Key("started") > 1.2e9).search(Key("started") < 1.4e9)) == [name]
    assert list(root.search(Key("started") > 1.4e9)) == []


def test_a_plan_may_say_what_postgresql_cannot_keep(run: Run) -> None:
    """A NUL has no place in its text; and what it keeps of 1e300 is a whole number that no reader could be sent."""
    ledger = Ledger.open(run.directory.ledger)
    plan = Document("start", {"uid": "cc-3", "operator": "A\0B", "dose": 1e300, "flux": [-3.5e19, 1e12]})
    ledger.commit(phase="acquiring", bluesky=plan.content)
    ledger.close()
    run.publisher.step()
    kept = run.scan.metadata["bluesky"]
    assert kept == {
        "uid": "cc-3",
        "operator": "A\N{REPLACEMENT CHARACTER}B",
        "dose": "1e+300",
        "flux": ["-3.5e+19", 1e12],
    }


def test_a_subscriber_with_a_readers_key_gets_each_update_of_live(run: Run, keys: Keys) -> None:
    run.revise()
    run.publisher.step()
    url = f"{run.url.replace('http', 'ws')}/api/v1/stream/single/{run.config.scan.name}/live?envelope_format=json"
    with connect(url, additional_headers={"Authorization": f"Apikey {keys.reader}"}, proxy=None) as updates:
        assert "schema" in updates.recv(30)
        run.revise()
        run.publisher.step()
        assert "array-data" in updates.recv(30)


def test_masked_maps_are_drawn(run: Run, keys: Keys) -> None:
    run.revise()
    run.publisher.step()
    url = f"{run.url}/api/v1/array/full/{run.config.scan.name}/maps/global?format=png"
    image = httpx.get(url, headers={"Authorization": f"Apikey {keys.reader}"}, trust_env=False).content
    assert image[:4] == b"\x89PNG"
    assert image[25] == 4, "gray with transparency, as ours draws it"


@pytest.mark.parametrize("lost", ["redis", "postgres"])
def test_what_tiled_rests_on_may_be_away(run: Run, served: Facility, lost: str) -> None:
    run.publisher.start()
    run.revise()
    wait_until(lambda: report(run)["revision"] == 1)
    service, ready = {
        "redis": (served.redis, served.stream_answers),
        "postgres": (served.postgres, served.databases_answer),
    }[lost]
    service.stop()
    try:
        run.measure(*range(SIZE))
        run.revise("complete", final=True)
        wait_until(lambda: report(run)["error"] is not None)
    finally:
        service.start(ready)
    wait_until(lambda: report(run)["final"])
    np.testing.assert_array_equal(run.scan["patterns"].read(), run.patterns)
    assert report(run)["error"] is None


def test_a_wrong_key_is_told_and_tried_again(run: Run) -> None:
    publisher = TiledPublisher(run.directory, run.config, run.url, "wrong")
    with pytest.raises(ClientError, match="401"):
        publisher.step()
    gc.collect()  # the client that could not be made, while its open socket is no error


def test_no_password_and_no_key_is_in_a_log_or_a_tree(run: Run, served: Facility, keys: Keys) -> None:
    run.revise()
    run.publisher.step()
    told = served.said + str(dict(run.scan.metadata)) + run.directory.published.read_text()
    for secret in (*served.passwords.values(), keys.writer, keys.reader, keys.metrics):
        assert secret not in told


def report(run: Run) -> dict[str, Any]:
    """What the publisher says of itself."""
    return dict(read_json(run.directory.published))


def wait_until(done: Callable[[], bool], seconds: float = 240.0) -> None:
    """Poll until something has happened."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
