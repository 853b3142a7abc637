"""Self-absorption: what of the lines that a ray excites reaches the detector.

The beam loses on its way in, the lines on their way out, to a detector in the plane of the slice, at 90° to the beam:
I = Σ x · exp(−∫ µ(beam) in) · exp(−∫ µ(line) out) (de Jonge and Vogt 2010, Curr. Opin. Struct. Biol. 20, 606). The
share that arrives is computed in the frame of the beam, for an image of what emits, which it depends on but weakly.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import xraydb
from scipy.ndimage import map_coordinates

from stream.analyse.fluorescence.lines import ElementLines

Floats = npt.NDArray[np.float64]


def mass_attenuation(composition: Mapping[str, float], kev: npt.ArrayLike) -> Floats:
    """µ/ρ in cm²/g at photon energies (…), of a material whose elements have these masses."""
    whole = sum(composition.values())
    return np.asarray(sum(mass / whole * xraydb.mu_elam(element, 1000 * np.asarray(kev, dtype=np.float64))
                          for element, mass in composition.items()))  # fmt: skip


def line_attenuation(composition: Mapping[str, float], lines: ElementLines) -> float:
    """µ/ρ in cm²/g that the lines of an element meet in a material, on average over their shares."""
    return float(mass_attenuation(composition, lines.energies) @ lines.shares)


def arriving(
    emitting: Floats, incoming: Floats, outgoing: Floats, angles: Floats, first: float, *, beam: int, side: int
) -> Floats:
    """Share of the photons of each ray that reach the detector, (element, angle, position); 1 where none are emitted.

    Parameters
    ----------
    emitting
        (element, y, x), what a voxel emits.
    incoming, outgoing
        (y, x) and (element, y, x), optical depth of a voxel for the beam and for an element's lines.
    angles
        degrees.
    first
        Place of the first position, in steps from the rotation axis.
    beam, side
        1 or -1: the beam runs towards growing or falling y cos ω − x sin ω, the detector stands at growing or falling
        x cos ω + y sin ω, in voxels.
    """
    count = incoming.shape[0]
    middle = (count - 1) / 2
    beyond = int(np.ceil(abs(first + middle)))  # rays that the scan has not, and lines pass
    across = first + np.arange(-beyond, count + beyond)
    along = (np.arange(count) - middle)[:, None]
    share = np.ones((len(emitting), len(angles), count))
    for a, omega in enumerate(np.deg2rad(angles)):
        places = np.stack(
            [across * np.sin(omega) + along * np.cos(omega), across * np.cos(omega) - along * np.sin(omega)]
        )
        places += middle
        inwards = _passed(_turned(incoming, places), axis=0, sense=beam)
        for k, source in enumerate(emitting):
            emitted = _turned(source, places)
            outwards = _passed(_turned(outgoing[k], places), axis=1, sense=-side)
            left = (emitted * np.exp(-inwards - outwards)).sum(axis=0)[beyond : beyond + count]
            whole = emitted.sum(axis=0)[beyond : beyond + count]
            np.divide(left, whole, out=share[k, a], where=whole > 0)
    return share


def _turned(image: Floats, places: Floats) -> Floats:
    return np.asarray(map_coordinates(image, places, order=1, mode="grid-constant"))


def _passed(depth: Floats, *, axis: int, sense: int) -> Floats:
    """Optical depth up to the middle of each cell, for what runs along an axis, forwards (1) or backwards (-1)."""
    up_to = np.cumsum(depth, axis=axis) - depth / 2
    return up_to if sense > 0 else depth.sum(axis=axis, keepdims=True) - up_to
