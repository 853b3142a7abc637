"""Agreement of the rays of a scan of several slices, and what is told of it."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import simulated_slice

from stream.analyse.agreement import weigh_agreement
from stream.core.config import ScanConfig
from stream.core.scan import ScanGrid

COUNT = 32


def grid(sequence="linear"):
    return ScanGrid.from_config(
        ScanConfig.model_validate(
            {
                "name": "two-slices",
                "angles": {"start": 0.0, "step": 180 / COUNT, "count": COUNT, "sequence": sequence},
                "positions": {"start": -(COUNT - 1) / 2, "step": 1.0, "count": COUNT},
                "slices": {"start": 0.0, "step": 1.0, "count": 2},
            }
        )
    )


def test_a_monitor_line_in_one_slice_weighs_less_there_and_a_jump_is_told():
    scan = grid()
    jump = np.zeros(COUNT)
    jump[20] = 1.5
    plain = simulated_slice.rays(COUNT, 2, scan.angles)[0]
    moved = simulated_slice.rays(COUNT, 2, scan.angles, jump)[0]
    plain[9] *= 1.2
    weights = np.ones(scan.shape)
    weights[1, 5] = 0
    weighed, told = weigh_agreement(np.stack([plain, moved]).astype(np.float32), weights, scan, 0.0)
    assert {9} <= set(told["outliers"]["projections"]) <= {9, 20}  # a projection displaced as much disagrees as well
    assert weighed[0, 9].max() < 0.2
    assert (weighed[1, 5] == 0).all()
    assert weighed[1, 9].min() > 0.9
    assert told["alignment"]["worst"]["angle"] == scan.angles[20]
    assert told["alignment"]["worst"]["shift_um"] == pytest.approx(1.5, abs=0.3)


def test_nothing_measured_nothing_told():
    scan = grid()
    weighed, told = weigh_agreement(np.zeros(scan.shape, np.float32), np.zeros(scan.shape), scan, 0.0)
    assert not weighed.any()
    assert told == {"outliers": None, "alignment": None}
