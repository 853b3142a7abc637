"""The beam: its intensity from frame to frame, and what the instruments before and behind the sample read of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
DRIFT, JITTER, READING = 0.03, 0.002, 0.001  # of the incident intensity: slow, fast; noise of its reading
DIODE = 0.37  # reading of the transmitted beam for an incident intensity of 1 and no sample


def draw_monitor(frames: int, seed: int, dump: float) -> tuple[Floats, Floats]:
    """Incident intensity of each frame (about 1), and what the monitor reads of it; shapes (frames,).

    It drifts and jitters; in a dump, one stretch of `dump` · frames, there is none.
    """
    rng = np.random.default_rng([seed, 3])
    phase = 2 * np.pi * (rng.random() + 3 * np.arange(frames) / max(frames, 1))
    intensity = 1 + DRIFT * np.sin(phase) + JITTER * rng.standard_normal(frames)
    length = round(dump * frames)
    start = int(rng.integers(0, max(frames - length, 1)))
    intensity[start : start + length] = 0.0
    return intensity, intensity * (1 + READING * rng.standard_normal(frames))


def draw_diode(frames: int, seed: int) -> Floats:
    """What the diode behind the sample reads for each frame, of a transmitted intensity of 1; shape (frames,)."""
    return DIODE * (1 + READING * np.random.default_rng([seed, 8]).standard_normal(frames))
