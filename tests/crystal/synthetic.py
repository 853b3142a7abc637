"""Patterns made by another path than the fit's: scipy's Voigt on a fine grid, then averaged over the bins."""

from __future__ import annotations

import numpy as np
from scipy.special import erfcx, voigt_profile

from stream.analyse.crystal.instrument import AxisOfRecord, Instrument
from stream.analyse.crystal.response import Response
from stream.analyse.crystal.structure import load_structure
from stream.core.axis import RadialAxis

AXIS = RadialAxis("2th_deg", 4.0, 26.0, 1100, 0.6199)
FINE = 16
PIXEL = 0.02
NODES, WEIGHTS = np.polynomial.legendre.leggauss(5)
SEEN = Response.even(AXIS, PIXEL)


def instrument(axis: RadialAxis = AXIS, variance: float = 0.0) -> Instrument:
    return Instrument(
        calibrant="lab6",
        wavelength=axis.wavelength,
        pixel=PIXEL,
        w=0.011**2,
        u=0.0,
        y=0.004,
        x=0.004,
        covariance=(np.eye(4) * variance).tolist(),
        valid=(4.0, 26.0),
        axis=AxisOfRecord(unit=axis.unit, low=axis.low, high=axis.high, bins=axis.bins),
    )


def lines(
    name: str,
    cell: tuple[float, ...],
    strain: float,
    size: float,
    texture: np.random.Generator | None = None,
    axis: RadialAxis = AXIS,
    share: float = 1.0,
) -> np.ndarray:
    """(bins,) of a phase at unit scale; size in nm; cell edges a, b, c; share 1: Lorentzian, 0: Gaussian."""
    edges = axis.edges
    fine = np.linspace(edges[0], edges[-1], axis.bins * FINE + 1)
    fine = (fine[1:] + fine[:-1]) / 2
    if axis.unit == "q_A^-1":
        fine = np.rad2deg(2 * np.arcsin(fine * axis.wavelength / (4 * np.pi)))
    structure = load_structure(name)
    stretch = np.asarray(cell) / np.asarray(structure.cell[:3])
    wavelength = axis.wavelength
    found = structure.reflections(1.2)
    h, k, m = found.hkl.T
    a, _, c = cell
    if name == "nmc622":
        d = 1 / np.sqrt(4 / 3 * (h * h + h * k + k * k) / a**2 + m * m / c**2)
    else:
        assert np.allclose(stretch, stretch[0])
        d = a / np.sqrt(h * h + k * k + m * m)
    theta = np.arcsin(wavelength / 2 / d)
    strength = found.multiplicity * found.f_squared / (np.sin(theta) ** 2 * np.cos(theta))
    if texture is not None:
        strength = strength * (1 + 0.1 * texture.normal(size=len(d)))
    sigma, gamma = instrument(axis).widths(2 * theta)
    beta = 0.9 * wavelength / (10 * size * np.cos(theta)) + 4 * strain * np.tan(theta)
    if share == 1:
        extra_sigma, extra_gamma = np.zeros_like(beta), beta / np.pi
    else:
        ratio = share / (1 - share)
        extra_sigma = beta * erfcx(ratio) / np.sqrt(2 * np.pi)
        extra_gamma = ratio * np.sqrt(2) * extra_sigma
    out = np.zeros(fine.size)
    for t, s, w, g in zip(2 * theta, strength, np.hypot(sigma, extra_sigma), gamma + extra_gamma, strict=True):
        box = np.deg2rad(PIXEL) * np.cos(t) ** 2
        for node, weight in zip(NODES * box / 2, WEIGHTS / 2, strict=True):
            out += weight * s * voigt_profile(np.deg2rad(fine) - t - node, w, g)
    return out.reshape(axis.bins, FINE).mean(axis=1)


def hump(position: float, width: float) -> np.ndarray:
    """(bins,) a Gaussian of unit area in degrees."""
    sigma = width / 2.354820045
    return np.exp(-(((AXIS.centers - position) / sigma) ** 2) / 2) / (sigma * np.sqrt(2 * np.pi))
