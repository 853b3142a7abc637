"""How models are made: simulated scans, folds by phantom, families, calibration, files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stream.analyse.classify.learn.example import Example, foreign_example
from stream.analyse.classify.learn.families import FAMILIES, calibrate
from stream.analyse.classify.learn.foreign import UNFAMILIAR
from stream.analyse.classify.learn.model import Model
from stream.analyse.classify.learn.score import Judged, choose_threshold, judge, together
from stream.core.errors import UsageError
from stream.simulate.training.dataset import simulate
from stream.simulate.training.strangers import STRANGERS, draw_stranger

FOLDS = 3
VALIDATED = 0.2  # of the voxels are judged in the folds
STRANGE = 5  # phantoms that strangers are put into
TESTED = 6  # every TESTED-th phantom is kept for the test


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
    def tested(self) -> list[int]:
        """Phantoms to test with."""
        return [n for n in range(self.phantoms) if n % TESTED == TESTED - 1]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A family's model of all learnt phantoms; what the folds said of phantoms they had not seen; the test.

    strangers: share called unknown of each real material that was never shown.
    """

    family: str
    model: Model
    threshold: float
    validated: Judged
    tested: Judged
    strangers: dict[str, float]


def fit_families(
    recipe: Recipe, examples: Sequence[Example], own: Sequence[Example] = (), kept: Path | None = None
) -> Iterator[Fitted]:
    """One family after another.

    Each is fitted in turn to two thirds of the learnt phantoms and judges the last third. On what all the folds say of
    phantoms that they had not seen, probabilities are calibrated and the threshold is chosen; the model itself is then
    fitted to all of them. Labelled slices of the user's `own` are learnt from each time.
    """
    learnt = [example for example in examples if example.phantom in set(recipe.learnt)]
    unseen = [example for example in examples if example.phantom in set(recipe.tested)]
    fold = {number: place % FOLDS for place, number in enumerate(recipe.learnt)}
    for family in recipe.families:
        fit = FAMILIES[family]
        validated = []
        for out in range(FOLDS):
            others = [example for example in learnt if fold[example.phantom] != out]
            left = [example for example in learnt if fold[example.phantom] == out]
            model = fit([*others, *own], recipe.seed)
            calibrate(model, left, recipe.seed)
            validated.append((model, left))
        judged = together([judge(model, left, VALIDATED) for model, left in validated])
        threshold = choose_threshold(judged)
        model = fit([*learnt, *own], recipe.seed)
        weights, biases = zip(*((each.weights, each.bias) for each, _ in validated), strict=True)
        model.weights, model.bias = np.mean(weights, axis=0), np.mean(biases, axis=0)
        strangers = {name: unknown_share(model, threshold, recipe, name, kept) for name in STRANGERS}
        yield Fitted(family, model, threshold, judged, judge(model, unseen), strangers)


def unknown_share(model: Model, threshold: float, recipe: Recipe, name: str, kept: Path | None) -> float:
    """How much of a stranger in complete scans of tested phantoms is called unknown."""
    parts = []
    for number in recipe.tested[:STRANGE]:
        rng = np.random.default_rng([recipe.seed, number, 99])
        part = simulate(number, recipe.seed, recipe.largest, kept)[0]
        parts.append(foreign_example(rng, part, number, lambda rng, q: draw_stranger(rng, q, name)))
    judged = judge(model, parts)
    return float((judged.called(threshold)[judged.labels == UNFAMILIAR] == -1).mean())
