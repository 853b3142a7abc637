"""Figures for Prometheus, read from the run when they are asked for; their names are in docs/operations.md."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from stream.core.lifecycle import Status
from stream.core.vitals import BOUNDS
from stream.dashboard.health import REASONS, Health, examine, is_alive, usage
from stream.dashboard.view import RunView, fresh
from stream.publish.metadata import WARNINGS

router = APIRouter(tags=["operation"])
GAUGES = {
    "eta": ("eta_seconds", "Until the grid is full, at the present rate"),
    "revision": ("revision", "Number of the newest maps"),
    "update_age": ("update_age_seconds", "Since the newest maps were stored"),
    "residual": ("residual", "Relative residual of the reconstruction"),
}
HISTOGRAMS = {
    "journal": "From a message to its pattern in journal and ledger",
    "map": "From a message to stored live maps that have its frame",
    "update": "Duration of a live update",
    "tiled": "From the newest message of a revision until its `live` can be read in Tiled",
}
QUEUES = {"queue_bytes": "Messages that are worked on", "queue_limit_bytes": "As many bytes of them as there may be"}
STREAMS = {"ingest": "diffraction", "fluorescence": "fluorescence"}
"""Streams by the process that ingests them."""
COUNTS = ("expected", "missing", "in_flight")


@dataclass(slots=True, eq=False)
class RunCollector(Collector):
    """Turns what is known of a run into metrics; one that is not known is left out."""

    view: RunView

    def collect(self) -> Iterator[Metric]:
        """Metrics of this moment."""
        status, health = self.view.status(), examine(self.view)
        yield from self._frames()
        for key, (name, text) in GAUGES.items():
            if status.get(key) is not None:
                yield _gauge(name, text, status[key])
        state = _labelled("status", "1 for the status of the run", "scan", "status")
        for each in Status:
            state.add_metric([self.view.scan, each.value], float(status["status"] == each.value))
        yield state
        warned = {name for name in WARNINGS if status[name]} | set(health.warnings)
        warning = _labelled("warning", "1 where there is one", "warning")
        for name in {*WARNINGS, *REASONS}:
            warning.add_metric([name], float(name in warned))
        yield warning
        yield from _durations(health.told)
        yield from _machine(health)

    def _frames(self) -> Iterator[Metric]:
        snapshots = self.view.snapshots()
        fate = CounterMetricFamily("braggstream_frames", "Image messages by fate", labels=["fate", "reason", "stream"])
        gauges = {name: _labelled(f"frames_{name}", f"Frames {name}", "stream") for name in COUNTS}
        rate = _labelled("rate_frames_per_second", "Frames integrated in the last second", "stream")
        for stream, snapshot in snapshots.items():
            for name in ("received", "integrated", "duplicate"):
                fate.add_metric([name, "", stream], snapshot.frames[name])
            for name in ("rejected", "dropped"):
                for reason, count in snapshot.frames[name].items():
                    fate.add_metric([name, reason, stream], count)
            for name, gauge in gauges.items():
                gauge.add_metric([stream], snapshot.frames[name])
            if (now := fresh(snapshot, "rate")) is not None:
                rate.add_metric([stream], now)
        yield from (fate, *gauges.values(), rate)


def _durations(told: dict[str, dict[str, Any]]) -> Iterator[Metric]:
    """Histograms and queues, as the processes told them."""
    for name, text in HISTOGRAMS.items():
        labels = ["stream"] if name == "journal" else []
        family = HistogramMetricFamily(f"braggstream_{name}_seconds", text, labels=labels)
        for process, one in told.items():
            if (counted := one.get("histograms", {}).get(name)) is not None:
                family.add_metric([STREAMS[process]] if labels else [], _buckets(counted["counts"]), counted["sum"])
        yield family
    for name, text in QUEUES.items():
        queue = _labelled(name, text, "stream")
        for process in STREAMS.keys() & told.keys():
            queue.add_metric([STREAMS[process]], told[process]["values"][name])
        yield queue


def _buckets(counts: list[int]) -> list[tuple[str, float]]:
    """Cumulative counts by upper bound."""
    bounds = [*map(floatToGoString, BOUNDS), "+Inf"]
    return [(bound, float(sum(counts[: n + 1]))) for n, bound in enumerate(bounds)]


def _machine(health: Health) -> Iterator[Metric]:
    """Readiness, disk, Tiled and processes."""
    yield _gauge("ready", "1 where a frame sent now would be taken, recorded and come on the maps", not health.problems)
    yield _gauge("disk_free_bytes", "Left on the disk that holds the run", health.free)
    yield _gauge("disk_bytes", "Size of the disk that holds the run", health.size)
    if health.published:
        yield _gauge("tiled_up", "1 where Tiled answered last", not health.published["error"])
        yield _gauge("tiled_revision", "Number of the revision that Tiled holds", health.published["revision"])
    up = _labelled("process_up", "1 for a process that lives", "process")
    restarts = CounterMetricFamily("braggstream_process_restarts", "Times it was started again", labels=["process"])
    used: dict[str, Metric] = {}
    for name, pid in health.pids.items():
        up.add_metric([name], float(is_alive(pid)))
        for metric in [] if pid is None else usage(pid):
            family = used.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
            for sample in metric.samples:
                family.add_sample(sample.name, {"process": name}, sample.value)
    for name, child in health.children.items():
        restarts.add_metric([name], child["restarts"])
    yield from (up, restarts, *used.values())


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"braggstream_{name}", text, value=float(value))


def _labelled(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"braggstream_{name}", text, labels=labels)


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(request: Request) -> Response:
    """Prometheus text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(RunCollector(request.app.state.view))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
