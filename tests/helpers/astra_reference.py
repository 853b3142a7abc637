"""ASTRA's CPU SIRT, as a reference: tests/data/astra_sirt.npz holds its images of tests/tomography/test_sirt.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

ITERATIONS = 100


def astra_sirt(
    kind: str, data: npt.NDArray[Any], angles_deg: npt.NDArray[Any], support: npt.NDArray[np.bool_]
) -> npt.NDArray[Any]:
    """Image (y, x) from a sinogram (angle, position) of unit step, non-negative, within `support`."""
    import astra

    count = data.shape[1]
    geometry = astra.create_proj_geom("parallel", 1.0, count, np.deg2rad(angles_deg))
    space = astra.create_vol_geom(count, count)
    image = astra.data2d.create("-vol", space)
    mask = astra.data2d.create("-vol", space, support[::-1].astype(np.float32))
    config = astra.astra_dict("SIRT")
    config["ProjectorId"] = astra.create_projector(kind, geometry, space)
    config["ProjectionDataId"] = astra.data2d.create("-sino", geometry, data)
    config["ReconstructionDataId"] = image
    config["option"] = {"MinConstraint": 0.0, "ReconstructionMaskId": mask}
    astra.algorithm.run(astra.algorithm.create(config), ITERATIONS)
    found = astra.data2d.get(image)[::-1].copy()
    astra.clear()
    return found
