"""The virtual beamline into the processor, each as its own command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from helpers.chain import Site, results, write_poni

from stream.simulate.presets import HUMPS


def hump(name: str, wavelength: float) -> dict[str, float]:
    """Position and FWHM in degrees of 2θ of a hump that is known in q."""
    q, width = HUMPS[name].q, HUMPS[name].width
    low, middle, high = (
        np.rad2deg(2 * np.arcsin(x * wavelength / (4 * np.pi))) for x in (q - width / 2, q, q + width / 2)
    )
    return {"position": float(middle), "width": float(high - low)}


def scanned(folder: Path, wavelength: float, seed: int, scan: dict[str, Any], **geometry: float) -> dict[str, Any]:
    """Calibrate, simulate and run in `folder`/run; what the run found and what is true."""
    write_poni(folder / "detector.poni", (512, 512), 75e-6, wavelength=wavelength * 1e-10, **geometry)
    site = Site(
        folder,
        {
            "scan": {"name": "unseen", **scan},
            "detector": {"geometry": "detector.poni", "monitor": "i0", "format": "dectris-2"},
            "integration": {"bins": 1200},
            "phases": [
                {"name": "layered", "cif": "nmc622"},
                {"name": "spinel", "cif": "lnmo-spinel"},
                *({"name": name, "hump": hump(name, wavelength)} for name in HUMPS),
            ],
        },
    )
    standard = ("--calibrant", "LaB6", "--image", "lab6.edf")
    for arguments in (
        ("simulate", "--config", site.path, "--seed", str(seed), *standard),
        ("calibrate", site.path, *standard, "--output", "instrument.yaml"),
    ):
        command = site.command(*arguments)
        assert command.wait() == 0, command.err
    site.config["instrument"] = "instrument.yaml"
    site.write()
    beamline = site.command("simulate", "--config", site.path, "--seed", str(seed), "--truth", "truth.h5")
    run = site.run()
    try:
        assert run.wait(900) == 0, run.err
        assert beamline.wait() == 0, beamline.err
    finally:
        run.end()
        beamline.end()
    with h5py.File(folder / "truth.h5") as file:
        truth = {name: data[()] for name, data in file["maps"].items()}
    return {"found": results(folder / "run"), "truth": truth}
