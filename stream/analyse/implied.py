"""What the fit implies of the voxels' classes: it knows no model, and no model knows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from stream.analyse.classify.contents import Mask, allowed
from stream.analyse.classify.preprocess import FEWEST, SliceScale, full_level
from stream.analyse.crystal.model import Crystal
from stream.analyse.crystal.reasons import Reason
from stream.analyse.crystal.smooth import Hump
from stream.analyse.masks import mask_name
from stream.core.axis import RadialAxis, from_two_theta, to_two_theta

Arrays = dict[str, npt.NDArray[Any]]
Reals = npt.NDArray[np.float64]
CARBON, GLASS = (0.25, 0.5), (1.4, 1.75)  # Å⁻¹: where a hump is taken for carbon/binder's or glass's
ENOUGH = 0.5  # of a slice's voxels: with fewer of them fitted nothing is said
GAUSSIAN = np.sqrt(np.pi / np.log(2)) / 2  # area of a Gaussian over height and full width at half maximum


@dataclass(frozen=True, slots=True)
class Implied:
    """Which of the fit's phases are crystals, and which humps, with their widths, are carbon/binder or glass."""

    crystals: tuple[str, ...]
    carbon: dict[str, float]
    glass: dict[str, float]

    @classmethod
    def of(cls, phases: Sequence[Crystal | Hump], axis: RadialAxis) -> Self:
        """Of the config's phases."""

        def humps(low: float, high: float) -> dict[str, float]:
            seen = [p for p in phases if isinstance(p, Hump) and axis.low < p.position < axis.high]
            return {p.name: p.width for p in seen if low < q_of(p.position, axis) < high}

        return cls(tuple(p.name for p in phases if isinstance(p, Crystal)), humps(*CARBON), humps(*GLASS))

    def classes(self, planes: Arrays, inside: Mask, scale: SliceScale) -> Mask | None:
        """Which classes the amounts (y, x) of a slice allow, (y, x, classes), none in voxels that were not fitted.

        Amounts become contents by what full voxels of the slice hold. None while few voxels are fitted, and where no
        phase tells anything.
        """
        if not (self.crystals or self.carbon or self.glass) or not scale.level > 0:
            return None
        carbon, glass = (
            self._content([planes[f"phase_{name}"] / (width * GAUSSIAN * scale.level) for name, width in humps.items()],
                          inside, fewest)
            for humps, fewest in ((self.carbon, FEWEST[0]), (self.glass, FEWEST[1]))
        )  # fmt: skip
        found = [
            np.where(planes[mask_name(name)] == Reason.NO_SIGNAL, 0.0, planes[f"phase_{name}"])
            for name in self.crystals
        ]
        told = allowed(self._content(found, inside, 0.0), carbon, glass)
        return told if np.count_nonzero(told[inside].any(axis=1)) > ENOUGH * np.count_nonzero(inside) else None

    @staticmethod
    def _content(amounts: list[npt.NDArray[np.floating]], inside: Mask, fewest: float) -> Reals | None:
        """Fractions of a full voxel, which holds `fewest` at least; None where nothing was looked for."""
        if not amounts:
            return None
        together: Reals = np.sum(np.stack(amounts), axis=0, dtype=np.float64)
        known = together[inside & np.isfinite(together)]
        full = max(full_level(known), fewest) if known.size else 0.0
        return np.asarray(together / full if full > 0 else 0 * together)


def q_of(position: float, axis: RadialAxis) -> float:
    """Å⁻¹ of a place on the axis."""
    return float(from_two_theta(to_two_theta(position, axis.unit, axis.wavelength), "q_A^-1", axis.wavelength))
