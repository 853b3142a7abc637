"""The beam behind the sample: what rays let through, patterns without absorption, and the density map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from stream.analyse.imaging import Imaging
from stream.analyse.store import PatternStore
from stream.analyse.tomograph import Tomograph
from stream.analyse.tomography.additive import Additive, Adds, additive_values
from stream.analyse.transmission import Transmission
from stream.core.axis import RadialAxis
from stream.core.config import ReconstructionConfig, ScanConfig
from stream.core.errors import UsageError
from stream.core.messages import Pattern
from stream.core.scan import ScanGrid
from stream.ingest.journal import Journal
from stream.ingest.ledger import FrameRow
from stream.simulate.beam import DIODE, draw_diode, draw_monitor
from stream.simulate.phantom import make_phantom
from stream.simulate.presets import PRESETS
from stream.simulate.sample import Capillary, voxel_shares

COUNT, ANGLES, BINS = 40, 60, 12
AXIS = RadialAxis("2th_deg", 1.0, 20.0, BINS, 0.6738)
ATTENUATION = 1 / 93  # per µm, NCM622 at 18.4 keV
NORMS = np.full(BINS, 50, dtype=np.float32)
Floats = npt.NDArray[np.float64]


def grid_of(count: int, angles: int, **more: Any) -> ScanGrid:
    raw = {"name": "t", "angles": {"start": 0, "step": 180 / angles, "count": angles},
           "positions": {"start": -(count - 1) * 1.25, "step": 2.5, "count": count}}  # fmt: skip
    return ScanGrid.from_config(ScanConfig.model_validate(raw | more))


def stored(folder: Path, grid: ScanGrid, rows: list[tuple[Floats, float | None, float | None]], reads: bool) -> Any:
    """A store with one frame for each slot: its pattern, monitor, and reading behind the sample."""
    store = PatternStore.create(folder / "patterns", grid, AXIS, None, reads)
    journal = Journal.create(folder / "journal", grid.size, BINS)
    for slot, (pattern, monitor, behind) in enumerate(rows):
        row = FrameRow(slot=slot, series="1", frame=slot, monitor=monitor, received=0.0, transmission=behind)
        sums = (pattern * NORMS).astype(np.float32)
        journal.write(row, Pattern(sums=sums, norms=NORMS, variances=sums))
        assert store.take(journal, row)
    journal.close()
    return store


def test_the_level_is_that_of_the_outermost_rays_whatever_the_gain() -> None:
    rng = np.random.default_rng(0)
    truth = np.ones((2, 50, 20))
    truth[:, :, 1:-1] = rng.uniform(0.2, 0.95, (2, 50, 18))
    truth[:, :15, 0] = 0.9  # the sample sticks out on one side for some angles
    incident = rng.uniform(0.8, 1.2, truth.shape) * 1e5
    readings = 3e-11 * incident * truth * (1 + 1e-3 * rng.standard_normal(truth.shape))
    found = Transmission.of(readings, incident)
    np.testing.assert_allclose(found.values, truth, rtol=5e-3)
    assert found.level == pytest.approx(3e-11, rel=1e-3)
    assert not found.overfull
    assert np.array_equal(additive_values(found.depths), -np.log(found.values).astype(np.float32))


@pytest.mark.parametrize("reading", [0.0, -1.0, np.nan, np.inf, 1e-5])
def test_a_ray_that_lets_nothing_through_is_unknown(reading: float) -> None:
    readings = np.full((1, 4, 5), 2.0)
    readings[0, 1, 2] = reading
    found = Transmission.of(np.where(np.isinf(readings), np.nan, readings), np.ones((1, 4, 5)))
    assert np.argwhere(~found.known).tolist() == [[0, 1, 2]]


def test_a_sample_that_reaches_out_of_the_field_is_noticed() -> None:
    readings = np.full((1, 30, 20), 0.5) * (1 + 1e-3 * np.random.default_rng(1).standard_normal((1, 30, 20)))
    readings[..., 8:12] = 1.0
    assert Transmission.of(readings, np.ones(readings.shape)).overfull


def test_such_a_ray_weighs_nothing_and_is_listed(tmp_path: Path) -> None:
    flat = np.ones(BINS)
    behind: list[float | None] = [1.0, 0.5, 0.0, 0.5, 1.0, 1.0, np.nan, 0.25, None, 1.0]
    rows = [(flat * (b or 0.0), 1.0, b) for b in behind]
    store = stored(tmp_path, grid_of(5, 2), rows, True)
    assert store.no_beam_frames() == [2, 6, 8]
    kept = store.patterns[store.with_beam]
    np.testing.assert_allclose(kept, 1.0)  # what scatters was absorbed as much as what passes


def test_no_sample_frames_without_reading_change_nothing(tmp_path: Path) -> None:
    """Without detector.transmission a reading in the ledger is not looked at."""
    rows: list[tuple[Floats, float | None, float | None]] = [(np.ones(BINS), 2.0, 0.1)] * 10
    store = stored(tmp_path, grid_of(5, 2), rows, False)
    np.testing.assert_allclose(store.patterns, 0.5)
    assert store.transmission is None
    assert store.with_beam.all()


@pytest.mark.parametrize("not_additive", [np.zeros((2, 5, 5)), np.zeros((2, 5, 5), dtype=np.float32).tolist()])
def test_a_fitted_position_or_width_cannot_be_back_projected(tmp_path: Path, not_additive: Any) -> None:
    grid = grid_of(5, 5)
    store = stored(tmp_path, grid, [(np.ones(BINS), None, None)] * 25, False)
    volume = np.zeros((*grid.map_shape, BINS), dtype=np.float32)
    imaging: Imaging = Tomograph(store, ReconstructionConfig(), volume, store.patterns[..., 0])
    with pytest.raises(UsageError, match="adds along a ray"):
        imaging.image(not_additive, store.with_beam, 5)
    with pytest.raises(UsageError, match="'strain' is not known to add along a ray"):
        Additive(np.zeros((1, 5, 5), dtype=np.float32), "strain")  # type: ignore[arg-type]
    assert imaging.image(Additive(np.ones((1, 5, 5), np.float32), Adds.INTENSITY), store.with_beam, 5).shape == (
        1,
        5,
        5,
    )


def test_an_absorbing_electrode_with_and_without_the_reading(tmp_path: Path) -> None:
    """100 µm of NCM622 grains in a capillary; paths by the simulator's own projector."""
    grid = grid_of(COUNT, ANGLES)
    preset = PRESETS["ncm622-cycled"]
    phantom = make_phantom(preset, {"layered": 1.0, "spinel": 1.0}, COUNT, 2.5, np.zeros(1), seed=4)
    sample = Capillary(phantom, grid, 0.0, 1)
    fraction = np.array([sum(c.volume for c in m if c.phase in preset.crystals) for m in phantom.materials])
    paths = np.array([sample.lengths(0, float(angle))[:, 0] for angle in grid.angles]) @ fraction
    through = np.exp(-paths * ATTENUATION)
    assert through.min() < 0.75
    shape = np.linspace(1, 3, BINS)
    intensity, reading = draw_monitor(grid.size, 4, 0.0)
    diode = draw_diode(grid.size, 4) * intensity * through.ravel()
    counts = (paths * through).ravel() * intensity
    rows = [(shape * counts[n], float(reading[n]), float(diode[n])) for n in range(grid.size)]
    truth = voxel_shares(phantom)[0] @ fraction
    whole = truth > 0.9
    clear = [(row[0] / t, row[1], None) for row, t in zip(rows, through.ravel(), strict=True)]

    found, density = {}, None
    for name, taken, reads in (("clear", clear, False), ("without", rows, False), ("with", rows, True)):
        (tmp_path / name).mkdir()
        store = stored(tmp_path / name, grid, taken, reads)
        volume = np.zeros((*grid.map_shape, BINS), dtype=np.float32)
        tomograph = Tomograph(store, ReconstructionConfig(iterations=60, center=0.0), volume, store.patterns[..., 0])
        tomograph.settle()
        next(tomograph.finals())
        found[name] = np.median(volume[0, ..., 0][whole])
        if store.transmission is not None:
            density = tomograph.image(store.transmission.depths, store.with_beam, 60)[0]
    assert found["clear"] == pytest.approx(1, abs=0.06)  # SIRT blurs the grains
    assert found["without"] < 0.85 * found["clear"]
    assert found["with"] * DIODE == pytest.approx(found["clear"], rel=0.01)  # patterns are per transmitted unit
    assert density is not None
    assert np.median(density[whole]) == pytest.approx(ATTENUATION * found["clear"], rel=0.02)
    inside = np.isfinite(density)
    assert np.corrcoef(density[inside], truth[inside])[0, 1] > 0.95
