"""Prometheus, its alerts and the Grafana board: every metric that they name is one that the processor has."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from facility import DEPLOY
from helpers.dashboard import serving
from helpers.fake_run import FakeRun
from prometheus_client.parser import text_string_to_metric_families

from stream.core.files import write_json
from stream.core.vitals import Vitals, tell

BOARD = json.loads((DEPLOY / "grafana/boards/braggstream.json").read_text())
ALERTS = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())
SCRAPED = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
LABELS = {"le", "instance", "job"}  # of histograms, and what Prometheus adds


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Names that `/metrics` of a run has, every process telling, and the labels of each."""
    run = FakeRun(tmp_path_factory.mktemp("run"), size=5, angles=4)
    run.advance(0.4)
    told = {"ingest": "journal", "analyse": "map", "publish": "tiled"}
    for process, name in told.items():
        vitals = Vitals(run.directory.vitals / f"{process}.json")
        vitals.histogram(name).observe(1.0)
        vitals.beat(lambda: {"queue_bytes": 1, "queue_limit_bytes": 2})
    tell(run.directory.vitals / "supervisor.json", {"children": {n: {"pid": os.getpid(), "restarts": 0} for n in told}})
    write_json(run.directory.published, {"revision": 1, "error": None, "final": False})
    with serving(run) as url:
        run.receive(0.5)  # the rate is of the last seconds
        text = httpx.get(f"{url}/metrics", trust_env=False).text
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        suffixes = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",)}.get(family.type, ("",))
        labels = {name for sample in family.samples for name in sample.labels}
        found |= {family.name + suffix: labels for suffix in suffixes}
    return found


def expressions() -> list[str]:
    """PromQL of the board and of the alerts."""
    board = [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]
    return board + [rule["expr"] for group in ALERTS["groups"] for rule in group["rules"]]


def test_every_metric_and_label_is_one_of_the_processors(metrics: dict[str, set[str]]) -> None:
    for expression in expressions():
        names = re.findall(r"braggstream_\w+", expression)
        assert names, expression
        assert metrics.keys() >= set(names), expression
        asked = {label for inside in re.findall(r"\bby \(([^)]*)\)", expression) for label in inside.split(", ")}
        asked |= {
            label for inside in re.findall(r"\{([^}]*)\}", expression) for label in re.findall(r"(\w+)[=!]", inside)
        }
        assert asked <= LABELS.union(*(metrics[name] for name in names)), expression


def test_the_board_shows_all_but_what_the_operating_system_counts_besides(metrics: dict[str, set[str]]) -> None:
    shown = set(re.findall(r"braggstream_\w+", json.dumps(BOARD)))
    left = {name for name in metrics if name not in shown and not name.endswith(("_sum", "_count"))}
    besides = {"revision", "tiled_revision", "frames_in_flight", "process_up", "process_virtual_memory_bytes"}
    besides |= {"process_max_fds", "process_start_time_seconds"}
    assert left <= {f"braggstream_{name}" for name in besides}


def test_legends_of_the_board_name_labels_that_there_are(metrics: dict[str, set[str]]) -> None:
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(ids)) == len(ids)
    for target in (target for panel in BOARD["panels"] for target in panel["targets"]):
        labels = set().union(*(metrics[name] for name in re.findall(r"braggstream_\w+", target["expr"])))
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels, target


def test_panels_lie_side_by_side() -> None:
    taken: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in BOARD["panels"]):
        cells = {(place["x"] + i, place["y"] + j) for i in range(place["w"]) for j in range(place["h"])}
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_grafana_reads_the_prometheus_that_there_is() -> None:
    (source,) = provisioned("datasources")["datasources"]
    used = {panel["datasource"]["uid"] for panel in BOARD["panels"]} | {
        BOARD["templating"]["list"][0]["datasource"]["uid"]
    }
    assert used == {source["uid"]}
    assert source["url"] == "http://prometheus:9090"
    (folder,) = (provider["options"]["path"] for provider in provisioned("dashboards")["providers"])
    assert folder == "/var/lib/boards"


def provisioned(kind: str) -> dict[str, Any]:
    (path,) = (DEPLOY / "grafana/provisioning" / kind).iterdir()
    return dict(yaml.safe_load(path.read_text()))


def test_prometheus_asks_where_the_processor_and_tiled_answer() -> None:
    jobs = {job["job_name"]: job for job in SCRAPED["scrape_configs"]}
    assert {name: job["static_configs"][0]["targets"] for name, job in jobs.items()} == {
        "braggstream": ["processor:8080"],
        "tiled": ["tiled:8000"],
    }
    assert jobs["tiled"]["metrics_path"] == "/api/v1/metrics"
    assert SCRAPED["rule_files"] == ["alerts.yml"]


def test_prometheus_itself_finds_nothing_wrong(tmp_path: Path) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("no promtool here (Debian: apt install prometheus)")
    for command in (["config", "--syntax-only", "prometheus.yml"], ["rules", "alerts.yml"]):
        done = subprocess.run(
            ["promtool", "check", *command], cwd=DEPLOY / "prometheus", capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    rules = [
        {"expr": expression.replace("$instance", "x"), "record": f"r{n}"} for n, expression in enumerate(expressions())
    ]
    (tmp_path / "board.yml").write_text(yaml.safe_dump({"groups": [{"name": "board", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", tmp_path / "board.yml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
