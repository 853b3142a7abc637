"""What pyFAI makes of the same frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from helpers.recordings import read_messages
from pyFAI.detectors import detector_factory
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

from stream.core.config import IntegrationConfig
from stream.core.messages import Image, Pattern
from stream.core.wire import decode, decompress
from stream.ingest.integrate import CpuIntegrator, Geometry

UNITS = ["2th_deg", "q_A^-1", "q_nm^-1"]


def make_poni(path: Path, detector: str, config: dict[str, Any] | None = None, **place: float) -> Path:
    """A PONI of a made-up experiment at 0.7085 Å."""
    parameters = {"dist": 0.12, "poni1": 0.03, "poni2": 0.05, "rot1": 0.0, "rot2": 0.0, "rot3": 0.0} | place
    integrator = AzimuthalIntegrator(**parameters, detector=detector_factory(detector, config), wavelength=0.7085e-10)
    integrator.save(str(path))
    return path


def frames_of(path: Path, indices: list[int]) -> list[npt.NDArray[Any]]:
    images = [event for event in map(decode, read_messages(path)) if isinstance(event, Image)]
    return [decompress(next(iter(images[i].channels.values()))) for i in indices]


def marked(image: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """The counts, NaN (which pyFAI leaves out) where DECTRIS marks a pixel as invalid."""
    return np.where(image >= np.iinfo(image.dtype).max - 1, np.nan, image)


def reference(
    geometry: Geometry,
    image: npt.NDArray[Any],
    mask: npt.NDArray[np.bool_],
    config: IntegrationConfig,
    function: str = "integrate1d_ng",
    engine: str = "cython",
    **options: Any,
) -> Any:
    """The result of pyFAI's `function` with the settings of `config`."""
    geometry.integrator.empty = np.nan
    return getattr(geometry.integrator, function)(
        marked(image),
        config.bins,
        unit=config.unit,
        radial_range=config.range,
        mask=mask,
        correctSolidAngle=config.solid_angle,
        polarization_factor=config.polarization,
        method=(config.method, "csr", engine),
        **options,
    )


def intensity(pattern: Pattern) -> npt.NDArray[np.float64]:
    norms = np.where(pattern.norms > 0, pattern.norms, np.nan).astype(np.float64)
    return pattern.sums / norms


def check(integrate: CpuIntegrator, pattern: Pattern, expected: Any) -> None:
    """Equal on every bin within 1e-5 of the pattern's maximum, NaN exactly where no valid pixel reaches."""
    found = intensity(pattern)
    np.testing.assert_allclose(integrate.axis.centers, expected.radial, rtol=1e-12)
    reached = expected.count > 0
    np.testing.assert_array_equal(np.isnan(found), ~reached)
    np.testing.assert_array_equal(pattern.norms > 0, reached)
    largest = np.abs(expected.intensity[reached]).max()
    np.testing.assert_allclose(found[reached], expected.intensity[reached], rtol=0, atol=1e-5 * largest)
    np.testing.assert_allclose(pattern.norms[reached], expected.sum_normalization[reached], rtol=1e-5)
