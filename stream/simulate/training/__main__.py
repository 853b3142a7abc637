"""`python -m stream.simulate.training FOLDER`: make a classifier and put it into a folder of models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from stream.simulate.training.dataset import make_dataset
from stream.simulate.training.export import Recipe, write_model
from stream.simulate.training.fit import Split, fit


def main(
    folder: Annotated[Path, typer.Argument(help="Where manifest.json is or will be.")],
    name: Annotated[str, typer.Option(help="Of the model and its files.")] = "mlp",
    seed: Annotated[int, typer.Option(help="Draws phantoms, scans and the network's start.")] = 2,
    phantoms: Annotated[int, typer.Option(help="How many are simulated; a sixth of them tests.")] = 240,
    largest: Annotated[int, typer.Option(help="Voxels a side of the largest scan.")] = 48,
) -> None:
    """Simulate scans, reconstruct them, learn from their voxels, and write model, manifest and card."""
    data = make_dataset(track(range(phantoms), "phantoms"), seed, largest)
    split = Split.of(phantoms)
    fitted = fit(data, split, seed)
    classifier = write_model(folder, Recipe(name, seed, phantoms, largest), fitted, data, split)
    typer.echo(f"{folder / f'{name}.onnx'}: SHA-256 {classifier.sha256}; its card is {folder / f'{name}.md'}")


if __name__ == "__main__":
    typer.run(main)
