"""ASTRA's CPU SIRT: one channel, non-negative, in the field of view."""

from __future__ import annotations

import numpy as np

from stream.analyse.tomography.projector import Floats, Projector


class Astra:
    """Its SIRT with the projector of that kind (`linear` or `strip`), for positions one unit apart."""

    def __init__(self, kind: str, projector: Projector, sinogram: Floats) -> None:
        import astra

        self._astra = astra
        count = projector.count
        beams = astra.create_proj_geom("parallel", 1.0, count, np.deg2rad(projector.angles_deg))
        space = astra.create_vol_geom(count, count)
        self._volume = astra.data2d.create("-vol", space)
        settings = astra.astra_dict("SIRT")
        settings["ProjectorId"] = astra.create_projector(kind, beams, space)
        settings["ProjectionDataId"] = astra.data2d.create("-sino", beams, np.ascontiguousarray(sinogram))
        settings["ReconstructionDataId"] = self._volume
        mask = astra.data2d.create("-vol", space, projector.support[::-1].astype(np.float32))
        settings["option"] = {"MinConstraint": 0.0, "ReconstructionMaskId": mask}
        self._algorithm = astra.algorithm.create(settings)

    def run(self, iterations: int) -> None:
        """Go on from where it is."""
        self._astra.algorithm.run(self._algorithm, iterations)

    def image(self, iterations: int) -> Floats:
        """(y, x) as ours is, after so many more iterations."""
        self.run(iterations)
        return np.asarray(self._astra.data2d.get(self._volume)[::-1])
