"""Live slices: which of several comes first, and what is told of the basis that all of them are in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.small_store import small_store

from stream.analyse.store import PatternStore
from stream.analyse.tomograph import Tomograph
from stream.analyse.tomography.basis import RANK
from stream.analyse.tomography.projector import Projector
from stream.core.config import ReconstructionConfig


def tomograph_of(store: PatternStore, **config: object) -> Tomograph:
    volume = np.full((*store.grid.map_shape, store.axis.bins), np.nan, np.float32)
    asked = ReconstructionConfig.model_validate({"iterations": 10, "center": 0.0} | config)
    return Tomograph(store, asked, volume, store.patterns.sum(axis=-1))


def test_the_slice_that_is_being_scanned_comes_first(tmp_path: Path) -> None:
    """However much an earlier one still lacks; the others take turns by what they lack."""
    store = small_store(tmp_path, 5, slices=3)
    store.measured[2, 4:] = False
    tomograph = tomograph_of(store)
    tomograph.update(10.0)
    for part, owed in zip(tomograph.slices, (0.6, 1.0, 0.1), strict=True):
        part.owed = owed
    store.measured[2, 4] = True
    assert tomograph.update(0.0) == [2]
    assert tomograph.update(0.0) == [1]
    assert tomograph.update(10.0) == [1, 0, 2]


def test_an_update_without_time_takes_one_step_of_a_sixth_of_the_projections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an update costs at least does not grow as the scan does: rounds have more steps."""
    store, angles = small_store(tmp_path, 5, 1, 48), 48
    measured, taken = store.measured.copy(), []
    store.measured[:] = False
    tomograph, forward = tomograph_of(store, iterations=100), Projector.forward_block

    def counted(projector: Projector, volume: np.ndarray, out: np.ndarray, a0: int, a1: int) -> None:
        taken[-1] += a1 - a0
        forward(projector, volume, out, a0, a1)

    monkeypatch.setattr(Projector, "forward_block", counted)
    for angle in range(angles):
        store.measured[0, angle] = measured[0, angle]
        taken.append(0)
        tomograph.update(0.0)
    assert max(taken[1:]) <= 12  # the first also sums the rows; six in a set make two, and the newest comes by itself
    assert max(taken[36:]) <= angles / 6 + 1


def test_the_rank_grows_with_what_the_scan_shows_and_what_is_left_out_is_told(tmp_path: Path) -> None:
    kinds, bins, counts = 70, 120, 400
    store, rng = small_store(tmp_path, bins, 1, 20, 21), np.random.default_rng(3)
    spectra = rng.random((kinds, bins)) * 20 + 1
    mixed = rng.dirichlet(np.ones(kinds), store.grid.shape)
    mixed[0, :4] = mixed[0, 0, 0]
    store.patterns[:] = rng.poisson(mixed @ spectra * counts) / counts
    store.norms[:], store.measured[0, 4:] = counts, False
    tomograph = tomograph_of(store, channels="basis:8")
    tomograph.update(0.0)
    assert tomograph.told["basis"]["rank"] == RANK
    assert tomograph.told["basis"]["structures"] == 1
    store.measured[:] = True
    tomograph.update(0.0)
    tomograph.refine(0.0)
    assert tomograph.told["basis"]["structures"] > RANK
    assert tomograph.told["basis"]["rank"] == RANK + 64
    assert tomograph.told["basis"]["left_out"] < 0.02
    tomograph.settle()
    assert tomograph.told["basis"]["rank"] == RANK + 64, "in place of 8"
