"""The beamline of the demonstration: detector, scan and config that go with a preset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pyFAI.detectors import Detector as PixelDetector
from pyFAI.integrator.azimuthal import AzimuthalIntegrator
from pyFAI.io.ponifile import PoniFile

from stream.simulate.calibrant import calibrant_image, write_image
from stream.simulate.detector import Detector
from stream.simulate.presets import Hump, Preset, find_preset

ENDPOINT = "tcp://127.0.0.1:31001"
WAVELENGTH = 0.6738  # Å, 18.4 keV
POLARIZATION = 0.99
FIELD = 48.0  # µm
PONI, STANDARD = "detector.poni", "lab6.edf"


def default_integrator() -> AzimuthalIntegrator:
    """512 × 512 pixels of 75 µm at 0.1 m, slightly tilted; the beam near a corner, so that 2θ goes past 21°."""
    return AzimuthalIntegrator(
        dist=0.1,
        poni1=0.0011,
        poni2=0.0009,
        rot1=0.01,
        rot2=-0.008,
        detector=PixelDetector(pixel1=75e-6, pixel2=75e-6, max_shape=(512, 512), orientation=3),
        wavelength=WAVELENGTH * 1e-10,
    )


def default_config(preset: str, fast: bool = False, endpoint: str = ENDPOINT) -> dict[str, Any]:
    """A config for that sample and `default_integrator`, as plain values; paths as `write_beamline` leaves them.

    48 positions × 45 angles, or 32 × 30 where `fast`, of the same field.
    """
    sample = find_preset(preset)
    positions, angles = (32, 30) if fast else (48, 45)
    step = FIELD / positions
    return {
        "scan": {
            "name": sample.name,
            "sample": sample.sample,
            "angles": {"start": 0.0, "step": 180.0 / angles, "count": angles},
            "positions": {"start": -step * (positions - 1) / 2, "step": step, "count": positions},
        },
        "detector": {"endpoint": endpoint, "geometry": PONI, "monitor": "i0"},
        "integration": {"unit": "2th_deg", "bins": 1200, "range": [0.8, 21.5], "polarization": POLARIZATION},
        "regions": [{"name": "hump", "range": [1.5, 3.0]}],
        "phases": default_phases(sample),
    }


def default_phases(preset: Preset) -> list[dict[str, Any]]:
    """The `phases` section for a preset, humps in degrees of 2θ."""
    crystals = [{"name": name, "cif": crystal.structure} for name, crystal in preset.crystals.items()]
    return [*crystals, *({"name": name, "hump": in_degrees(hump)} for name, hump in preset.humps.items())]


def in_degrees(hump: Hump) -> dict[str, float]:
    """Position and FWHM of a hump in degrees of 2θ at the default wavelength."""
    q = np.array([hump.q, hump.q - hump.width / 2, hump.q + hump.width / 2])
    position, low, high = np.rad2deg(2 * np.arcsin(q * WAVELENGTH / (4 * np.pi)))
    return {"position": round(float(position), 3), "width": round(float(high - low), 3)}


def write_beamline(folder: Path, preset: str, fast: bool, endpoint: str, seed: int) -> Path:
    """Write ``config.yaml``, ``detector.poni`` and the line standard's ``lab6.edf``; returns the config's path."""
    folder.mkdir(parents=True, exist_ok=True)
    integrator = default_integrator()
    with (folder / PONI).open("w", encoding="utf-8") as file:
        PoniFile(data=integrator).write(file)
    write_image(calibrant_image(Detector(integrator, POLARIZATION, seed), "LaB6", seed), folder / STANDARD)
    config = folder / "config.yaml"
    text = yaml.safe_dump(default_config(preset, fast, endpoint), sort_keys=False, allow_unicode=True)
    config.write_text(text, encoding="utf-8")
    return config
