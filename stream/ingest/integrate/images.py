"""Image files: masks, backgrounds, calibrants."""

from __future__ import annotations

from pathlib import Path
from textwrap import shorten
from typing import Any

import fabio
import numpy as np
import numpy.typing as npt

from stream.core.errors import ConfigError


def read_image(path: Path, where: str) -> npt.NDArray[Any]:
    """The pixels of an image file that fabio reads, shape (rows, columns); `where` begins the error.

    Raises
    ------
    ConfigError
        where fabio cannot read it.
    """
    try:
        with fabio.open(str(path)) as file:
            return np.asarray(file.data)
    except Exception as error:  # each of fabio's formats has its own errors
        raise ConfigError(f"{where}: no image that fabio can read ({one_line(error)})") from error


def one_line(error: Exception) -> str:
    """What a library's error says, on one line and not at length."""
    return shorten(str(error), 160, placeholder=" …") or type(error).__name__
