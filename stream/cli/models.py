"""`braggstream models`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

models = typer.Typer(
    name="models", help="The classifiers: what there is, and whether it is what it was.", no_args_is_help=True
)
Folder = Annotated[Path | None, typer.Argument(help="A folder with a manifest; without it, the ones that come along.")]


@models.command("list")
def list_models(folder: Folder = None) -> None:
    """What models there are, the best first."""
    from stream.analyse.classify.manifest import read_manifest
    from stream.analyse.classify.model import models_folder

    where = folder or models_folder()
    manifest = read_manifest(where)
    for entry in sorted(manifest.models, key=lambda entry: -entry.accuracy):
        default = "  (default)" if entry.name == manifest.default else ""
        size = (where / entry.file).stat().st_size / 1024
        typer.echo(f"{entry.name:8} {entry.accuracy:6.1%} right  {size:6.0f} KiB  {entry.sha256[:12]}{default}")


@models.command("check")
def check_models(folder: Folder = None) -> None:
    """Check every file against the manifest, and that each model computes what it did when it was made."""
    from stream.analyse.classify.check import check_folder
    from stream.analyse.classify.model import models_folder

    for line in check_folder(folder or models_folder()):
        typer.echo(line)
