"""`braggstream report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run directories; the others are compared with the first.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The HTML file.")] = Path("report.html"),
    pdf: Annotated[bool, typer.Option("--pdf", help="The same as a PDF, too, beside it.")] = False,
) -> None:
    """Write a report of one run, or of several compared: maps, strain, patterns, tables, ledger, provenance."""
    from stream.core.errors import StoreError
    from stream.report.compose import compose, open_runs
    from stream.report.html import to_html

    document = compose(open_runs(runs))
    files = {output: to_html(document)}
    if pdf:
        from stream.report.pdf import to_pdf

        files[output.with_suffix(".pdf")] = to_pdf(document)
    for path, body in files.items():
        try:
            path.write_bytes(body)
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror}") from error
        typer.echo(path)
