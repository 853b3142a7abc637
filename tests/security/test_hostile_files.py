"""Files that are made to take all memory or time: each is a sentence at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stream.analyse.classify.graph import check_graph
from stream.analyse.crystal.instrument import load_instrument
from stream.analyse.crystal.structure import load_structure
from stream.core.config import load_config
from stream.core.errors import BraggstreamError
from stream.core.revision import META, read_revision
from stream.ingest.integrate import load_geometry

SECONDS = 5.0
"""Of processor time; each alone would take minutes, or all memory."""
LAUGHS = "a0: &a0 [x, x]\n" + "\n".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}]" for n in range(1, 40))
MERGES = "a0: &a0 {x: 1}\n" + "\n".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}, *a{n - 1}]}}" for n in range(1, 40))
PONI = """poni_version: 2
Detector: Detector
Detector_config: {{"pixel1": 1e-4, "pixel2": 1e-4, "max_shape": [{side}, {side}]}}
Distance: 0.2
Poni1: 0.1
Poni2: 0.1
Wavelength: 6e-11
"""
CIF = """data_x
_cell_length_a {a}
_cell_length_b {a}
_cell_length_c {a}
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 1'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
"""


def of_text(name: str, text: str) -> Callable[[Path], Path]:
    def written(folder: Path) -> Path:
        (folder / name).write_text(text)
        return folder / name

    return written


def huge(folder: Path) -> Path:
    """A terabyte, of which nothing is on the disk."""
    with (folder / "huge").open("wb") as file:
        file.truncate(1 << 40)
    return folder / "huge"


def zipped(folder: Path) -> Path:
    """Some kilobytes that unpack to megabytes."""
    path = folder / "revision.npz"
    np.savez_compressed(path, **{META: np.zeros(1 << 24, np.uint8)})
    return path


def atoms(count: int) -> str:
    return "".join(f"O{n} O {n / count} 0 0\n" for n in range(count))


@pytest.mark.parametrize(
    ("make", "read", "words"),
    [
        (of_text("c.yaml", LAUGHS), load_config, "an alias"),
        (of_text("c.yaml", MERGES), load_config, "an alias"),
        (of_text("c.yaml", "[" * 10_000), load_config, "not valid YAML"),
        (huge, load_config, "larger than"),
        (of_text("i.yaml", LAUGHS), load_instrument, "an alias"),
        (huge, load_instrument, "larger than"),
        (of_text("d.poni", PONI.format(side=10**6)), load_geometry, "1000000 × 1000000 pixels"),
        (of_text("d.poni", PONI.format(side=0)), load_geometry, "0 × 0 pixels"),
        (huge, load_geometry, "larger than"),
        (huge, load_structure, "larger than"),
        (
            of_text("x.cif", CIF.format(a=1e4) + atoms(1)),
            lambda path: load_structure(path).reflections(0.5),
            "axes of 10000 Å",
        ),
        (
            of_text("x.cif", CIF.format(a=10) + atoms(20_000)),
            lambda path: load_structure(path).reflections(0.5),
            "20000 atoms",
        ),
        (zipped, read_revision, "it is compressed"),
        (
            of_text("m.onnx", "\x01" * 0),
            lambda _: check_graph(b"\x08" + b"\xff" * 3_000_000, "m"),
            "bytes do not parse",
        ),
    ],
)
def test_it_is_a_sentence_at_once(
    tmp_path: Path, make: Callable[[Path], Path], read: Callable[[Path], object], words: str
) -> None:
    path, begin = make(tmp_path), time.process_time()
    with pytest.raises(BraggstreamError, match=words) as error:
        read(path)
    assert time.process_time() - begin < SECONDS
    assert len(str(error.value)) < 500
