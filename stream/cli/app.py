"""The commands, and how an error leaves: one sentence on standard error and the exit code of its kind."""

from __future__ import annotations

import sys

import structlog
import typer

from stream.cli import (
    backfill,
    benchmark,
    calibrate,
    demo,
    doctor,
    export,
    look,
    models,
    report,
    run,
    runs,
    simulate,
    status,
    train,
)
from stream.core.errors import BraggstreamError

app = typer.Typer(
    name="braggstream",
    help="Live maps from scanning X-ray diffraction tomography: frames in, phase and strain maps out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    demo.demo,
    run.run,
    run.watch,
    run.replay,
    backfill.backfill,
    simulate.simulate,
    calibrate.calibrate,
    look.validate,
    look.inspect,
    status.status,
    export.export,
    report.report,
    runs.runs,
    doctor.doctor,
    benchmark.benchmark,
    train.train,
):
    app.command()(command)
app.add_typer(models.models)


def main() -> int:
    """Run the command line; the exit code of the README's table."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        code = app(prog_name="braggstream", standalone_mode=False)
    except BraggstreamError as error:
        print(f"braggstream: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    except typer.Abort:
        return 1
    except Exception as error:
        # typer vendors click, so its usage errors are known by what they carry
        show = getattr(error, "show", None)
        if show is None:
            raise
        show()
        return int(getattr(error, "exit_code", 2))
    return code if isinstance(code, int) else 0
