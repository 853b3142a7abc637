"""Where the voxels of a map lie: shape, coordinates and field of view of tomographies and rasters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from stream.analyse.tomography.projector import Projector
from stream.core.config import ScanConfig
from stream.core.scan import ScanGrid


def grid(**changes: Any) -> ScanGrid:
    raw = {
        "name": "t",
        "angles": {"start": 0, "step": 10, "count": 18},
        "positions": {"start": 30, "step": -2, "count": 11},
        "slices": {"start": 5, "step": 4, "count": 3},
    }
    return ScanGrid.from_config(ScanConfig.model_validate(raw | changes))


def test_a_tomography_has_a_square_for_each_slice_around_the_axis() -> None:
    scan = grid()
    assert scan.map_shape == (3, 11, 11)
    slices, y, x = scan.map_axes
    np.testing.assert_array_equal(slices, [5, 9, 13])
    np.testing.assert_array_equal(x, 10.0 - 2.0 * np.arange(11))
    np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("count", [3, 4, 10, 11, 64])
def test_the_field_of_view_is_the_projector_s(count: int) -> None:
    scan = grid(positions={"start": 0, "step": -0.7, "count": count})
    np.testing.assert_array_equal(scan.field_of_view, Projector(scan.angles, scan.positions, 0.0).support)


@pytest.mark.parametrize("angles", [None, {"values": [30.0]}, {"start": 1, "step": 1, "count": 1}])
def test_a_raster_is_one_picture_where_its_motors_are(angles: Any) -> None:
    scan = grid(mode="raster", angles=angles)
    assert scan.shape == (3, 1, 11)
    assert scan.map_shape == (1, 3, 11)
    _, y, x = scan.map_axes
    np.testing.assert_array_equal(y, [5, 9, 13])
    np.testing.assert_array_equal(x, 30.0 - 2.0 * np.arange(11))
    assert scan.field_of_view.shape == (3, 11)
    assert scan.field_of_view.all()


def test_a_raster_of_many_angles_is_refused() -> None:
    with pytest.raises(ValidationError, match="mode is 'raster', which has one angle, but angles has 18"):
        grid(mode="raster")
