"""Who gets in, and what those who may can do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from helpers.dashboard import AUTH, KEY, SCAN, sentence, serving
from helpers.fake_run import FakeRun
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from stream.core.commands import read_commands
from stream.core.documents import KeptDocuments
from stream.core.errors import UsageError
from stream.dashboard import create_app


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


def test_commands_are_written_in_order(tmp_path: Path) -> None:
    run = FakeRun(tmp_path, size=21)
    run.advance(0.2)
    region = {"name": "first", "range": [7.0, 8.0]}
    with serving(run) as url, httpx.Client(base_url=url + SCAN, headers=AUTH, trust_env=False) as client:
        assert client.post("/regions", json={"regions": [region]}).json() == {"command": 1, "kind": "regions"}
        assert client.post("/recompute").status_code == 202
        assert client.post("/finish").status_code == 202
        assert client.post("/abort").status_code == 202
        commands = read_commands(run.directory.commands)
        assert [command.kind for command in commands] == ["regions", "recompute", "finish", "abort"]
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
        ("labels", {"labels": [{"cluster": 0, "label": "gold"}]}, "labels.0.label is 'gold', which is not one"),
        ("labels", {"labels": [{"cluster": -1, "label": "empty"}]}, "labels.0.cluster is -1"),
    ],
)
def test_bodies_are_checked(client: httpx.Client, path: str, body: Any, words: str) -> None:
    content = body if isinstance(body, str) else json.dumps(body)
    answer = client.post(f"{SCAN}/{path}", headers={**AUTH, "Content-Type": "application/json"}, content=content)
    assert words in sentence(answer, 422)


def test_documents_are_kept_for_ingest(client: httpx.Client, run: FakeRun) -> None:
    plan = [["start", {"uid": "a1"}], ["event", {"seq_num": 1}]]
    assert client.post("/api/v1/documents", headers=AUTH, json={"documents": plan}).status_code == 202
    assert [list(document) for document in KeptDocuments(run.directory.documents).new()] == plan
    for wrong in ([["start", {"uid": "a2"}], ["pickle", {}]], [["start", []]], []):
        assert client.post("/api/v1/documents", headers=AUTH, json={"documents": wrong}).status_code == 422
    assert len(list(KeptDocuments(run.directory.documents).new())) == len(plan), "a batch is taken whole or not at all"
