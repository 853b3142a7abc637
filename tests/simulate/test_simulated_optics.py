"""What the simulated beam does besides: absorption, parallax, rasters of a thin sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pyFAI.detectors import Detector as PixelDetector
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

from stream.core.config import ScanConfig
from stream.core.scan import ScanGrid
from stream.simulate.beam import DIODE
from stream.simulate.detector import Detector
from stream.simulate.forward import path_lengths, zone_lengths
from stream.simulate.presets import PRESETS
from stream.simulate.sample import THICKNESS
from stream.simulate.scan import VirtualScan
from stream.simulate.truth import truth_maps

LINE = np.deg2rad(12.0)


def integrator(tilt: float = 0.02) -> AzimuthalIntegrator:
    pixels = PixelDetector(pixel1=3e-4, pixel2=3e-4, max_shape=(96, 96), orientation=3)
    return AzimuthalIntegrator(
        dist=0.1, poni1=0.002, poni2=0.001, rot1=tilt, rot2=-tilt, wavelength=0.7e-10, detector=pixels
    )


def virtual(grid: dict[str, Any] | None = None, **options: Any) -> VirtualScan:
    raw = {"name": "t", "angles": {"start": 0, "step": 45, "count": 4}, "positions": {"start": -7.5, "count": 16}}
    scan = ScanConfig.model_validate(raw | (grid or {}))
    return VirtualScan(ScanGrid.from_config(scan), integrator(), PRESETS["ncm622-cycled"], seed=3, **options)


def test_zones_divide_the_path_and_the_beam_runs_downstream() -> None:
    labels = np.zeros((40, 40), dtype=np.uint8)
    labels[30, 8] = 1  # x = -5.75, y = 5.25 for a step of 0.5
    for angle in (0.0, 30.0, 90.0, 200.0):
        omega = np.deg2rad(angle)
        position = -5.75 * np.cos(omega) + 5.25 * np.sin(omega)
        depth = 5.25 * np.cos(omega) + 5.75 * np.sin(omega)
        lengths = zone_lengths(labels, 2, 0.5, angle, np.array([position]), 1.0, 20)
        half = 10 * np.sqrt(2)
        middles = ((np.arange(20) + 0.5) / 10 - 1) * half
        found = (lengths[0, :, 1] * middles).sum() / lengths[0, :, 1].sum()
        assert found == pytest.approx(depth, abs=half / 20 + 0.1)
        np.testing.assert_allclose(
            lengths.sum(axis=1), path_lengths(labels, 2, 0.5, angle, np.array([position]), 1.0), rtol=1e-12
        )


@pytest.mark.parametrize("tilt", [0.0, 0.02])
def test_a_nearer_source_is_seen_at_the_angle_that_tangents_tell(tilt: float) -> None:
    """tan 2θ' = tan 2θ L/(L − z) for the same pixel of a detector without tilt; with it the pixel says where it is."""
    here = Detector(integrator(tilt), 0.99, 1)
    there = here.seen_from(5000.0)  # 5 mm of 100
    x, y, z = (np.asarray(a).ravel() for a in here.integrator.calc_pos_zyx(corners=False)[::-1])
    expected = np.arctan2(np.hypot(x, y), z - 5e-3)
    np.testing.assert_allclose(there._center.ravel(), expected, atol=1e-7)
    if not tilt:
        np.testing.assert_allclose(np.tan(there._center), np.tan(here._center) * 0.1 / 0.095, rtol=1e-6)


def test_absorption_takes_the_same_share_of_a_whole_frame() -> None:
    clear, dark = virtual(dose=30.0), virtual(dose=30.0, absorption=True, transmission="behind")
    share = dark.transmission(0, 1)
    paths = dark.sample.lengths(0, 45.0).sum(axis=1)
    crystal = np.array([any(c.phase == "layered" for c in m) for m in dark.phantom.materials])
    lightest = np.exp(-paths[:, crystal].sum(axis=1) / 93)  # without glass and carbon, and with pores filled
    assert (share < 1).sum() >= 14
    np.testing.assert_allclose(share, lightest, atol=0.03)
    middle = 16 + 8
    counts = [scan.frame(middle)[0][scan.detector.valid].sum() for scan in (clear, dark)]
    assert counts[1] / counts[0] == pytest.approx(share[8], abs=4 / np.sqrt(counts[1]))


def test_the_diode_reads_the_beam_behind_the_sample() -> None:
    scan = virtual(absorption=True, transmission="behind")
    told = [scan.appendix(n) for n in range(16)]
    ratio = np.array([row["behind"] / row["i0"] for row in told]) / DIODE
    np.testing.assert_allclose(ratio, scan.transmission(0, 0), atol=0.006)
    assert "behind" not in virtual(absorption=True).appendix(0)
    assert virtual(transmission="behind").transmission(0, 0).tolist() == [1.0] * 16


def test_each_zone_has_images_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.simulate.scan.ZONES", 4)
    flat, deep = virtual(), virtual(parallax=True)
    assert flat._images.shape == (len(flat.components) + 1, 96 * 96)
    assert deep._images.shape[0] == 4 * len(flat.components) + 1
    np.testing.assert_allclose(
        deep.amounts(0, 1).reshape(16, 4, -1).sum(axis=1), flat.amounts(0, 1), rtol=1e-9, atol=1e-12
    )
    assert deep.sample.depths[0] == -deep.sample.depths[-1] < 0


RASTER = {
    "mode": "raster", "angles": None, "slices": {"start": 100.0, "step": 2.0, "count": 9},
    "positions": {"start": 40.0, "step": -1.0, "count": 20},
}  # fmt: skip


def test_a_raster_is_a_thin_sample_point_by_point() -> None:
    scan = virtual(RASTER, absorption=True)
    truth = truth_maps(scan)
    assert {values.shape for values in truth.values()} == {(1, 9, 20)}
    layered = [name for name, _, _ in scan.components]
    amount = np.stack([scan.amounts(s, 0) for s in range(9)])[..., [name == "layered" for name in layered]].sum(axis=-1)
    np.testing.assert_allclose(amount, truth["phase_layered"][0] * THICKNESS, rtol=1e-6, atol=1e-9)
    assert np.isfinite(truth["density"]).all()
    depth = -np.log(np.stack([scan.transmission(s, 0) for s in range(9)]))
    np.testing.assert_allclose(depth, truth["density"][0] * THICKNESS, rtol=1e-6, atol=1e-9)
    assert scan.frame(0)[1]["slice"] == 100.0
    assert set(np.unique(truth["class_index"])) <= set(range(5))


def test_a_raster_lies_as_its_motors_say() -> None:
    """Turning the sense of an axis turns the picture."""
    turned = RASTER | {"positions": {"start": 21.0, "step": 1.0, "count": 20}}
    one, other = (truth_maps(virtual(grid))["phase_layered"] for grid in (RASTER, turned))
    assert one.std() > 0.05
    np.testing.assert_array_equal(one, other[..., ::-1])
