"""The Voigt profile behind a pixel and a bin, with its derivatives, in closed form.

A count is booked at its pixel's middle, and its pixel in a bin: a line is a Voigt convolved with two boxes, and both
are as wide as the line. Evaluated at bin centres, bins of a line's width make a fitted strain 9 % low; a pixel's box
taken for a Gaussian makes it 10 to 20 % low. So the profile here is integrated over both boxes exactly, by the
second antiderivative of the Faddeeva function.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_SQRT_PI = math.sqrt(math.pi)


def _weideman(terms: int) -> tuple[float, Floats]:
    """L and coefficients of Weideman's rational series for w(z) (SIAM J. Numer. Anal. 31, 1497, 1994)."""
    scale = math.sqrt(terms / math.sqrt(2))
    half = 2 * terms
    theta = np.arange(-half + 1, half) * np.pi / half
    t = scale * np.tan(theta / 2)
    f = np.concatenate([[0.0], np.exp(-(t**2)) * (scale**2 + t**2)])
    return scale, np.real(np.fft.fft(np.fft.fftshift(f)))[1 : terms + 1] / (2 * half)


_L, _A = _weideman(20)
_W = np.ascontiguousarray(_A[::-1])  # Horner order
_INTEGRAL = np.ascontiguousarray((_A / np.arange(1, _A.size + 1))[::-1])


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})  # type: ignore[untyped-decorator]
def faddeeva(x: Floats, y: float, w: Floats) -> None:
    """w(x + iy) at x (n,) and y >= 0, to 1e-8, and its antiderivative W; written to `w` (4, n): Re w, Im w, Re W, Im W.

    With Z = (L + iz)/(L - iz): w = 2 Σ a_k Z^k/(L - iz)² + 1/(√π (L - iz)), and as dZ/dz = 2iL/(L - iz)², the series
    integrates term by term: W = Σ a_k Z^(k+1)/(iL (k+1)) + i log(L - iz)/√π. The points are the inner loop, so that
    the processor takes several at once.
    """
    n, a, b = x.size, _L - y, _L + y  # iz = -y + ix
    z = np.empty((2, n))
    (zr, zi), (pr, pi, sr, si) = (z[0], z[1]), (w[0], w[1], w[2], w[3])
    for j in range(n):
        norm = 1 / (b * b + x[j] * x[j])
        zr[j], zi[j] = (a * b - x[j] * x[j]) * norm, 2 * _L * x[j] * norm
        pr[j], pi[j], sr[j], si[j] = _W[0], 0.0, _INTEGRAL[0], 0.0
    for k in range(1, _W.size):
        term, integral = _W[k], _INTEGRAL[k]
        for j in range(n):
            pr[j], pi[j] = pr[j] * zr[j] - pi[j] * zi[j] + term, pr[j] * zi[j] + pi[j] * zr[j]
            sr[j], si[j] = sr[j] * zr[j] - si[j] * zi[j] + integral, sr[j] * zi[j] + si[j] * zr[j]
    for j in range(n):
        norm = 1 / (b * b + x[j] * x[j])
        ir, ii = b * norm, x[j] * norm
        qr, qi = ir * ir - ii * ii, 2 * ir * ii
        pr[j], pi[j] = (
            2 * (pr[j] * qr - pi[j] * qi) + ir / _SQRT_PI,
            2 * (pr[j] * qi + pi[j] * qr) + ii / _SQRT_PI,
        )
        sr[j], si[j] = (
            (sr[j] * zi[j] + si[j] * zr[j]) / _L + math.atan(x[j] / b) / _SQRT_PI,
            (si[j] * zi[j] - sr[j] * zr[j]) / _L - 0.5 * math.log(norm) / _SQRT_PI,
        )


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def voigt_bins(
    edges: Floats,
    shift: Floats,
    excess: Floats,
    box: float,
    center: float,
    sigma: float,
    gamma: float,
    along: tuple[float, float],
    value: Floats,
    by_center: Floats,
    by_width: Floats,
) -> None:
    """Fill the means over bins and pixels of a Voigt of unit area, and those of its derivatives.

    Parameters
    ----------
    edges : (bins + 1,), ascending, in the unit of shift, box, center, sigma and gamma.
    shift, excess : (bins,) mean and variance of what a bin sees beyond an even bin behind the box, to first order.
    box : the pixel's width (> 0).
    sigma, gamma : the Gaussian's standard deviation (> 0), the Lorentzian's half width at half maximum.
    along : by how much sigma and gamma grow with the width that `by_width` is the derivative by.
    value, by_center, by_width : (bins,), written; per unit of the edges.
    """
    wide = math.sqrt(sigma * sigma + box * box / 12)
    reach = 7 * wide + 6 * gamma
    bins = value.size
    first = min(max(_place(edges, center - reach) - 1, 0), bins)
    last = max(min(_place(edges, center + reach), bins), first)
    before, near, after = slice(0, first), slice(first, last), slice(last, bins)
    for some, end in ((before, first), (after, bins)):
        own = edges[some.start : end + 1]
        _tail(own, center, sigma, wide, gamma, along, value[some], by_center[some], by_width[some])
    if last > first:
        own = edges[first : last + 1]
        _core(own, shift[near], excess[near], box, center, sigma, gamma, along,
              value[near], by_center[near], by_width[near])  # fmt: skip


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _core(
    edges: Floats,
    shift: Floats,
    excess: Floats,
    box: float,
    center: float,
    sigma: float,
    gamma: float,
    along: tuple[float, float],
    value: Floats,
    by_center: Floats,
    by_width: Floats,
) -> None:
    """Near the line: differences of the antiderivative at the bins' edges, of which each is one at two pixel edges.

    V = t Re w/√π at z = t (x + iγ), t = 1/(σ√2); ∫V = Re W/√π; ∫∫V = Re (z W + w/2 - iz/√π)/(t √π), as w' = 2i/√π -
    2zw. V solves the heat equation, ∂V/∂σ = σ V'', and w is analytic, so no further function is needed.
    """
    n = edges.size
    t = 1 / (sigma * math.sqrt(2))
    y = gamma * t
    x, w = np.empty(2 * n), np.empty((4, 2 * n))
    for i in range(n):
        x[i], x[n + i] = (edges[i] - center - box / 2) * t, (edges[i] - center + box / 2) * t
    faddeeva(x, y, w)
    for j in range(2 * n):
        w[1, j] = x[j] * w[2, j] - y * w[3, j] + w[0, j] / 2
    mean = w[:, n:] - w[:, :n]  # over the pixel: of w, the second antiderivative, and both parts of the first
    norm = 1 / (box * _SQRT_PI)
    for i in range(n - 1):
        each = norm / (edges[i + 1] - edges[i])
        by_sigma = (mean[0, i + 1] - mean[0, i]) * each * sigma * t
        by_gamma = (mean[3, i] - mean[3, i + 1]) * each
        slope, curvature = (mean[2, i] - mean[2, i + 1]) * each, by_sigma / sigma
        value[i] = (mean[1, i + 1] - mean[1, i]) * each / t + 0.5 * excess[i] * curvature - shift[i] * slope
        by_center[i] = slope - shift[i] * curvature
        by_width[i] = along[0] * by_sigma + along[1] * by_gamma


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _place(edges: Floats, x: float) -> int:
    """The first edge not below x, by bisection (np.searchsorted costs a second of compilation)."""
    low, high = 0, edges.size
    while low < high:
        middle = (low + high) // 2
        if edges[middle] < x:
            low = middle + 1
        else:
            high = middle
    return low


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})  # type: ignore[untyped-decorator]
def _tail(
    edges: Floats,
    center: float,
    sigma: float,
    wide: float,
    gamma: float,
    along: tuple[float, float],
    value: Floats,
    by_center: Floats,
    by_width: Floats,
) -> None:
    """Far from the line: V = γ/π (1/x² + (3s² - γ²)/x⁴ + (15s⁴ - 10s²γ² + γ⁴)/x⁶), s² = `wide`² with the pixel's."""
    s2, g2 = wide * wide, gamma * gamma
    second, third = 3 * s2 - g2, 15 * s2 * s2 - 10 * s2 * g2 + g2 * g2
    area, grown, wider = gamma / math.pi, along[1] / math.pi, along[0] * gamma / math.pi * sigma
    v0, v1, v2 = area, area * second, area * third
    w0, w1, w2 = grown, grown * (second - 2 * g2) + 6 * wider, grown * (third + 4 * g2 * g2 - 20 * s2 * g2)
    w2 += wider * (60 * s2 - 20 * g2)
    for i in range(value.size):
        low, high = edges[i] - center, edges[i + 1] - center
        q = 1 / (low * high)  # the exact bin mean of 1/x²
        value[i] = q * (v0 + q * (v1 + q * v2))
        by_center[i] = q * q * (low + high) * (v0 + q * (2 * v1 + q * 3 * v2))
        by_width[i] = q * (w0 + q * (w1 + q * w2))
