"""`braggstream train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    folder: Annotated[Path, typer.Argument(help="Where the models, their cards and manifest.json go.")],
    seed: Annotated[int, typer.Option(help="Draws phantoms, scans and every start.")] = 11,
    phantoms: Annotated[int, typer.Option(help="How many are simulated; every sixth of them tests.", min=12)] = 120,
    largest: Annotated[int, typer.Option(help="Voxels a side of the largest scan.", min=20)] = 88,
    family: Annotated[list[str] | None, typer.Option(help="cnn, mlp, svm or knn; all without it.")] = None,
    keep: Annotated[
        Path | None, typer.Option(help="A folder for the simulated slices: the next time is short.")
    ] = None,
    run: Annotated[Path | None, typer.Option(help="A run of your own to learn from, too: its directory.")] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Its classes: .npy, integers (slice, y, x), -1 where you do not say.")
    ] = None,
) -> None:
    """Make the classifiers: simulate scans, reconstruct them, learn from their voxels, test, write ONNX and cards."""
    from rich.progress import track

    from stream.simulate.training.dataset import make_examples
    from stream.simulate.training.export import write_models
    from stream.simulate.training.labelled import labelled_examples
    from stream.simulate.training.recipe import Recipe, fit_families

    recipe = Recipe.of(seed, phantoms, largest, family or [])
    own = labelled_examples(run, labels)
    examples = make_examples(track(range(phantoms), "phantoms"), seed, largest, keep)
    fitted = list(track(fit_families(recipe, examples, own, keep), "families", total=len(recipe.families)))
    for entry in write_models(folder, recipe, fitted, examples, len(own)).models:
        typer.echo(f"{folder / entry.file}: {entry.accuracy:.1%} right, SHA-256 {entry.sha256}")
