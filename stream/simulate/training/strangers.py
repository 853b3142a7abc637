"""Real materials that no sample holds and no model was shown: whether they are called unknown is tested with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import gemmi
import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from stream.analyse.classify.learn.example import Example, foreign_example
from stream.analyse.classify.learn.foreign import UNFAMILIAR
from stream.analyse.classify.preprocess import Q_GRID
from stream.simulate.training.dataset import simulate

Cell = tuple[float, float, float, float, float, float]
Site = tuple[str, float, float, float]

STRANGERS: dict[str, tuple[str, Cell, tuple[Site, ...]]] = {
    "iron": ("I m -3 m", (2.8665, 2.8665, 2.8665, 90, 90, 90), (("Fe", 0, 0, 0),)),
    "austenitic steel": ("F m -3 m", (3.59, 3.59, 3.59, 90, 90, 90), (("Fe", 0, 0, 0),)),
    "aluminium": ("F m -3 m", (4.0495, 4.0495, 4.0495, 90, 90, 90), (("Al", 0, 0, 0),)),
    "copper": ("F m -3 m", (3.6149, 3.6149, 3.6149, 90, 90, 90), (("Cu", 0, 0, 0),)),
    "silicon": ("F d -3 m:1", (5.4310, 5.4310, 5.4310, 90, 90, 90), (("Si", 0, 0, 0),)),
    "graphite": ("P 63/m m c", (2.464, 2.464, 6.711, 90, 90, 120), (("C", 0, 0, 0.25), ("C", 1 / 3, 2 / 3, 0.25))),
    "ice": ("P 63/m m c", (4.4975, 4.4975, 7.3224, 90, 90, 120), (("O", 1 / 3, 2 / 3, 0.0618),)),
    "ceria": ("F m -3 m", (5.4113, 5.4113, 5.4113, 90, 90, 90), (("Ce", 0, 0, 0), ("O", 0.25, 0.25, 0.25))),
    "quartz": (
        "P 31 2 1",
        (4.9137, 4.9137, 5.4047, 90, 90, 120),
        (("Si", 0.4697, 0, 1 / 3), ("O", 0.4133, 0.2672, 0.4521)),
    ),
}
"""Space group, cell (Å, degrees) and sites, from the literature; of ice Ih the oxygen alone."""
D_MIN = 1.4  # Å: beyond the q grid
B_FACTOR = 0.5  # Å²
VISIBLE = 0.1


@cache
def lines(name: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """q (Å⁻¹) and area of a stranger's lines in a powder pattern: Σ|F|² / (sin²θ) up to a factor."""
    group, cell, sites = STRANGERS[name]
    hkl = gemmi.make_miller_array(gemmi.UnitCell(*cell), gemmi.SpaceGroup("P 1"), D_MIN, 0.0, False)
    d = gemmi.UnitCell(*cell).calculate_d_array(hkl)
    s2 = 1 / (4 * d**2)
    amplitude = np.zeros(len(d), complex)
    for element, *place in sites:
        form = gemmi.Element(element).it92
        f = form.c + sum(a * np.exp(-b * s2) for a, b in zip(form.a, form.b, strict=True))
        images = {
            tuple(np.round(np.mod(op.apply_to_xyz(place), 1), 4) % 1) for op in gemmi.SpaceGroup(group).operations()
        }
        phases = np.exp(2j * np.pi * (hkl @ np.array(sorted(images)).T)).sum(axis=1)
        amplitude += f * np.exp(-B_FACTOR * s2) * phases
    return 2 * np.pi / d, np.abs(amplitude) ** 2 * d**2


def strange_examples(
    numbers: Sequence[int], seed: int, largest: int, kept: Path | None = None
) -> dict[str, list[Example]]:
    """Complete scans of these phantoms with spots of each stranger; only those are labelled.

    A scan that has measured less than VISIBLE of a stranger's intensity is none of its examples: nobody could tell.
    """
    found: dict[str, list[Example]] = {name: [] for name in STRANGERS}
    for number in numbers:
        part = simulate(number, seed, largest, kept)[0]
        measured = np.isfinite(part.values[part.labels >= 0]).any(axis=0)
        for name, examples in found.items():
            rng = np.random.default_rng([seed, number, 99])
            if draw_stranger(np.random.default_rng(0), Q_GRID.centers, name)[measured].sum() < VISIBLE * Q_GRID.bins:
                continue
            example = foreign_example(rng, part, number, partial(draw_stranger, name=name))
            examples.append(
                replace(example, labels=np.where(example.labels == UNFAMILIAR, example.labels, np.int8(-1)))
            )
    return found


def draw_stranger(rng: np.random.Generator, q: npt.NDArray[np.float64], name: str) -> npt.NDArray[np.float64]:
    """The pattern of a stranger, of mean 1 on the grid q, with some texture."""
    places, areas = lines(name)
    width, step = rng.uniform(0.006, 0.02), q[1] - q[0]
    rings = np.round(places, 4)
    texture = dict.fromkeys(rings.tolist(), 1.0)
    texture = {ring: float(np.exp(rng.normal(0, 0.3))) for ring in texture}
    edges = np.append(q - step / 2, q[-1] + step / 2)
    shares = np.diff(ndtr((edges - places[:, None]) / width), axis=1)
    pattern = (areas * np.array([texture[ring] for ring in rings.tolist()])) @ shares
    return np.asarray(pattern / max(float(pattern.mean()), 1e-12))
