"""Classes that the fit's amounts imply, where the contents are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from stream.analyse.classify.contents import allowed, classify
from stream.analyse.classify.manifest import CLASSES
from stream.analyse.classify.preprocess import FEWEST, SliceScale
from stream.analyse.crystal.model import Crystal
from stream.analyse.crystal.reasons import Reason
from stream.analyse.crystal.smooth import Hump
from stream.analyse.crystal.structure import load_structure
from stream.analyse.implied import Implied
from stream.core.axis import RadialAxis

AXIS = RadialAxis("2th_deg", 0.8, 21.5, 600, 0.6738)
CRYSTALS = [Crystal("layered", load_structure("nmc622")), Crystal("spinel", load_structure("lnmo-spinel"))]
HUMPS = [Hump("binder", 2.3, 1.0), Hump("glass", 9.5, 3.0), Hump("other", 14.0, 2.0)]
SCALE = SliceScale(2.0, np.ones(120, np.float32), FEWEST, np.ones((1, 120), np.float32))
AREA = np.sqrt(2 * np.pi) / np.sqrt(8 * np.log(2))  # of a Gaussian of height and full width 1
N = 30
INSIDE = np.ones((N, N), np.bool_)

Arrays = dict[str, npt.NDArray[Any]]


def contents(seed: int = 3) -> npt.NDArray[np.float64]:
    """Fractions (3, y, x) of crystal, carbon, glass: full voxels, and edges."""
    rng = np.random.default_rng(seed)
    full = np.eye(4)[rng.integers(4, size=(N, N))]
    edge = rng.dirichlet(np.ones(4), (N, N))
    return np.moveaxis(np.where(rng.random((N, N, 1)) < 0.7, full, edge)[..., :3], -1, 0)


def fitted(found: npt.NDArray[np.float64]) -> Arrays:
    """Maps of a fit that finds these, in its units; a quarter of the crystal is spinel, and no carbon is noise."""
    crystal, carbon, glass = found
    planes: Arrays = {"phase_layered": 7e-5 * 0.75 * crystal, "phase_spinel": 7e-5 * 0.25 * crystal}
    planes |= {"phase_binder": 5.0 * AREA * 1.0 * carbon, "phase_glass": 3.0 * AREA * 3.0 * glass}
    planes |= {f"mask_{name}": np.where(crystal > 0, Reason.OK, Reason.NO_SIGNAL) for name in ("layered", "spinel")}
    return planes | {"phase_other": np.ones((N, N))}


def test_contents_that_are_not_known_may_be_anything() -> None:
    one, none = np.ones(1), np.zeros(1)

    def names(*content: npt.NDArray[np.float64] | None) -> set[str]:
        return {name for name, there in zip(CLASSES, allowed(*content)[0], strict=True) if there}

    assert names(one, none, none) == {"particle"}
    assert names(one, None, none) == {"particle", "particle_with_carbon"}
    assert names(none, None, none) == {"empty", "carbon_binder"}
    assert names(None, none, none) == {"empty", "particle"}
    assert names(one, none, None) == {"particle", "capillary"}
    assert names(none, np.array([np.nan]), None) == set()


def test_amounts_imply_the_class_of_their_contents() -> None:
    found = contents()
    implied = Implied.of([*CRYSTALS, *HUMPS], AXIS)
    assert (set(implied.carbon), set(implied.glass)) == ({"binder"}, {"glass"})
    told = implied.classes(fitted(found), INSIDE, SCALE)
    assert told is not None
    assert (told.sum(axis=2) == 1).all()
    np.testing.assert_array_equal(told.argmax(axis=2), classify(*found))


def test_a_phase_that_is_nowhere_is_no_class() -> None:
    """Its amounts are what noise leaves, and what full voxels hold is not among them."""
    found = contents()
    found[1] = 0.002 * np.random.default_rng(4).random((N, N))
    told = Implied.of([*CRYSTALS, *HUMPS], AXIS).classes(fitted(found), INSIDE, SCALE)
    assert told is not None
    assert not told[..., [CLASSES.index("carbon_binder"), CLASSES.index("particle_with_carbon")]].any()


def test_voxels_that_were_not_fitted_say_nothing() -> None:
    found, implied = contents(), Implied.of([*CRYSTALS, *HUMPS], AXIS)
    planes = fitted(found)
    planes["phase_binder"][:10] = np.nan
    told = implied.classes(planes, INSIDE, SCALE)
    assert told is not None
    assert not told[:10].any()
    np.testing.assert_array_equal(told[10:].argmax(axis=2), classify(*found)[10:])
    planes["phase_binder"][:16] = np.nan  # more than half
    assert implied.classes(planes, INSIDE, SCALE) is None


@pytest.mark.parametrize("phases", [[], [Hump("other", 14.0, 2.0)], [Hump("beyond", 2.3, 1.0)]])
def test_phases_that_tell_nothing(phases: list[Hump]) -> None:
    axis = RadialAxis("2th_deg", 5.0, 21.5, 600, 0.6738)
    assert Implied.of(phases, axis).classes(fitted(contents()), INSIDE, SCALE) is None
