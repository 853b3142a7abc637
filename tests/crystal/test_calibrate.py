"""The instrument profile from synthetic and recorded line standards."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from helpers.chain import write_poni
from scipy.special import voigt_profile

from stream.analyse.crystal.calibrate import calibrate
from stream.analyse.crystal.instrument import Instrument, load_instrument, save_instrument
from stream.analyse.crystal.response import Response
from stream.analyse.crystal.structure import load_structure
from stream.analyse.phases import as_phase, build_fit
from stream.core.axis import RadialAxis
from stream.core.config import IntegrationConfig, load_config
from stream.core.errors import ConfigError, FitError
from stream.ingest.integrate import CpuIntegrator, load_geometry
from stream.service.calibration import write_instrument

AXIS = RadialAxis("2th_deg", 2.0, 32.0, 1500, 0.5)
W, U, Y, X = 1.6e-4, 4e-4, 4e-3, 1.2e-2
PIXEL = 0.02
SEEN = Response.even(AXIS, PIXEL)
NODES, WEIGHTS = np.polynomial.legendre.leggauss(8)


def standard(fine: int = 16, shift: float = 0.0) -> np.ndarray:
    """A LaB6 pattern behind pixels on a grid `fine` times finer, averaged over the bins; widths as in `Instrument`."""
    edges = np.linspace(AXIS.low, AXIS.high, AXIS.bins * fine + 1)
    grid = (edges[1:] + edges[:-1]) / 2
    lines = load_structure("lab6").reflections(0.5 / (2 * np.sin(np.deg2rad(40) / 2)))
    pattern = 0.02 * lines.intensity(0.5).max() * (1 + 0.3 * np.cos(grid / 12))
    for position, intensity in zip(np.rad2deg(lines.two_theta(0.5)), lines.intensity(0.5), strict=True):
        flat, tangent = np.cos(np.deg2rad(position)) ** 2, np.tan(np.deg2rad(position) / 2)
        sigma, gamma = np.sqrt(W * flat**2 + U * tangent**2), Y * flat + X * tangent
        for node, weight in zip(NODES * PIXEL * flat / 2, WEIGHTS / 2, strict=True):
            pattern += weight * intensity * voigt_profile(grid - position - shift - node, sigma, gamma)
    return pattern.reshape(AXIS.bins, fine).mean(axis=1)


def test_widths_are_recovered() -> None:
    pattern = standard(shift=0.004)
    found = calibrate(AXIS, pattern, pattern, load_structure("lab6"), SEEN).instrument
    truth = found.model_copy(update={"w": W, "u": U, "y": Y, "x": X})
    angles = np.deg2rad([6.0, 12.0, 20.0, 30.0])
    for ours, true in zip(found.widths(angles), truth.widths(angles), strict=True):
        np.testing.assert_allclose(ours, true, rtol=5e-3)


def test_errors_cover_poisson_noise() -> None:
    rng = np.random.default_rng(5)
    clean = standard()
    clean *= 3e4 / clean.max()
    pulls = []
    for _ in range(6):
        counts = rng.poisson(clean).astype(float)
        found = calibrate(AXIS, counts, np.maximum(counts, 1), load_structure("lab6"), SEEN).instrument
        errors = np.sqrt(np.diag(found.covariance))
        pulls.append((np.array([found.w, found.u, found.y, found.x]) - [W, U, Y, X]) / errors)
    assert 0.5 < np.std(pulls) < 1.6


def test_recorded_standard(shared_data: Path, tmp_path: Path) -> None:
    """Its detector has 75 µm pixels at 100 mm, 0.043 degrees: what is left for σ is the beam and the pixels' blur."""
    folder = shared_data / "scan"
    write_instrument(load_config(folder / "config.yaml"), folder / "lab6.edf", "LaB6", tmp_path / "i.yaml")
    found = load_instrument(tmp_path / "i.yaml")
    drawn = ElementTree.parse(tmp_path / "i.svg").getroot()
    assert len(drawn.findall("{http://www.w3.org/2000/svg}polyline")) == 9
    assert found.pixel == pytest.approx(0.93 * np.rad2deg(75e-6 / 0.1), rel=0.02)
    sigma, gamma = found.widths(np.deg2rad([10.0, 20.0]))
    assert np.all(np.rad2deg(sigma) < 0.0124)
    assert np.all(np.rad2deg(gamma) < 0.01)
    assert found.valid == pytest.approx((9.777, 19.627), abs=2e-3)
    np.testing.assert_array_equal(found.extrapolated(np.deg2rad([8.6, 15.0, 21.0])), [True, False, True])


def test_too_few_lines() -> None:
    axis = RadialAxis("2th_deg", 2.0, 10.5, 500, 0.5)
    pattern = standard()[: int(8.5 / AXIS.step)]
    axis = RadialAxis("2th_deg", 2.0, 2.0 + pattern.size * AXIS.step, pattern.size, 0.5)
    with pytest.raises(FitError, match=r"of the 2 lines of lab6 .* needs 3"):
        calibrate(axis, pattern, pattern, load_structure("lab6"), Response.even(axis, PIXEL))


@pytest.mark.parametrize("level", [1.0, np.nan])
def test_no_lines(level: float) -> None:
    flat = np.full(AXIS.bins, level)
    with pytest.raises(FitError):
        calibrate(AXIS, flat, flat, load_structure("lab6"), SEEN)


def good() -> dict[str, object]:
    axis = {"unit": "2th_deg", "low": 2.0, "high": 30.0, "bins": 1000}
    widths = {"w": 1e-4, "u": 0.0, "y": 1e-3, "x": 0.0}
    covariance = (np.eye(4) * 1e-10).tolist()
    return dict(
        widths, calibrant="lab6", wavelength=0.5, pixel=0.02, covariance=covariance, valid=(3.0, 29.0), axis=axis
    )


def test_instrument_survives_its_file(tmp_path: Path) -> None:
    instrument = Instrument.model_validate(good())
    save_instrument(instrument, tmp_path / "i.yaml")
    assert load_instrument(tmp_path / "i.yaml") == instrument
    assert len(instrument.variations()) == 4


def test_pixels_that_the_standard_did_not_reach_are_none_of_the_fits(tmp_path: Path) -> None:
    """A gap that only the frames tell: what bins see of 2θ is that of the other pixels, and the axis stays."""
    shape, seen, line = (128, 128), {}, {"start": 0.0, "step": 1.0, "count": 4}
    write_poni(tmp_path / "d.poni", shape, 300e-6)
    geometry, none = load_geometry(tmp_path / "d.poni"), np.zeros(shape, dtype=bool)
    plain = IntegrationConfig(bins=200)
    gap = none.copy()
    gap[40:90, 20:100] = True
    for name, mask in (("all", none), ("some", gap)):
        config = {
            "scan": {"name": "x", "angles": {"values": [0.0, 90.0]}, "positions": line},
            "detector": {"endpoint": "tcp://127.0.0.1:1", "geometry": "d.poni"},
            "integration": {"bins": 200},
            "phases": [{"name": "layered", "cif": "nmc622"}],
            "instrument": f"{name}.yaml",
        }
        (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
        seen[name] = Response.of(geometry, plain, none, mask)
        known = {**good(), "wavelength": geometry.wavelength, "pixel": seen[name].pixel}
        save_instrument(Instrument.model_validate(known).without(mask), tmp_path / f"{name}.yaml")
        loaded = load_config(tmp_path / "c.yaml")
        axis = CpuIntegrator.create(geometry, plain, none).axis
        fit = build_fit(loaded, axis, [as_phase(phase) for phase in loaded.phases])
        np.testing.assert_array_equal(fit.response.shift, seen[name].shift)
        np.testing.assert_array_equal(fit.response.excess, seen[name].excess)
    assert not np.array_equal(seen["all"].shift, seen["some"].shift)
    with pytest.raises(FitError, match="`unseen` cannot be used: it is not a mask of 64 × 64 pixels"):
        load_instrument(tmp_path / "some.yaml").unseen_pixels((64, 64))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"w": -1.0}, "w"),
        ({"wavelength": 0}, "wavelength"),
        ({"pixel": 0.0}, "pixel"),
        ({"covariance": [[1.0]]}, "covariance"),
        ({"axis": {"unit": "mm", "low": 0, "high": 1, "bins": 5}}, "axis.unit"),
        ({"colour": 1}, "colour"),
        ({"w": 0.0, "y": 0.0}, "width"),
    ],
)
def test_wrong_instrument_names_the_key(tmp_path: Path, change: dict[str, object], named: str) -> None:
    path = tmp_path / "i.yaml"
    path.write_text(yaml.safe_dump({**good(), "valid": [3.0, 29.0], **change}))
    with pytest.raises(ConfigError, match=named):
        load_instrument(path)


def test_an_instrument_of_an_older_version(tmp_path: Path) -> None:
    path = tmp_path / "i.yaml"
    path.write_text(yaml.safe_dump({name: value for name, value in good().items() if name != "pixel"}))
    with pytest.raises(ConfigError, match="pixel: Field required; braggstream calibrate writes it anew"):
        load_instrument(path)


def test_missing_instrument(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml"):
        load_instrument(tmp_path / "absent.yaml")
