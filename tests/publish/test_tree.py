"""Which maps find a place in `live`, and how whole numbers are stored."""

from __future__ import annotations

import numpy as np

from stream.core.revision import Revision
from stream.publish.tree import LIVE_PLANES, live_planes, revision_nodes

PHASES = ("layered", "spinel", "rocksalt")
READ_OFF = [f"mask_{phase}" for phase in PHASES] + ["c_over_a_layered", "ratio_003_104_layered", "particle_index"]
FIXED = [f"{kind}_{phase}" for phase in PHASES for kind in ("phase", "fraction", "strain", "strain_error", "size", "a")]
FIXED += ["global", "coverage", "class_index", "cluster_index", "fit_quality", "xrf_Ni", "xrf_Co", "xrf_Mn", "density"]


def revision(names: list[str]) -> Revision:
    return Revision(number=1, arrays={f"maps/{name}": np.zeros((1, 3, 3)) for name in names})


def test_what_is_read_off_other_maps_gives_way_in_live() -> None:
    names = live_planes([], revision(READ_OFF + FIXED))
    assert len(READ_OFF + FIXED) > LIVE_PLANES == len(names)
    assert names == [*FIXED, *READ_OFF][:LIVE_PLANES]


def test_planes_keep_their_place() -> None:
    first = live_planes([], revision(READ_OFF[:2] + FIXED[:3]))
    assert live_planes(first, revision(FIXED + READ_OFF))[: len(first)] == first


def test_whole_numbers_stay_whole() -> None:
    arrays = {
        "maps/class_index": np.zeros((1, 3, 3), np.int8),
        "maps/particle_index": np.zeros((1, 3, 3), np.int32),
        "maps/strain_layered": np.zeros((1, 3, 3)),
        "radial": np.zeros(5, np.float32),
    }
    found = revision_nodes(Revision(number=1, arrays=arrays), "2th_deg")
    assert {path.rpartition("/")[2]: node.dtype.str for path, node in found.items()} == {
        "class_index": "|i1",
        "particle_index": "<i4",
        "strain_layered": "<f4",
        "radial": "<f8",
    }
