"""Lines, breadths, strain and size against a second program's: xrayutilities, told the same structure and sample.

tests/data/fundamental_parameters.py made the numbers, and says what the program's own parameters mean. There a
Lorentzian's width at half height is λ/(L cosθ) + s tanθ, and its integral breadth π/2 of that; a Gaussian's square
is (λ/(G cosθ))² + (s/2 tanθ)², and its integral breadth √(π/4 ln 2) of it. Ours is Kλ/(D cosθ) + 4ε tanθ.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from stream.analyse.crystal.calibrate import calibrate
from stream.analyse.crystal.fit import PatternFit
from stream.analyse.crystal.instrument import Instrument
from stream.analyse.crystal.model import Crystal
from stream.analyse.crystal.response import Response
from stream.analyse.crystal.start import shape_of
from stream.analyse.crystal.structure import load_structure
from stream.analyse.crystal.williamson_hall import williamson_hall
from stream.core.axis import RadialAxis

THEIRS = dict(np.load(Path(__file__).parents[1] / "data" / "fundamental_parameters.npz"))
TOLD = json.loads(str(THEIRS["told"]))
AXIS = RadialAxis("2th_deg", TOLD["low"], TOLD["high"], TOLD["bins"], TOLD["wavelength"])
ARC = Response(  # its detector moves on a circle: a pixel is as wide at every 2θ
    pixel=TOLD["pixel"],
    rest=0.0,
    shift=np.zeros(AXIS.bins),
    excess=np.zeros(AXIS.bins),
    bands=AXIS.two_theta,
    stretch=1 / np.cos(AXIS.two_theta) ** 2,
    side=np.ones(AXIS.bins),
)
CEO2 = load_structure("ceo2")
BREADTH_OF_FWHM = {"lor": np.pi / 2, "gauss": np.sqrt(np.pi / (4 * np.log(2)))}
HALVED = {"lor": 1, "gauss": 2}
K = 0.9


def truth(sample: str) -> tuple[float, float]:
    """ε and D (nm) of a purely Lorentzian or Gaussian sample, by the definitions above; inf: no size."""
    told = TOLD["samples"][sample]
    kind = "lor" if any(name.endswith("lor") for name in told) else "gauss"
    strain = BREADTH_OF_FWHM[kind] * np.deg2rad(told.get(f"strain_{kind}", 0.0)) / HALVED[kind] / 4
    return strain, K / BREADTH_OF_FWHM[kind] * told.get(f"crystallite_size_{kind}", np.inf) * 1e9


def pattern(name: str) -> np.ndarray:
    """As counts, above a background."""
    return THEIRS[name] / THEIRS[name].max() * 1e5 + 50.0


@pytest.fixture(scope="module")
def instrument() -> Instrument:
    """From their standard, which nothing of a sample broadens."""
    counts = pattern("ceo2 standard")
    return calibrate(AXIS, counts, counts, CEO2, ARC).instrument


def intensities(name: str, anomalous: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """2θ and intensity of each line, ours and theirs, with their form factors `anomalous` or not."""
    structure = load_structure(name)
    lines = structure.reflections(AXIS.wavelength / 2 / np.sin(np.deg2rad(24)))
    position, where = np.unique(np.round(np.rad2deg(lines.two_theta(AXIS.wavelength)), 6), return_inverse=True)
    ours = np.bincount(where, lines.intensity(AXIS.wavelength)) / structure.volume**2
    return position, ours, *THEIRS[f"lines {name}{anomalous}"].T


@pytest.mark.parametrize("name", ["ceo2", "nmc622", "lnmo-spinel"])
def test_positions_and_intensities(name: str) -> None:
    """Positions, |F|² and Lorentz factor, with form factors without an anomalous part, as ours are."""
    position, ours, angle, theirs = intensities(name, ", f0")
    np.testing.assert_allclose(position, angle, atol=1e-6)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_the_anomalous_part_moves_no_weight_fraction() -> None:
    """Oxides of the same metals lose the same share of their intensity, 3.8 % at 18.4 keV."""
    shares = []
    for name in ("nmc622", "lnmo-spinel"):
        _, ours, _, theirs = intensities(name, "")
        shares.append(ours.sum() / theirs.sum())
    assert shares[0] == pytest.approx(0.962, abs=0.001)
    assert shares[1] == pytest.approx(shares[0], abs=0.001)


def test_instrument(instrument: Instrument) -> None:
    """Behind the slit: its smoother's Gaussian, and the emission line's widths, as they were told."""
    angles = np.deg2rad(THEIRS["lines ceo2"][:10, 0])
    told = instrument.model_copy(
        update={
            "w": TOLD["gaussian"] ** 2,
            "u": np.rad2deg(2 * TOLD["emission"]) ** 2 / (8 * np.log(2)),
            "y": 0.0,
            "x": np.rad2deg(TOLD["lorentzian"]),
        }
    )
    for ours, theirs in zip(instrument.widths(angles, 1.0), told.widths(angles, 1.0), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3)


@pytest.mark.parametrize(
    ("sample", "share"),
    [
        ("lorentzian", 1.0),
        ("lorentzian, fine and strained", 1.0),
        ("lorentzian, coarse", 1.0),
        ("gaussian, strained", 0.0),
        ("gaussian, fine", 0.0),
    ],
)
def test_breadths_strain_and_size(sample: str, share: float, instrument: Instrument) -> None:
    """Each line's integral breadth, and the line through them; then the whole pattern."""
    counts, (strain, size) = pattern(f"ceo2 {sample}"), truth(sample)
    lines, breadths = np.deg2rad(THEIRS["lines ceo2"][:, 0]), THEIRS[f"breadths {sample}"]
    line = williamson_hall(AXIS, counts, counts, lines, np.zeros(0), instrument, ARC, shape_of(share))
    theirs = np.interp(line.two_theta, THEIRS["lines ceo2"][:, 0], breadths)
    np.testing.assert_allclose(np.rad2deg(line.y / np.cos(np.deg2rad(line.two_theta / 2))), theirs, rtol=1e-3)
    assert len(line.x) == 10
    fit = PatternFit(AXIS, [Crystal("ceo2", CEO2)], instrument, "lorentzian" if share else "gaussian", response=ARC)
    whole = fit.fit(counts[None], counts).phases["ceo2"]
    for found in (line.strain, whole.strain[0]):
        assert found == pytest.approx(strain, rel=1.5e-3, abs=1e-7)
    if np.isfinite(size):
        assert [line.size, whole.size[0]] == pytest.approx([size, size], rel=5e-4)
    else:
        assert line.size > 1e5
        assert np.isnan(whole.size[0])
    assert whole.cell["a"][0] == pytest.approx(CEO2.cell[0], rel=1e-7)


def test_free_intensities(instrument: Instrument) -> None:
    """Areas that the fit finds in their pattern are the ones they drew it with."""
    counts = pattern("ceo2 lorentzian")
    phase = PatternFit(AXIS, [Crystal("ceo2", CEO2)], instrument, response=ARC).fit(counts[None], counts).phases["ceo2"]
    inverse_d = np.sqrt(phase.rows @ CEO2.lattice.parameters(CEO2.cell))
    position = np.rad2deg(2 * np.arcsin(AXIS.wavelength / 2 * inverse_d))
    theirs = THEIRS["lines ceo2"]
    areas = np.array([phase.lines[0][np.abs(position - angle) < 1e-4].sum() for angle in theirs[:10, 0]])
    areas *= THEIRS["ceo2 lorentzian"].max() / 1e5
    np.testing.assert_allclose(areas, theirs[:10, 1], rtol=1e-4)


def test_a_shape_between(instrument: Instrument) -> None:
    """Sizes of both shapes make Voigts: `fit` finds the shape, and their breadth tells the size."""
    counts = pattern("ceo2 voigt")
    whole = PatternFit(AXIS, [Crystal("ceo2", CEO2)], instrument, "fit", response=ARC).fit(counts[None], counts)
    found = whole.phases["ceo2"]
    beta = np.deg2rad(THEIRS["breadths voigt"]) * np.cos(np.deg2rad(THEIRS["lines ceo2"][:, 0] / 2))
    np.testing.assert_allclose(found.size[0], K * AXIS.wavelength / 10 / beta, rtol=5e-4)
    assert found.strain[0] < 1e-6


def test_lines_with_neighbours(instrument: Instrument) -> None:
    """NCM622: tails of neighbours narrow single peaks, and leave the whole pattern as it is."""
    counts, (strain, size) = pattern("nmc622 lorentzian"), truth("lorentzian")
    layered = Crystal("layered", load_structure("nmc622"))
    fit = PatternFit(AXIS, [layered], instrument, response=ARC)
    start = fit.start(counts[None], counts[None])
    whole = fit.fit(counts[None], counts, start).phases["layered"]
    assert [whole.strain[0], whole.size[0]] == pytest.approx([strain, size], rel=3e-4)
    for edge in "ac":
        assert whole.cell[edge][0] == pytest.approx(layered.structure.cell["abc".index(edge)], rel=1e-6)
    line = williamson_hall(AXIS, counts, counts, fit.lines(start)["layered"], np.zeros(0), instrument, ARC)
    assert [line.strain, line.size] == pytest.approx([strain, size], rel=0.03)
