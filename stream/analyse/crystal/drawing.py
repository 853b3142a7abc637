"""The fit of a line standard, drawn: what the instrument's widths stand on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stream.analyse.crystal.calibrate import Calibration
from stream.analyse.crystal.response import Response
from stream.core.axis import RadialAxis

Floats = npt.NDArray[np.float64]

WIDTH, HEIGHT, MARGIN = 900.0, 220.0, 60.0
STYLE = "font: 12px sans-serif; fill: #222"


def draw(axis: RadialAxis, pattern: Floats, variance: Floats, found: Calibration, response: Response) -> str:
    """An SVG of three panels over 2θ: pattern and fit (square roots), residual in σ, widths of the instrument."""
    x = np.rad2deg(axis.two_theta)
    flat, box = response.seen(axis.two_theta)
    sigma, gamma, box = map(np.rad2deg, (*found.instrument.widths(axis.two_theta, flat), box))
    inside = (x >= found.instrument.valid[0]) & (x <= found.instrument.valid[1])
    known = np.isfinite(pattern) & (variance > 0)
    off = np.where(known, (pattern - found.curve) / np.sqrt(np.where(known, variance, 1)), np.nan)
    roots = [np.sqrt(np.clip(values, 0, None)) for values in (pattern, found.curve)]
    panels = [
        ("√intensity: measured (grey) and fitted (red)", [(roots[0], "#999", ""), (roots[1], "#c22", "")]),
        ("residual, standard deviations", [(off, "#246", "")]),
        (
            "degrees: pixel (grey), σ (red), γ (blue); dashed: beyond the lines measured",
            [
                (values, colour, dashes)
                for whole, colour in ((box, "#999"), (sigma, "#c22"), (gamma, "#24c"))
                for values, dashes in ((np.where(inside, whole, np.nan), ""), (np.where(inside, np.nan, whole), "4 3"))
            ],
        ),
    ]
    body = [_panel(n * HEIGHT, x, title, curves) for n, (title, curves) in enumerate(panels)]
    lines = [f'<line x1="{_across(x, at):.1f}" x2="{_across(x, at):.1f}" y1="{HEIGHT - 38:.0f}" y2="{HEIGHT - 32:.0f}" '
             'stroke="#222"/>' for at in found.lines]  # fmt: skip
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH:.0f}" height="{3 * HEIGHT:.0f}">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *body, *lines, "</svg>"])


def _across(x: Floats, at: npt.ArrayLike) -> Floats:
    return np.asarray(MARGIN + (np.asarray(at) - x[0]) / (x[-1] - x[0]) * (WIDTH - 1.5 * MARGIN))


def _panel(top: float, x: Floats, title: str, curves: list[tuple[Floats, str, str]]) -> str:
    """Curves (values, colour, dashes) over one common scale, with its ends written beside it."""
    every = np.concatenate([values for values, _, _ in curves])
    low, high = min(float(np.nanmin(every)), 0.0), float(np.nanmax(every))
    upper, lower = top + 30, top + HEIGHT - 40
    parts = [f'<text x="{MARGIN:.0f}" y="{top + 18:.0f}" style="{STYLE}">{title}</text>']
    for value, height in ((high, upper), (low, lower)):
        parts.append(f'<text x="4" y="{height + 4:.0f}" style="{STYLE}">{value:.3g}</text>')
    for value, anchor in ((x[0], "start"), (x[-1], "end")):
        at = f'x="{_across(x, value):.0f}" y="{lower + 20:.0f}" text-anchor="{anchor}"'
        parts.append(f'<text {at} style="{STYLE}">{value:.1f}° 2θ</text>')
    for values, colour, dashes in curves:
        known = np.isfinite(values)
        y = lower - (np.where(known, values, low) - low) / max(high - low, 1e-300) * (lower - upper)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(_across(x, x)[known], y[known], strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-dasharray="{dashes}"/>')
    return "\n".join(parts)
