"""Where the pixels are: detector geometry and mask, as pyFAI and fabio read them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

from stream.core.axis import Unit
from stream.core.errors import ConfigError
from stream.core.files import read_text
from stream.ingest.integrate.images import one_line, read_image

LARGEST = 4_000_000  # bytes of the file
MOST_PIXELS = 200_000_000
"""Ten times those of the largest detector: more would only fill the memory."""
Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Geometry:
    """A detector in space; pyFAI does the geometry.

    shape
        (rows, columns).
    wavelength
        in Å.
    pixel_size
        (along the rows' axis, along the columns' axis), in m.
    """

    integrator: AzimuthalIntegrator
    shape: tuple[int, int]
    wavelength: float
    pixel_size: tuple[float, float]

    def positions(self, unit: Unit) -> Floats:
        """Radial position of each pixel's middle in pyFAI's inner scale of `unit`, shape (rows, columns).

        Divide values in `unit` by `pyFAI.units.to_unit(unit).scale` to compare them.
        """
        return np.asarray(self.integrator.center_array(self.shape, unit=unit, scale=False), dtype=np.float64)

    def weights(self, solid_angle: bool, polarization: float | None) -> Floats:
        """What a pixel's counts are divided by: relative solid angle (cos³ of incidence) × polarisation.

        Shape (rows, columns); 1 where neither is corrected for. `polarization` is the factor (Ih − Iv)/(Ih + Iv).
        """
        weights = np.ones(self.shape)
        if solid_angle:
            weights *= self.integrator.solidAngleArray(self.shape)
        if polarization is not None:
            weights *= self.integrator.polarization(self.shape, polarization)
        return weights

    @property
    def distance(self) -> float:
        """From the sample to the detector's plane along the beam, in m."""
        return float(self.integrator.dist / self.integrator.rotation_matrix()[2, 2])

    def detector_mask(self) -> Mask:
        """Pixels that the detector's class knows to be no pixels (gaps), shape (rows, columns)."""
        mask = self.integrator.detector.mask
        return np.zeros(self.shape, dtype=bool) if mask is None else np.asarray(mask, dtype=bool)


def load_geometry(path: Path) -> Geometry:
    """Read a PONI of any version, or the geometry in a pyFAI-integrate JSON.

    Raises
    ------
    ConfigError
        naming detector.geometry and the path, where the file holds no complete geometry.
    """
    where = f"detector.geometry is {str(path)!r}"
    try:
        text = read_text(path, LARGEST).lower()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{where}: not a readable text file ({one_line(error)})") from error
    missing = [key for key in ("dist", "poni1", "poni2", "wavelength") if key not in text]
    if missing:  # pyFAI would fill in zeros
        raise ConfigError(f"{where}: neither PONI nor pyFAI-integrate JSON, it tells no {missing[0]}")
    try:
        integrator = AzimuthalIntegrator.sload(str(path))
    except Exception as error:  # pyFAI raises whatever its parsers do
        raise ConfigError(f"{where}: no geometry that pyFAI can read ({one_line(error)})") from error
    detector: Any = integrator.detector
    if not (integrator.dist and integrator.dist > 0):
        raise ConfigError(f"{where}: it tells no distance between sample and detector")
    if not (integrator.wavelength and integrator.wavelength > 0):
        raise ConfigError(f"{where}: it tells no wavelength")
    if not (detector.pixel1 and detector.pixel2):
        raise ConfigError(f"{where}: it tells no pixel size")
    if detector.shape is None or len(detector.shape) != 2:
        raise ConfigError(f"{where}: its detector {detector.name!r} tells no shape (max_shape)")
    rows, columns = detector.shape
    if not 0 < rows * columns <= MOST_PIXELS:
        raise ConfigError(f"{where}: its detector has {rows} × {columns} pixels, {MOST_PIXELS} are the most")
    return Geometry(
        integrator,
        (int(rows), int(columns)),
        float(integrator.wavelength) * 1e10,
        (float(detector.pixel1), float(detector.pixel2)),
    )


def load_mask(path: Path | None, geometry: Geometry) -> Mask:
    """Pixels never used, shape (rows, columns): non-zero in the image at `path`, or masked by the detector's class.

    Raises
    ------
    ConfigError
        naming detector.mask and the path, where fabio cannot read it or its shape is another one.
    """
    mask = geometry.detector_mask()
    if path is None:
        return mask
    where = f"detector.mask is {str(path)!r}"
    image = read_image(path, where)
    if image.shape != geometry.shape:
        raise ConfigError(f"{where}: its shape is {image.shape}, the detector's {geometry.shape}")
    return np.asarray(mask | (image != 0))
