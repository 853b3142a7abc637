"""A basis in which a pattern takes a few numbers: singular vectors of the patterns, in units of their noise.

Every bin is divided by σ, its noise in a ray of mean brightness, so that noise is one in all directions, and rays weigh
as their monitor. The eigenvectors of the patterns' second moment are then the directions in which rays hold more than
noise, the strongest first. Noise alone makes eigenvalues up to (1 + √(p/n))² (p bins, n rays; Marchenko and Pastur
1967): what is above is structure, and the rank grows until the last eigenvalue is not. A weak peak may stay below it,
or its vector may point astray, and still stand out in its own few bins, where it is looked for by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream.analyse.tomography.lanes import LANES
from stream.analyse.tomography.narrow import aligned, peaks
from stream.core.errors import UsageError

Floats = NDArray[np.float32]
Reals = NDArray[np.float64]

NOISE = 16
"""Channels of pure noise that are reconstructed beside the coefficients; together they fill the lanes."""
RANK = LANES - NOISE
MOST = 4 * LANES - NOISE
WIDEST = 8192  # bins: their moments take half a gigabyte
ALIGNED = 0.95  # of a vector's square lies where it should: others leave their place to peaks in few bins
FROM_NOTHING, WARM = 40, 4  # rounds of the subspace iteration


class Moments:
    """Sums over rays that a basis is made of; rays are added and taken back in any order.

    Raises
    ------
    UsageError
        more bins than moments can be kept for.
    """

    def __init__(self, bins: int) -> None:
        if bins > WIDEST:
            raise UsageError(f"integration.bins is {bins}: a basis is kept for at most {WIDEST} bins")
        self.second: Reals = np.zeros((bins, bins))
        self.first: Reals = np.zeros(bins)
        self.variance: Reals = np.zeros(bins)
        self.known = np.zeros(bins, np.bool_)
        self.weight = 0.0
        self.rays = 0
        self._power: Reals = np.zeros(2)  # Σ s, Σ s²: s is the noise power of a ray

    def add(self, patterns: Floats, variances: Floats, weights: Reals, sign: int = 1) -> None:
        """Add rays (sign 1) or take them back (-1): patterns and variances (ray, bin), NaN where not known."""
        given = np.isfinite(patterns)
        self.known |= given.any(axis=0)
        filled, noise = self._filled(patterns, variances, given, weights)
        scaled = filled * np.sqrt(weights, dtype=np.float64).astype(np.float32)[:, None]
        self.second += sign * (scaled.T @ scaled)
        self.first += sign * (weights @ filled)
        self.variance += sign * (weights @ noise)
        self.weight += sign * float(weights.sum())
        self.rays += sign * len(patterns)
        mean = np.where(self.variance > 0, self.variance, np.inf) / max(self.weight, 1e-300)
        power = weights * (noise / mean).sum(axis=1)
        self._power += sign * np.array([power.sum(), np.square(power).sum()])

    @property
    def sigma(self) -> Reals:
        """(bin,) noise of a ray of mean brightness, 0 where nothing was counted."""
        return np.asarray(np.sqrt(np.clip(self.variance, 0, None) / max(self.weight, 1e-300)))

    @property
    def equal_rays(self) -> float:
        """How many rays these are worth, were all equally noisy."""
        return float(max(self._power[0] ** 2 / self._power[1], 1.0)) if self._power[1] > 0 else 1.0

    @property
    def edge(self) -> float:
        """Largest eigenvalue that noise makes."""
        return float((1 + np.sqrt(np.count_nonzero(self.sigma) / self.equal_rays)) ** 2)

    @property
    def counts(self) -> Reals:
        """(bin,) counts of a ray of mean brightness, 0 where nothing was counted."""
        spread = self.variance * self.weight
        return np.divide(self.first**2, spread, out=np.zeros_like(self.first), where=spread > 0)

    def _filled(
        self, patterns: Floats, variances: Floats, given: NDArray[np.bool_], weights: Reals
    ) -> tuple[Floats, Floats]:
        """Bins missing from single rays get the mean pattern's value, at that ray's brightness."""
        filled, noise = np.where(given, patterns, 0), np.where(given, np.nan_to_num(variances), 0)
        if given.all():
            return filled, noise
        mean = self.first + weights @ filled
        spread = self.variance + weights @ noise
        total = given.astype(np.float64) @ mean
        level = np.divide(filled.sum(axis=1, dtype=np.float64), total, out=np.zeros(len(given)), where=total > 0)
        level = level[:, None].astype(np.float32)
        return (
            np.where(given, filled, level * mean.astype(np.float32)),
            np.where(given, noise, level * spread.astype(np.float32)),
        )


@dataclass(frozen=True, slots=True)
class Basis:
    """coefficients = patterns @ analysis, patterns = coefficients @ synthesis; noise is one in every coefficient.

    Attributes
    ----------
    analysis : (bin, rank), 0 in bins that hold nothing
    synthesis : (rank, bin), NaN in bins that no ray knows
    strength : (rank,) mean square of each coefficient: 1 is noise
    structures : how many stand above noise
    left_out : share of the patterns' structure, in units of noise, that none of those holds
    worst : largest mean square of what is left out of a bin, in units of its noise, less the noise
    """

    analysis: Floats
    synthesis: Floats
    strength: Reals
    structures: int
    left_out: float
    worst: float

    @property
    def rank(self) -> int:
        """Number of coefficients."""
        return len(self.strength)

    def coefficients(self, patterns: Floats) -> Floats:
        """(n, rank) of patterns (n, bin); where bins are missing from a pattern, the likeliest ones.

        With noise of one and coefficients of variance strength - 1, these are (PᵀP + 1/(strength - 1))⁻¹ Pᵀ y.
        """
        used = self.analysis.any(axis=1)
        values = patterns if used.all() else patterns[:, used]
        analysis = self.analysis[used]
        with np.errstate(invalid="ignore"):
            found: Floats = values @ analysis
        prior = np.diag(1 / np.maximum(self.strength - 1, 1e-3))
        for row in np.flatnonzero(~np.isfinite(found).all(axis=1)):
            known = np.isfinite(values[row])
            vectors = analysis[known].astype(np.float64)
            inverse = self.synthesis[:, used][:, known].astype(np.float64)
            found[row] = np.linalg.solve(inverse @ vectors + prior, values[row, known] @ vectors)
        return found

    def patterns(self, coefficients: Floats) -> Floats:
        """(n, bin) of coefficients (n, rank)."""
        return np.asarray(coefficients @ self.synthesis)

    def turn(self, older: Basis) -> Floats:
        """(rank, older's rank): turns coefficients in the older basis into those in this one."""
        return np.asarray(self.analysis.T @ np.nan_to_num(older.synthesis).T)


def find_basis(moments: Moments, rank: int, start: Basis | None = None, *, grows: bool = True) -> Basis:
    """The basis of at least `rank` vectors (no more than bins), of more while structure remains, if it `grows`.

    Parameters
    ----------
    start : an older basis to go on from; without one the result depends on the moments alone.
    """
    sigma = moments.sigma
    scale = np.divide(1.0, sigma, out=np.zeros_like(sigma), where=sigma > 0)
    matrix = scale[:, None] * moments.second * scale / max(moments.weight, 1e-300)
    rank = min(max(rank, start.rank if start else 0), len(sigma))
    while True:
        vectors, structures = _with_peaks(matrix, *_largest(matrix, rank, start, sigma), moments)
        if not grows or structures < rank or rank >= min(MOST, len(sigma)):
            break
        rank = min((rank + NOISE) // LANES * LANES + LANES - NOISE, len(sigma))
    strength = np.einsum("bk,bk->k", vectors, matrix @ vectors)
    rest = _rest(matrix, vectors[:, :structures], strength[:structures] - 1)
    total = float(rest.sum() + (strength[:structures] - 1).sum())
    return Basis(
        analysis=(scale[:, None] * vectors).astype(np.float32),
        synthesis=np.where(moments.known[:, None], sigma[:, None] * vectors, np.nan).T.astype(np.float32),
        strength=strength,
        structures=structures,
        left_out=float(np.clip(rest.sum() / total, 0, 1)) if total > 0 and moments.rays > rank else 0.0,
        worst=float(max(rest.max(initial=0.0), 0.0)),
    )


def _rest(matrix: Reals, vectors: Reals, excess: Reals) -> Reals:
    """(bin,) mean square beyond noise that vectors of such excess do not hold; 0 in bins that hold nothing."""
    return np.where(np.diag(matrix) > 0, np.diag(matrix) - 1 - np.square(vectors) @ excess, 0)


def _with_peaks(matrix: Reals, values: Reals, vectors: Reals, moments: Moments) -> tuple[Reals, int]:
    """Weak peaks take the places of vectors that say less of them; how many of the vectors stand above noise."""
    structures = int(np.count_nonzero(values > moments.edge))
    straight = aligned(values[:structures], int(np.count_nonzero(moments.sigma)), moments.equal_rays) > ALIGNED
    solid = int(np.argmin(np.append(straight, False)))
    found = peaks(matrix, vectors[:, :solid], values[:solid] - 1, moments.counts, moments.equal_rays)
    found = found[:, -(vectors.shape[1] - solid) :] if solid < vectors.shape[1] else found[:, :0]
    joined = np.hstack([vectors[:, :solid], found, vectors[:, solid : vectors.shape[1] - found.shape[1]]])
    return np.linalg.qr(joined)[0], max(structures, solid + found.shape[1])


def _largest(matrix: Reals, rank: int, start: Basis | None, sigma: Reals) -> tuple[Reals, Reals]:
    """The largest eigenvalues, descending, and their vectors (bin, rank), by subspace iteration (Rayleigh-Ritz)."""
    vectors = np.random.default_rng(0).standard_normal((len(matrix), rank))
    if start is not None:
        vectors[:, : start.rank] = sigma[:, None] * start.analysis
    for _ in range(FROM_NOTHING if start is None else WARM):
        vectors = np.linalg.qr(matrix @ vectors)[0]
    values, turned = np.linalg.eigh(vectors.T @ matrix @ vectors)
    return values[::-1], vectors @ turned[:, ::-1]
