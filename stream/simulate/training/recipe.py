"""How models are made: simulated scans, folds by phantom, families, calibration, files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stream.analyse.classify.learn.example import Example
from stream.analyse.classify.learn.families import FAMILIES, calibrate
from stream.analyse.classify.learn.model import Model
from stream.analyse.classify.learn.score import Judged, choose_threshold, judge
from stream.core.errors import UsageError
from stream.simulate.training.dataset import clean_examples
from stream.simulate.training.filled import filled, scattered
from stream.simulate.training.strangers import strange_examples

FOLDS = 5
VALIDATED = 0.2  # of the voxels are judged in the folds
STRANGE = 12  # phantoms that strangers are put into
TESTED = 6  # every TESTED-th phantom is kept for the test
CHANGED = 3  # every CHANGED-th learnt phantom is learnt from filled and scattered, too


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a training is made again from: seed, number of phantoms, voxels a side of the largest scan, families."""

    seed: int
    phantoms: int
    largest: int
    families: tuple[str, ...]

    @classmethod
    def of(cls, seed: int, phantoms: int, largest: int, families: Sequence[str]) -> Recipe:
        """A recipe for these families, or for all where none is named.

        Raises
        ------
        UsageError
            for a family that is not known.
        """
        for name in families:
            if name not in FAMILIES:
                raise UsageError(f"--family is {name!r}, not one of {', '.join(FAMILIES)}")
        return cls(seed=seed, phantoms=phantoms, largest=largest, families=tuple(families) or tuple(FAMILIES))

    @property
    def command(self) -> str:
        """The command that makes the models again."""
        chosen = "" if set(self.families) == set(FAMILIES) else "".join(f" --family {name}" for name in self.families)
        return (
            f"braggstream train models --seed {self.seed} --phantoms {self.phantoms} --largest {self.largest}{chosen}"
        )

    @property
    def learnt(self) -> list[int]:
        """Phantoms to learn from, and to validate by in turn."""
        return [n for n in range(self.phantoms) if n % TESTED != TESTED - 1]

    @property
    def held(self) -> range:
        """Phantoms that tell nothing but the threshold: as many as test, beyond all others."""
        return range(self.phantoms, self.phantoms + max(self.phantoms // TESTED, 1))

    @property
    def tested(self) -> list[int]:
        """Phantoms to test with."""
        return [n for n in range(self.phantoms) if n % TESTED == TESTED - 1]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A family's model of all learnt phantoms; what the folds said of phantoms they had not seen; the test.

    validated: of each fold, with the threshold that its model would have been given.
    filled: the tested phantoms once more, with voxels that hold one thing each.
    strangers: share called unknown of each real material that was never shown, and of voxels measured by half.
    """

    family: str
    model: Model
    threshold: float
    validated: list[tuple[Judged, float]]
    tested: Judged
    filled: Judged
    strangers: dict[str, float]


def fit_families(
    recipe: Recipe, examples: Sequence[Example], own: Sequence[Example] = (), kept: Path | None = None
) -> Iterator[Fitted]:
    """One family after another.

    Each is fitted in turn to the learnt phantoms less one fold of them, which it judges. On what all the folds say of
    phantoms that they had not seen, probabilities are calibrated; the model itself is then fitted to all of them, and
    its threshold chosen on the held ones. Labelled slices of the user's `own` are learnt from each time, filled and
    scattered phantoms with those that they were made from.
    """
    learnt = [example for example in examples if example.phantom in set(recipe.learnt)]
    unseen = [example for example in examples if example.phantom in set(recipe.tested)]
    held = clean_examples(recipe.held, recipe.seed, recipe.largest, kept)
    whole = clean_examples(recipe.tested, recipe.seed, recipe.largest, kept, filled)
    beside = [
        example
        for change in (filled, scattered)
        for example in clean_examples(recipe.learnt[::CHANGED], recipe.seed, recipe.largest, kept, change)
    ]
    strange = strange_examples(recipe.tested[:STRANGE], recipe.seed, recipe.largest, kept)
    fold = {number: place % FOLDS for place, number in enumerate(recipe.learnt)}
    for family in recipe.families:
        fit = FAMILIES[family]
        folds, validated = [], []
        for out in range(FOLDS):
            others = [example for example in (*learnt, *beside) if fold[example.phantom] != out]
            left = [example for example in learnt if fold[example.phantom] == out]
            model = fit([*others, *own], recipe.seed)
            calibrate(model, left, recipe.seed)
            folds.append(model)
            validated.append((judge(model, left, VALIDATED), choose_threshold(judge(model, held))))
        model = fit([*learnt, *beside, *own], recipe.seed)
        weights, biases = zip(*((each.weights, each.bias) for each in folds), strict=True)
        model.weights, model.bias = np.mean(weights, axis=0), np.mean(biases, axis=0)
        threshold = choose_threshold(judge(model, held))
        unknown = {name: unknown_share(model, threshold, parts) for name, parts in strange.items()}
        tested, full = judge(model, unseen), judge(model, whole)
        yield Fitted(family, model, threshold, validated, tested, full, unknown)


def unknown_share(model: Model, threshold: float, parts: Sequence[Example]) -> float:
    """How much of what is foreign in these slices is called unknown; NaN where none is."""
    judged = judge(model, parts) if parts else None
    return float((judged.called(threshold) == -1).mean()) if judged else float("nan")
