"""`braggstream train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PHANTOMS = 240


def train(
    folder: Annotated[Path, typer.Argument(help="Where the models, their cards and manifest.json go.")],
    seed: Annotated[int, typer.Option(help="Draws phantoms, scans and every start.")] = 11,
    phantoms: Annotated[
        int | None, typer.Option(help="How many are simulated, 240 or none beside a run; every sixth tests.", min=12)
    ] = None,
    largest: Annotated[int, typer.Option(help="Voxels a side of the largest scan.", min=20)] = 128,
    family: Annotated[list[str] | None, typer.Option(help="cnn, mlp, svm or knn; all without it.")] = None,
    keep: Annotated[
        Path | None, typer.Option(help="A folder for the simulated slices: the next time is short.")
    ] = None,
    run: Annotated[Path | None, typer.Option(help="A run of your own to learn from: its directory.")] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Its classes: .npy (slice, y, x), -1 where not known, or .json of clusters."),
    ] = None,
) -> None:
    """Make the classifiers: simulate scans, reconstruct them, learn from their voxels, test, write ONNX and cards.

    240 phantoms take half an hour of two cores and 13 GB of memory; fewer, or smaller ones, take less of both.
    With --run and --labels, and no --phantoms: one of that run alone, in seconds.
    """
    from rich.progress import track
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    from stream.analyse.classify.learn import own
    from stream.analyse.classify.learn.example import clean_example
    from stream.simulate.training.dataset import make_examples
    from stream.simulate.training.export import write_models
    from stream.simulate.training.labelled import OWN, labelled_samples, labelled_slices
    from stream.simulate.training.recipe import Recipe, fit_families

    threadpool_limits(1)  # sums of several threads come in another order: the same command gives the same bits
    slices = labelled_slices(run, labels)
    if slices and phantoms is None:
        entries = [own.write(own.learn(labelled_samples(slices)), folder)]
    else:
        recipe = Recipe.of(seed, phantoms or PHANTOMS, largest, family or [])
        mine = [clean_example(part, OWN) for part in slices]
        examples = make_examples(track(range(recipe.phantoms), "phantoms"), seed, largest, keep)
        fitted = list(track(fit_families(recipe, examples, mine, keep), "families", total=len(recipe.families)))
        entries = list(write_models(folder, recipe, fitted, examples, len(mine)).models)
    for entry in entries:
        typer.echo(f"{folder / entry.file}: {entry.accuracy:.1%} right, SHA-256 {entry.sha256}")
