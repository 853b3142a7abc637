"""What each bin sees of 2θ, known from geometry, mask and method, so that no line standard has to tell it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from stream.core.axis import RadialAxis
from stream.core.config import IntegrationConfig, Method
from stream.ingest.integrate import CpuIntegrator
from stream.ingest.integrate.geometry import Geometry, Mask

Floats = npt.NDArray[np.float64]

CIRCLE = 64  # bins; deviations are measured as angles on a circle so long


@dataclass(frozen=True, slots=True)
class Response:
    """A bin, a pixel's box, and how each bin deviates from these.

    A square pixel of width p seen at an azimuth φ covers 2θ as two boxes do, p|cos φ| and p|sin φ|. Their variance is
    p²/12 at every φ, their fourth cumulant -p⁴(cos⁴φ + sin⁴φ)/120: that of one box of 0.93 p on a whole ring, `pixel`.
    What this box lacks of the variance is a Gaussian's, `rest`. Both go with cos²2θ, as a length on the detector does.

    The pixels of a bin do not fill it evenly (a ring of a few hundred pixels leaves several per cent of variance to
    chance), and a tilt widens one side of the rings: `shift` and `excess` are what that changes, bin by bin.
    """

    pixel: float  # degrees, at 2θ = 0
    rest: float  # degrees², at 2θ = 0
    shift: Floats  # (bins,) mean 2θ of what is counted in a bin, less the bin's middle; radians
    excess: Floats  # (bins,) its variance, less that of bin, box and rest; radians²

    @classmethod
    def even(cls, axis: RadialAxis, pixel: float) -> Self:
        """Bins evenly filled by pixels that are boxes of `pixel` degrees."""
        return cls(pixel, 0.0, np.zeros(axis.bins), np.zeros(axis.bins))

    @classmethod
    def of(cls, geometry: Geometry, integration: IntegrationConfig, mask: Mask, invalid: Mask | None = None) -> Self:
        """Of a detector's pixels, integrated as the config says; `invalid` ones of the image do not change the axis."""
        plain = integration.model_copy(update={"filter": None})
        integrate = CpuIntegrator.create(geometry, plain, mask).for_series(invalid, None)
        axis, shape = integrate.axis, geometry.shape
        norms = geometry.weights(integration.solid_angle, integration.polarization).ravel()

        def mean(values: Floats) -> Floats:
            """(bins,) over what is counted in each; NaN where nothing is."""
            pattern = integrate.layout.pattern(norms * values, np.inf)
            known = pattern.norms > 0
            sums = np.where(known, pattern.sums, np.nan).astype(np.float64)
            return np.asarray(sums / np.where(known, pattern.norms, 1))

        corner = np.asarray(geometry.integrator.array_from_unit(shape, "corner", axis.unit), dtype=np.float64)
        corner = corner.reshape(-1, corner.shape[-2], corner.shape[-1])[:, :, 0]
        middle = np.asarray(geometry.integrator.array_from_unit(shape, "center", axis.unit), dtype=np.float64).ravel()
        two_theta, slope = axis.two_theta, np.gradient(axis.two_theta, axis.step)  # of 2θ by the axis' unit
        flat = np.cos(two_theta) ** 2
        # corners run round the pixel
        edges = np.stack([corner[:, 1] + corner[:, 2], corner[:, 2] + corner[:, 3]]) - corner.sum(axis=1) / 2
        own, widths = np.abs(edges), counted(np.abs(edges), integration.method)
        footprint = mean(np.sum(own**2, axis=0) / 12) * slope**2
        whole = mean(np.sum(widths**2, axis=0) / 12) * slope**2 / flat**2
        fourth = mean(np.sum(widths**4, axis=0)) * slope**4 / flat**4
        known = np.isfinite(whole)
        box = float(np.mean(fourth[known]) ** 0.25)
        rest = max(float(np.mean(whole[known])) - box**2 / 12, 0.0)

        turn = 2 * np.pi / (CIRCLE * axis.step)
        along = mean(np.cos(turn * middle)) + 1j * mean(np.sin(turn * middle))
        along *= np.exp(-1j * turn * axis.centers)
        with np.errstate(divide="ignore", invalid="ignore"):
            variance = -2 * np.log(np.abs(along)) / turn**2 * slope**2 + footprint
        usual = np.diff(axis.two_theta_edges) ** 2 / 12 + (box**2 / 12 + rest) * flat**2
        return cls(
            pixel=float(np.rad2deg(box)),
            rest=float(np.rad2deg(np.rad2deg(rest))),
            shift=np.nan_to_num(np.angle(along) / turn * slope),
            excess=np.nan_to_num(variance - usual, posinf=0.0, neginf=0.0),
        )


def counted(widths: Floats, method: Method) -> Floats:
    """(boxes, pixels) over which a pixel's counts go: its edges (2, pixels), once more if they are split over the bins.

    `full` splits a pixel over its footprint, `bbox` over its extent.
    """
    if method == "full":
        return np.concatenate([widths, widths])
    if method == "bbox":
        return np.concatenate([widths, widths.sum(axis=0, keepdims=True)])
    return widths
