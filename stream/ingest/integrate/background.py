"""The pattern without sample."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

from stream.core.config import Background
from stream.core.errors import ConfigError
from stream.ingest.integrate.cpu import CpuIntegrator
from stream.ingest.integrate.geometry import Floats
from stream.ingest.integrate.images import read_image
from stream.ingest.integrate.still import integrate_still

TEXT = {".xy", ".dat", ".txt", ".chi", ".csv", ".xye"}


def load_background(background: Background, integrate: CpuIntegrator) -> npt.NDArray[np.float64]:
    """Background per pixel and monitor unit, shape (bins,); NaN where it does not reach.

    The unit is the transmitted beam's where that takes the monitor's place.

    A text file of two columns (radial position in integration.unit, intensity; a third is ignored) is interpolated
    on the axis; anything else is an image, integrated as the frames are.

    Raises
    ------
    ConfigError
        naming integration.background and the path.
    """
    where = f"integration.background is {str(background.file)!r}"
    if background.file.suffix.lower() in TEXT:
        pattern = _read_pattern(background, where, integrate.axis.centers)
    else:
        still = integrate_still(read_image(background.file, where), integrate, where)
        norms = still.norms.astype(np.float64)
        pattern = np.divide(still.sums, norms, out=np.full_like(norms, np.nan), where=norms > 0)
    if not np.isfinite(pattern).any():
        raise ConfigError(f"{where}: it covers nothing of the radial axis")
    return pattern / (background.monitor if background.transmission is None else background.transmission)


def _read_pattern(background: Background, where: str, centers: Floats) -> Floats:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # numpy only warns of an empty file
            columns = np.loadtxt(background.file, delimiter="," if background.file.suffix == ".csv" else None, ndmin=2)
    except (OSError, ValueError, UserWarning) as error:
        raise ConfigError(f"{where}: not a text file of two columns ({' '.join(str(error).split())})") from error
    if columns.shape[1] < 2 or not (np.diff(columns[:, 0]) > 0).all():
        raise ConfigError(f"{where}: two columns are needed, the first ascending")
    return np.asarray(np.interp(centers, columns[:, 0], columns[:, 1], left=np.nan, right=np.nan))
