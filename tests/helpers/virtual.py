"""The virtual beamline into the processor, each as its own command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from helpers.chain import Site, results, write_poni

from stream.core.revision import read_revision
from stream.core.rundir import RunDirectory
from stream.simulate.presets import HUMPS, find_preset


def hump(name: str, wavelength: float) -> dict[str, float]:
    """Position and FWHM in degrees of 2θ of a hump that is known in q."""
    q, width = HUMPS[name].q, HUMPS[name].width
    low, middle, high = (
        np.rad2deg(2 * np.arcsin(x * wavelength / (4 * np.pi))) for x in (q - width / 2, q, q + width / 2)
    )
    return {"position": float(middle), "width": float(high - low)}


def scanned(
    folder: Path, wavelength: float, seed: int, scan: dict[str, Any], preset: str = "ncm622-cycled", **geometry: float
) -> dict[str, Any]:
    """Calibrate, simulate and run in `folder`/run; what the run found and told, and what is true."""
    write_poni(folder / "detector.poni", (512, 512), 75e-6, wavelength=wavelength * 1e-10, **geometry)
    site = Site(
        folder,
        {
            "scan": {"name": "unseen", **scan},
            "detector": {"geometry": "detector.poni", "monitor": "i0", "format": "dectris-2"},
            "integration": {"bins": 1200},
            "phases": [
                *({"name": name, "cif": kind.structure} for name, kind in find_preset(preset).crystals.items()),
                *({"name": name, "hump": hump(name, wavelength)} for name in HUMPS),
            ],
        },
    )
    standard = ("--calibrant", "CeO2", "--image", "ceo2.edf")
    for arguments in (
        ("simulate", "--config", site.path, "--seed", str(seed), *standard),
        ("calibrate", site.path, *standard, "--output", "instrument.yaml"),
    ):
        command = site.command(*arguments)
        assert command.wait(300) == 0, command.err
    site.config["instrument"] = "instrument.yaml"
    site.write()
    sample = ("--preset", preset, "--seed", str(seed), "--truth", "truth.h5")
    beamline = site.command("simulate", "--config", site.path, *sample)
    run = site.run()
    try:
        assert run.wait(900) == 0, run.err
        assert beamline.wait() == 0, beamline.err
    finally:
        run.end()
        beamline.end()
    with h5py.File(folder / "truth.h5") as file:
        truth = {name: data[()] for name, data in file["maps"].items()}
    revision = read_revision(RunDirectory(folder / "run").revision)
    return {"found": results(folder / "run"), "told": revision and revision.metadata, "truth": truth}
