"""`braggstream benchmark`."""

from __future__ import annotations

import os
from typing import Annotated

import typer
from rich.console import Console

from stream.core.errors import BraggstreamError

ONLY = "Only figures whose names have all these parts, e.g. decode, integrate-4M, ingest-recorded; may be repeated."
WIDTH = 170  # of the table where there is no terminal


def benchmark(
    json: Annotated[bool, typer.Option("--json", help="One JSON object instead of the table.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Something of each, in half a minute.")] = False,
    only: Annotated[list[str] | None, typer.Option(help=ONLY)] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="For both sides; by default all cores.")] = None,
) -> None:
    """Measure decoding, integration, ingest and SIRT beside their peers, in one run."""
    from stream.benchmark import Effort, Row, Threads, as_json, as_table, conditions, select

    load = os.getloadavg()
    pool = Threads.start(threads or os.cpu_count() or 1)
    cases = select(Effort.of(quick=quick), pool, only or [])
    progress = Console(stderr=True, highlight=False)
    rows: list[Row] = []
    with progress.status("") as status:
        for n, case in enumerate(cases):
            line = f"{n + 1} of {len(cases)}: {case.name}"
            status.update(line) if progress.is_terminal else progress.print(line)
            rows += case.measure()
    where = conditions(pool.count, load)
    pool.close()
    if json:
        typer.echo(as_json(rows, where))
    else:
        console = Console()
        Console(width=None if console.is_terminal else WIDTH).print(as_table(rows, where))
    wrong = [row.name for row in rows if not row.right]
    if wrong:
        raise BraggstreamError(f"the results behind these figures are not the peer's: {', '.join(wrong)}")
