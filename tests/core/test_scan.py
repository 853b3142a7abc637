"""The grid: every frame has one point, every point one frame, in the order the config tells."""

from __future__ import annotations

from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.core.config import ScanConfig
from stream.core.scan import GOLDEN, ScanGrid, angle_sequence

AXES = ("slice", "angle", "position")


def scan_config(**changes: Any) -> ScanConfig:
    raw = {"name": "t", "angles": {"start": 0.0, "step": 1.0, "count": 5}, "positions": {"count": 4}} | changes
    return ScanConfig.model_validate(raw)


@st.composite
def scans(draw: st.DrawFn) -> ScanConfig:
    count = st.integers(1, 7)
    sequence = draw(
        st.sampled_from(["linear", "golden", "interlaced:1", "interlaced:2", "interlaced:3", "interlaced:9"])
    )
    return scan_config(
        angles={"start": 0.0, "step": 1.5, "count": draw(count), "sequence": sequence},
        positions={"start": -3.0, "step": draw(st.sampled_from([1.0, -0.5])), "count": draw(count)},
        slices={"start": 0.0, "step": 2.0, "count": draw(count)},
        order=draw(st.sampled_from(list(permutations(AXES)))),
        snake=draw(st.booleans()),
    )


def visited(scan: ScanConfig) -> dict[str, np.ndarray]:
    """Index along each axis, frame after frame."""
    grid = ScanGrid.from_config(scan)
    return dict(zip(AXES, np.unravel_index(grid.visit, grid.shape), strict=True))


@settings(max_examples=150, deadline=None)
@given(scans())
def test_every_point_is_visited_once(scan: ScanConfig) -> None:
    grid = ScanGrid.from_config(scan)
    assert sorted(grid.visit) == list(range(grid.size))
    assert grid.size == np.prod(grid.shape)
    assert [grid.slot(frame) for frame in range(grid.size)] == grid.visit.tolist()
    frame_of = np.argsort(grid.visit)
    assert all(frame_of[grid.slot(frame)] == frame for frame in range(grid.size))


@settings(max_examples=150, deadline=None)
@given(scans())
def test_the_order_of_the_visit_is_that_of_nested_loops(scan: ScanConfig) -> None:
    along = {
        "slice": range(scan.slices.count),
        "angle": angle_sequence(scan.angles.size, scan.angles.sequence).tolist(),
        "position": range(scan.positions.count),
    }
    slow, middle, fast = scan.order
    expected = []
    for line, (s, m) in enumerate(product(along[slow], along[middle])):
        values = list(along[fast])
        if scan.snake and line % 2:
            values.reverse()
        expected += [{slow: s, middle: m, fast: f} for f in values]
    found = visited(scan)
    assert [{axis: int(found[axis][n]) for axis in AXES} for n in range(len(expected))] == expected


def test_frames_beyond_the_grid_have_no_slot() -> None:
    grid = ScanGrid.from_config(scan_config())
    assert [grid.slot(frame) for frame in (-1, grid.size, 2**63 - 1)] == [None, None, None]


@settings(max_examples=60, deadline=None)
@given(count=st.integers(1, 400), sequence=st.sampled_from(["linear", "golden", "interlaced:7", "interlaced:500"]))
def test_each_angle_is_visited_once(count: int, sequence: str) -> None:
    assert sorted(angle_sequence(count, sequence)) == list(range(count))


def test_interlaced_makes_passes() -> None:
    assert angle_sequence(7, "interlaced:3").tolist() == [0, 3, 6, 1, 4, 2, 5]
    assert angle_sequence(4, "interlaced:1").tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("count", [34, 180, 1000])
def test_golden_steps_by_the_golden_section(count: int) -> None:
    """Any first part of the visit covers the range: no gap is wider than three even ones (three-gap theorem)."""
    order = angle_sequence(count, "golden")
    assert order[0] == 0
    ideal = np.arange(count) * GOLDEN % 1.0 * count
    assert np.abs(order - ideal).max() < 0.02 * count + 2
    for first in (8, 21, 30):
        gaps = np.diff(np.sort(order[:first]), prepend=0, append=count)
        assert gaps.max() <= 3 * count / first + 2


def test_values_are_those_of_the_config_not_of_the_visit() -> None:
    scan = scan_config(
        angles={"values": [10.0, 5.0, 7.5], "sequence": "interlaced:2"},
        positions={"start": 2.0, "step": -0.5, "count": 3},
        slices={"start": 1.0, "step": 2.0, "count": 2},
    )
    grid = ScanGrid.from_config(scan)
    np.testing.assert_array_equal(grid.angles, [10.0, 5.0, 7.5])
    np.testing.assert_array_equal(grid.positions, [2.0, 1.5, 1.0])
    np.testing.assert_array_equal(grid.slices, [1.0, 3.0])
    assert grid.step == -0.5
    assert grid.shape == (2, 3, 3)


def test_a_large_golden_scan_is_laid_out_at_once() -> None:
    grid = ScanGrid.from_config(
        scan_config(angles={"start": 0, "step": 1e-3, "count": 200_000, "sequence": "golden"}, positions={"count": 2})
    )
    assert np.bincount(grid.visit).tolist() == [1] * grid.size
