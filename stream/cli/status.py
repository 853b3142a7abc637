"""`braggstream status`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stream.cli.look import add_frames, add_maps, add_notes, add_warnings, table_of
from stream.core.errors import UnavailableError, UsageError

TIMEOUT = 5.0
PAGE = "http://127.0.0.1:8080"
MEASURES = (("rate", "frames/s"), ("latency", "s"), ("eta", "s"), ("update_age", "s"))
USED = {
    "braggstream_process_up": "up",
    "braggstream_process_restarts_total": "restarts",
    "braggstream_process_resident_memory_bytes": "memory",
    "braggstream_process_cpu_seconds_total": "cpu",
    "braggstream_process_open_fds": "files",
}


def status(url: Annotated[str, typer.Argument(help="The dashboard's address, as it was printed.")] = PAGE) -> None:
    """Ask a running processor how it stands; exit 4 where it is not ready for a frame."""
    asked = Page.of(url)
    told = asked.json("/api/v1/status")
    health, machine = asked.json("/readyz"), asked.metrics()
    table = table_of(f"scan {told['scan']}")
    table.add_row("status", told["status"])
    table.add_row("ready", Text("yes", "green") if not health["problems"] else Text("no", "bold red"))
    for kind, style in (("problems", "bold red"), ("warnings", "yellow")):
        for sentence in health[kind]:
            table.add_row("", Text(sentence, style))
    for name, unit in MEASURES:
        if told.get(name) is not None:
            table.add_row(name.replace("_", " "), f"{told[name]:.3g} {unit}")
    add_warnings(table, told)
    add_frames(table, told["frames"])
    add_maps(table, told)
    free, size = (machine[f"braggstream_disk_{name}", ""] for name in ("free_bytes", "bytes"))
    table.add_row("disk", f"{free / 1e9:.1f} of {size / 1e9:.1f} GB free")
    add_notes(table, told)
    console = Console()
    console.print(table)
    console.print(_processes(machine))
    if health["problems"]:
        raise UnavailableError(f"{asked.address} is not ready: {'; '.join(health['problems'])}")


@dataclass(frozen=True, slots=True)
class Page:
    """A page to ask, and the headers that carry its key."""

    address: str
    headers: dict[str, str]

    @classmethod
    def of(cls, url: str) -> Page:
        """The page at a printed address; a key in BRAGGSTREAM_KEY stands on no command line."""
        address, _, key = url.partition("#key=")
        key = key or os.environ.get("BRAGGSTREAM_KEY", "")
        return cls(address.rstrip("/"), {"Authorization": f"Bearer {key}"} if key else {})

    def text(self, path: str) -> str:
        """What it answers, a 503 among it.

        Raises
        ------
        UnavailableError
            where nobody answers, or somebody else.
        UsageError
            where it needs its key.
        """
        import httpx

        try:
            answer = httpx.get(f"{self.address}{path}", headers=self.headers, timeout=TIMEOUT)
            if answer.status_code == 401:
                raise UsageError(f"{self.address} needs its key: in BRAGGSTREAM_KEY, or as it was printed, with #key=")
            if (answer.status_code, path) != (503, "/readyz"):
                answer.raise_for_status()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise UnavailableError(f"no braggstream answers at {self.address}: {error}") from None
        return answer.text

    def json(self, path: str) -> dict[str, Any]:
        """The object that it answers."""
        import orjson

        try:
            return dict(orjson.loads(self.text(path)))
        except (ValueError, TypeError) as error:
            raise UnavailableError(f"no braggstream answers at {self.address}: {error}") from None

    def metrics(self) -> dict[tuple[str, str], float]:
        """Values by the metric's name and the process it belongs to."""
        from prometheus_client.parser import text_string_to_metric_families

        families = text_string_to_metric_families(self.text("/metrics"))
        return {(s.name, s.labels.get("process", "")): s.value for family in families for s in family.samples}


def _processes(machine: Mapping[tuple[str, str], float]) -> Table:
    table = Table("process", "runs", "restarts", "memory", "processor", "files", box=SIMPLE)
    for name in [process for metric, process in machine if metric == "braggstream_process_up"]:
        used = {short: machine.get((metric, name)) for metric, short in USED.items()}
        restarts = used["restarts"] or 0.0
        table.add_row(
            name,
            Text("yes", "green") if used["up"] else Text("no", "bold red"),
            Text(f"{restarts:.0f}", "yellow" if restarts else ""),
            "–" if used["memory"] is None else f"{used['memory'] / 1e6:.0f} MB",
            "–" if used["cpu"] is None else f"{used['cpu']:.0f} s",
            "–" if used["files"] is None else f"{used['files']:.0f}",
        )
    return table
