"""The final volume in DIR/results.nxs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from stream.core.errors import StoreError

DATASET = "entry/volume"


@contextmanager
def open_volume(results: Path, shape: tuple[int, ...]) -> Iterator[h5py.Dataset]:
    """The dataset (slice, y, x, bin), checked to be there.

    Raises
    ------
    StoreError
        when the file or the dataset is missing, or has another shape.
    """
    try:
        file = h5py.File(results, "r")
    except OSError as error:
        raise StoreError(f"the final result {results} cannot be opened: {error}") from error
    with file:
        volume = file.get(DATASET)
        if not isinstance(volume, h5py.Dataset) or volume.shape != shape:
            raise StoreError(f"{results} holds no {DATASET} of the shape {shape}")
        yield volume
