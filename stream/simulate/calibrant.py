"""A line standard's frame, to calibrate the instrument with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from fabio.edfimage import EdfImage
from fabio.tifimage import TifImage

from stream.core.errors import UsageError
from stream.simulate.detector import ALL_ONES, Detector
from stream.simulate.powder import crystal_pattern, load_lines
from stream.simulate.presets import Crystal

STANDARDS = ("LaB6", "CeO2", "Si")
SIZE = 5000.0  # nm: nothing to be seen of it
COUNTS = 20.0  # mean per pixel: a long exposure


def calibrant_image(detector: Detector, name: str, seed: int, dose: float = COUNTS) -> npt.NDArray[np.uint32]:
    """A frame of LaB6, CeO2 or Si on the detector, without strain; masked pixels are all ones (uint32).

    Raises
    ------
    UsageError
        for another name.
    """
    standard = next((known for known in STANDARDS if known.lower() == name.lower()), None)
    if standard is None:
        raise UsageError(f"the line standard {name!r} is not known; there are {', '.join(STANDARDS)}")
    crystal = Crystal(structure=standard.lower(), size=SIZE)
    lines = load_lines(crystal.structure, detector.grid.d_min)
    pattern = crystal_pattern(lines, crystal, 0.0, 1.0, np.ones(lines.d.size), detector.grid)
    images = detector.images(pattern[None])
    amount = dose * detector.valid.mean() / images.mean(dtype=np.float64)
    frame = detector.expose(images, np.array([amount]), seed).astype(np.uint32)
    frame[frame == ALL_ONES] = np.iinfo(np.uint32).max
    return frame


def write_image(image: npt.NDArray[np.uint32], path: Path) -> None:
    """Write an image as EDF or TIFF, by the suffix.

    Raises
    ------
    UsageError
        for another suffix.
    """
    writers = {".edf": EdfImage, ".tif": TifImage, ".tiff": TifImage}
    if path.suffix not in writers:
        raise UsageError(f"--image is {path}: the suffix must be one of {', '.join(writers)}")
    writers[path.suffix](data=image).write(str(path))
