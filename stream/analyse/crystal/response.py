"""What each bin sees of 2θ, known from geometry, mask and method, so that no line standard has to tell it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
from pyFAI.units import to_unit

from stream.core.axis import RadialAxis
from stream.core.config import IntegrationConfig, Method
from stream.ingest.integrate import CpuIntegrator
from stream.ingest.integrate.geometry import Geometry, Mask
from stream.ingest.integrate.layout import Layout

Floats = npt.NDArray[np.float64]

CIRCLE = 64  # bins; deviations are measured as angles on a circle so long
BANDS = 64  # of bins, over which widths are averaged: wider than what chance puts into a bin


@dataclass(frozen=True, slots=True)
class Response:
    """A bin, a pixel's box, and how each bin deviates from these.

    A square pixel of width p seen at an azimuth φ covers 2θ as two boxes do, p|cos φ| and p|sin φ|. Their variance is
    p²/12 at every φ, their fourth cumulant -p⁴(cos⁴φ + sin⁴φ)/120: that of one box, of 0.93 p on a whole ring, and of
    0.84 p in a detector's corner. What `pixel`, the box of all rings, lacks of the variance is a Gaussian's, `rest`.
    Lengths on the detector are seen with cos²2θ, and where it is tilted with the `stretch` of each ring.

    The pixels of a bin do not fill it evenly (a ring of a few hundred pixels leaves several per cent of variance to
    chance): `shift` and `excess` are what that changes, bin by bin.
    """

    pixel: float  # degrees, at 2θ = 0
    rest: float  # degrees², at 2θ = 0
    shift: Floats  # (bins,) mean 2θ of what is counted in a bin, less the bin's middle; radians
    excess: Floats  # (bins,) its mean square from the bin's middle, less that of bin, box and rest; radians²
    bands: Floats  # (bands,) 2θ, radians
    stretch: Floats  # (bands,) a length on the detector as it is seen along 2θ, over cos²2θ of it
    side: Floats  # (bands,) the box there, over `pixel` as it is seen

    @classmethod
    def even(cls, axis: RadialAxis, pixel: float) -> Self:
        """Bins evenly filled by pixels that are boxes of `pixel` degrees."""
        one = np.ones(1)
        return cls(pixel, 0.0, np.zeros(axis.bins), np.zeros(axis.bins), axis.two_theta[:1], one, one)

    @classmethod
    def of(cls, geometry: Geometry, integration: IntegrationConfig, mask: Mask, invalid: Mask | None = None) -> Self:
        """Of a detector's pixels, integrated as the config says; `invalid` ones of the image do not change the axis.

        Boxes are told over all of the detector, whatever part of it the range takes: an instrument serves them all.
        """
        plain = integration.model_copy(update={"filter": None})
        sums = everywhere = _Sums.of(geometry, plain, mask, invalid)
        if plain.range is not None:
            everywhere = _Sums.of(geometry, plain.model_copy(update={"range": None}), mask, invalid)
        edges = _edges(geometry)
        found = cls._boxes(geometry, everywhere, edges, counted(edges, plain.method))
        middle = geometry.positions(sums.axis.unit).ravel() * to_unit(sums.axis.unit).scale
        shift, square = _deviations(sums.axis, sums.of_each, middle)
        variance = square + _ratio(sums.of_each(np.sum(edges**2, axis=0) / 12))
        excess = np.nan_to_num(variance - found._usual(sums.axis), posinf=0.0, neginf=0.0)
        return replace(found, shift=np.nan_to_num(shift), excess=excess)

    @classmethod
    def _boxes(cls, geometry: Geometry, sums: _Sums, edges: Floats, widths: Floats) -> Self:
        """Box, rest, stretch and side; nothing is known of the bins yet."""
        here = geometry.positions("2th_deg").ravel()  # radians, on pyFAI's inner scale
        flat = np.cos(here) ** 2
        lengths, whole = (sums.in_bands(np.sum(of**2, axis=0) / 12 / flat**2) for of in (edges, widths))
        boxes, known = sums.in_bands(np.sum(widths**4, axis=0) / flat**4) ** 0.25, np.isfinite(whole)
        box = float(np.mean(boxes[known] ** 4) ** 0.25)
        stretch = np.sqrt(lengths / np.mean(lengths[known]))
        return cls(
            pixel=float(np.rad2deg(box)),
            rest=float(np.rad2deg(np.rad2deg(max(float(np.mean(whole[known])) - box**2 / 12, 0.0)))),
            shift=np.zeros(sums.axis.bins),
            excess=np.zeros(sums.axis.bins),
            bands=sums.in_bands(here)[known],
            stretch=stretch[known],
            side=(boxes / stretch)[known] / box,
        )

    def seen(self, two_theta: npt.ArrayLike) -> tuple[Floats, Floats]:
        """What is seen along 2θ (radians) of a length on the detector, a share; and the pixel's box, radians."""
        angle = np.asarray(two_theta, dtype=np.float64)
        flat = np.asarray(np.cos(angle) ** 2 * np.interp(angle, self.bands, self.stretch))
        return flat, np.asarray(np.deg2rad(self.pixel) * flat * np.interp(angle, self.bands, self.side))

    def _usual(self, axis: RadialAxis) -> Floats:
        """(bins,) variance of bin, box and rest, radians²."""
        flat, box = self.seen(axis.two_theta)
        rest = np.deg2rad(np.deg2rad(self.rest)) * flat**2
        return np.asarray(np.diff(axis.two_theta_edges) ** 2 / 12 + box**2 / 12 + rest)


@dataclass(frozen=True, slots=True)
class _Sums:
    """Sums over what is counted in each bin; norms: weight of each pixel."""

    axis: RadialAxis
    layout: Layout
    norms: Floats

    @classmethod
    def of(cls, geometry: Geometry, integration: IntegrationConfig, mask: Mask, invalid: Mask | None) -> Self:
        integrate = CpuIntegrator.create(geometry, integration, mask).for_series(invalid, None)
        norms = geometry.weights(integration.solid_angle, integration.polarization).ravel()
        return cls(integrate.axis, integrate.layout, norms)

    def of_each(self, values: Floats) -> Floats:
        """(2, bins): sum of the pixels' values in each bin, and its weight."""
        pattern = self.layout.pattern(self.norms * values, np.inf)
        return np.array([pattern.sums, pattern.norms], dtype=np.float64)

    def in_bands(self, values: Floats) -> Floats:
        """(bands,) means; NaN where nothing is."""
        starts = np.unique(np.linspace(0, self.axis.bins, BANDS, endpoint=False).astype(int))
        return _ratio(np.add.reduceat(self.of_each(values), starts, axis=1))


def _edges(geometry: Geometry) -> Floats:
    """(2, pixels) what each edge of a pixel covers of 2θ, radians."""
    corner = np.asarray(geometry.integrator.array_from_unit(geometry.shape, "corner", "2th_rad"), dtype=np.float64)
    corner = corner.reshape(-1, corner.shape[-2], corner.shape[-1])[:, :, 0]  # they run round the pixel
    along = np.stack([corner[:, 1] + corner[:, 2], corner[:, 2] + corner[:, 3]]) - corner.sum(axis=1) / 2
    return np.asarray(np.abs(along))


def _ratio(both: Floats) -> Floats:
    """Sums over weights (2, n); NaN where nothing is."""
    known = both[1] > 0
    return np.asarray(np.where(known, both[0], np.nan) / np.where(known, both[1], 1))


def _deviations(axis: RadialAxis, summed: Callable[[Floats], Floats], middle: Floats) -> tuple[Floats, Floats]:
    """(bins,) mean deviation of pixels' middles (in the axis' unit) from the bin's; their mean square; radians.

    The square goes with the second derivative of a profile as the mean goes with the first (Taylor).
    """
    turn = 2 * np.pi / (CIRCLE * axis.step)
    slope = np.gradient(axis.two_theta, axis.step)  # of 2θ by the axis' unit
    along = _ratio(summed(np.cos(turn * middle))) + 1j * _ratio(summed(np.sin(turn * middle)))
    along *= np.exp(-1j * turn * axis.centers)
    shift = np.angle(along) / turn * slope
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = -2 * np.log(np.abs(along)) / turn**2 * slope**2
    return np.asarray(shift), np.asarray(variance + shift**2)


def counted(widths: Floats, method: Method) -> Floats:
    """(boxes, pixels) over which a pixel's counts go: its edges (2, pixels), once more if they are split over the bins.

    `full` splits a pixel over its footprint, `bbox` over its extent.
    """
    if method == "full":
        return np.concatenate([widths, widths])
    if method == "bbox":
        return np.concatenate([widths, widths.sum(axis=0, keepdims=True)])
    return widths
