"""The amount of each phase in a ray: a linear functional of its pattern, and so a quantity that adds along the ray."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stream.analyse.crystal.fit import PatternFit
from stream.analyse.crystal.model import State, build
from stream.analyse.crystal.start import with_templates

Floats = npt.NDArray[np.float64]


def ray_amounts(fit: PatternFit, start: State, usable: npt.NDArray[np.bool_]) -> dict[str, Floats]:
    """One row (bins,) for each phase; its product with a pattern is the phase's amount.

    Least squares of the phases' whole patterns, with the mean pattern's cells and widths, beside humps and
    background, without weights or bounds: either would make the amount of a sum differ from the sum of amounts.

    Parameters
    ----------
    start
        from `PatternFit.start`.
    usable
        (bins,) bins that are measured in every ray; the others weigh nothing.
    """
    model = with_templates(
        build(fit.axis, fit.crystals, fit.humps, fit.instrument, fit.response, start, fit.shape_factor)
    )
    middle = model.templates.shape[1] // 2
    columns = np.vstack([model.templates[:, middle], model.smooth])
    norms = np.linalg.norm(columns[:, usable], axis=1)
    norms[norms == 0] = 1
    operator = np.zeros_like(columns)
    operator[:, usable] = np.linalg.pinv((columns[:, usable] / norms[:, None]).T) / norms[:, None]
    rows = {crystal.name: operator[p] * model.volume[p] ** 2 for p, crystal in enumerate(fit.crystals)}
    first = len(fit.crystals)
    return rows | {hump.name: operator[first + k] for k, hump in enumerate(fit.humps)}
