"""Figures for Prometheus, read from the run when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from stream.core.lifecycle import Status
from stream.dashboard.view import RunView

router = APIRouter(tags=["operation"])
GAUGES = {
    "rate": ("braggstream_rate_frames_per_second", "Frames integrated a second"),
    "latency": ("braggstream_latency_seconds", "From the arrival of a frame to its journalled pattern"),
    "eta": ("braggstream_eta_seconds", "Until the grid is full, at the present rate"),
    "revision": ("braggstream_revision", "Number of the newest maps"),
    "update_age": ("braggstream_update_age_seconds", "Since the newest maps were stored"),
    "residual": ("braggstream_residual", "Relative residual of the reconstruction"),
}
COUNTS = ("expected", "missing", "in_flight")


@dataclass(slots=True, eq=False)
class RunCollector(Collector):
    """Turns a status into metrics."""

    view: RunView

    def collect(self) -> Iterator[Metric]:
        """Metrics of this moment; one that is not known is left out."""
        status = self.view.status()
        frames = status["frames"]
        fate = CounterMetricFamily("braggstream_frames", "Image messages by fate", labels=["fate", "reason"])
        for name in ("received", "integrated", "duplicate"):
            fate.add_metric([name, ""], frames[name])
        for name in ("rejected", "dropped"):
            for reason, count in frames[name].items():
                fate.add_metric([name, reason], count)
        yield fate
        for name in COUNTS:
            yield GaugeMetricFamily(f"braggstream_frames_{name}", f"Frames {name}", value=frames[name])
        for key, (name, text) in GAUGES.items():
            if status.get(key) is not None:
                yield GaugeMetricFamily(name, text, value=status[key])
        state = GaugeMetricFamily("braggstream_status", "1 for the status of the run", labels=["scan", "status"])
        for each in Status:
            state.add_metric([self.view.scan, each.value], float(status["status"] == each.value))
        yield state


@router.get("/metrics")
def metrics(request: Request) -> Response:
    """Prometheus text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(RunCollector(request.app.state.view))
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


@router.get("/healthz")
def healthz() -> dict[str, str]:
    """This process answers."""
    return {"status": "ok"}


@router.get("/readyz")
def readyz(request: Request, response: Response) -> dict[str, str]:
    """Ingest has opened its ledger, so that there is something to tell; 503 before."""
    view: RunView = request.app.state.view
    if view.directory.ledger.exists():
        return {"status": "ready"}
    response.status_code = 503
    return {"status": "waiting for ingest to open its ledger"}
