"""Whether the models of a folder are the ones of its manifest, and compute what they did."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from stream.analyse.classify.manifest import read_manifest
from stream.analyse.classify.model import load_model, pinned_bytes
from stream.core.errors import StoreError

TOLERANCE = 1e-4


def check_folder(folder: Path) -> Iterator[str]:
    """A line for each model that is as it should be.

    Raises
    ------
    ConfigError, StoreError
        at the first that is not.
    """
    manifest = read_manifest(folder)
    golden = np.load(
        io.BytesIO(pinned_bytes(folder / manifest.golden.file, manifest.golden.sha256)), allow_pickle=False
    )
    for entry in manifest.models:
        found = load_model(folder, entry).run(golden)
        expected = np.array(entry.golden_output).reshape(found.shape)
        off = float(np.abs(found - expected).max())
        if off > TOLERANCE:
            raise StoreError(f"the model {entry.name} is off by {off:.1e} on its golden input, more than {TOLERANCE}")
        yield f"{entry.name}: SHA-256 {entry.sha256[:12]}…, golden output to {off:.0e}"
