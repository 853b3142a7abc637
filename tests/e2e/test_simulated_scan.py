"""The virtual beamline against the processor, each as its own command: maps and strain against the written truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.chain import correlation
from helpers.virtual import scanned

PARTICLE = 3  # of the classes


def check(found: dict[str, Any], truth: dict[str, Any]) -> None:
    assert correlation(found["maps/phase_layered"], truth["phase_layered"]) > 0.9
    particles = truth["class_index"] == PARTICLE
    strain = np.nanmedian(found["maps/strain_layered"][particles])
    assert strain == pytest.approx(np.nanmedian(truth["strain_layered"][particles]), rel=0.1)
    assert np.isfinite(found["maps/strain_layered"][particles]).mean() > 0.9
    inside = truth["class_index"] >= 0
    assert found["maps/class_index"].dtype == np.int8
    assert (found["maps/class_index"][~inside] == -1).all()
    assert (found["maps/class_index"][inside] == truth["class_index"][inside]).mean() > 0.8
    likely = np.moveaxis(found["maps/class_probability"], 1, -1)
    assert likely.shape == (*inside.shape, 5)
    assert (likely[inside].sum(axis=-1) < 1 + 1e-5).all()  # the rest is for what no class knows
    cell = np.nanmedian(found["maps/a_layered"][particles] / truth["a_layered"][particles])
    assert cell == pytest.approx(1, abs=1e-4)


def test_a_small_scan_of_an_unseen_sample(tmp_path: Path) -> None:
    scan = {
        "angles": {"start": 3.0, "step": 9.0, "count": 20},
        "positions": {"start": -20.0, "step": 2.0, "count": 21},
        "snake": True,
    }
    check(**scanned(tmp_path, 0.6199, 4711, scan, distance=0.11, rot1=-0.02, rot2=0.015))


@pytest.mark.slow
def test_a_larger_scan_in_two_slices_at_another_wavelength(tmp_path: Path) -> None:
    scan = {
        "angles": {"start": 0.0, "step": 4.0, "count": 45, "sequence": "golden"},
        "positions": {"start": 20.0, "step": -1.0, "count": 41},
        "slices": {"start": 0.0, "step": 2.0, "count": 2},
    }
    check(**scanned(tmp_path, 0.5, 90125, scan, distance=0.14, rot1=0.01, rot2=0.02, poni1=0.002))
