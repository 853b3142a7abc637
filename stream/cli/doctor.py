"""`braggstream doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stream.core.errors import UnavailableError

SIGNS = {True: ("ok", "green"), False: ("NOT ok", "bold red"), None: ("–", "dim")}


def doctor(
    gpu: Annotated[bool, typer.Option("--gpu", help="Every GPU path beside the CPU, with rates.")] = False,
) -> None:
    """Check the installation; exit 4 where a run would lack something."""
    from stream.service.doctor import examine
    from stream.service.doctor_gpu import examine_gpu

    table = Table("", "", "", show_header=False, title="braggstream doctor", title_justify="left")
    wrong = []
    try:
        with Console(stderr=True).status("kernels are compiled, which takes a minute the first time"):
            for finding in examine_gpu() if gpu else examine(Path("runs")):
                sign, style = SIGNS[finding.sound]
                table.add_row(Text(sign, style=style), Text(finding.what), Text(finding.text))
                if finding.sound is False:
                    wrong.append(finding.what)
    finally:
        if table.row_count:
            Console().print(table)
    if wrong:
        raise UnavailableError(f"not in order: {', '.join(wrong)}")
