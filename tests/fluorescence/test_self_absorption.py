"""Self-absorption: against integrals of a block, and of a simulated electrode that shares no code with the analysis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xraydb
from helpers.chain import correlation, tiny_site
from threadpoolctl import threadpool_limits

from stream.analyse.element_look import Spectra, channels_of, imaged, measure
from stream.analyse.fluorescence.absorption import arriving, line_attenuation
from stream.analyse.fluorescence.lines import element_lines
from stream.analyse.fluorescence.response import Response
from stream.analyse.self_absorption import Depths, SelfAbsorption, read_formula
from stream.analyse.store import PatternStore
from stream.analyse.tomograph import Tomograph
from stream.analyse.tomography.additive import Additive, Adds
from stream.core.axis import RadialAxis
from stream.core.config import Config, ReconstructionConfig, load_config
from stream.core.errors import ConfigError
from stream.core.scan import ScanGrid
from stream.ingest.integrate import load_geometry
from stream.simulate.fluorescence import VirtualSpectra
from stream.simulate.presets import find_preset
from stream.simulate.scan import VirtualScan
from stream.simulate.self_absorption import emitted_lengths
from stream.simulate.truth import truth_maps

Floats = npt.NDArray[np.float64]
COUNT, ANGLES, STEP, ITERATIONS = 24, 45, 1.5, 100
PARTICLE = 3
BEAM = 12.398419843320026 / 0.6738
ELEMENTS = ("Ni", "Co", "Mn")
PHASES = [
    {"name": "layered", "cif": "nmc622"},
    {"name": "spinel", "cif": "lnmo-spinel"},
    {"name": "carbon", "hump": {"position": 2.3, "width": 1.0}, "formula": "C", "density": 1.5},
    {"name": "glass", "hump": {"position": 9.5, "width": 3.0}, "formula": "SiO2", "density": 2.2},
]
SCALES = {"layered": 7.0, "spinel": 7.0, "carbon": 3.0, "glass": 0.5}  # amounts have units of their own


@pytest.fixture(scope="module", autouse=True)
def one_blas_thread() -> Iterator[None]:
    with threadpool_limits(1, "blas"):
        yield


@pytest.mark.parametrize("side", [1, -1])
def test_a_block_absorbs_as_its_integral(side: int) -> None:
    """Turned by a right angle; inwards (1 − e^(−µL))/µ, outwards e^(−µ'd)."""
    count, incoming, outgoing = 30, 0.02, 0.05
    block = np.ones((count, count))
    found = arriving(block[None], incoming * block, outgoing * block[None], np.array([0.0, 90.0, 180.0]),
                     -(count - 1) / 2, beam=1, side=side)[0]  # fmt: skip
    left = np.arange(count) + 0.5 if side < 0 else count - np.arange(count) - 0.5
    expected = (1 - np.exp(-incoming * count)) / (incoming * count) * np.exp(-outgoing * left)
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), rtol=1e-3)
    fine = np.ones((4 * count, 4 * count), np.uint8)
    positions = np.arange(count) - (count - 1) / 2
    path = emitted_lengths(fine, 0.25, 90.0, positions, 1.0, np.array([0, incoming]), np.array([[0, outgoing]]), side)
    np.testing.assert_allclose(path[:, 0, 1], count * expected, rtol=2e-3)


@pytest.mark.parametrize("side", ["positive", "negative"])
@pytest.mark.parametrize("turn", [1, -1])
def test_side_and_sense_of_rotation_are_those_of_the_config(tmp_path: Path, side: str, turn: int) -> None:
    """A lopsided sample at angles of either sense: shares as those of the phantom's points, on this side alone."""
    count, incoming, outgoing = 30, 0.01, 0.06
    angles = {"start": 20.0 * turn, "step": 50.0 * turn, "count": 3}
    section = {"endpoint": "tcp://127.0.0.1:5", "elements": ["Ni"], "side": side}
    scan = {"angles": angles, "positions": {"start": -(count - 1) / 2, "step": 1.0, "count": count}}
    site = tiny_site(tmp_path, scan=scan, fluorescence=section, phases=PHASES)
    config = load_config(site.path)
    grid = ScanGrid.from_config(config.scan)
    absorption = SelfAbsorption.of(config, grid, [element_lines("Ni", BEAM)], BEAM)
    assert absorption is not None
    block = np.zeros((count, count))
    block[5:13, 8:24] = block[13:24, 8:12] = 1
    depths = Depths(incoming * block[None], outgoing * block[None, None])
    found = absorption.arriving(depths, block[None, ..., None], 0.0)[0, ..., 0]
    fine = np.kron(block, np.ones((4, 4))).astype(np.uint8)
    for toward in (1, -1):
        told = [
            emitted_lengths(fine, 0.25, angle, grid.positions, 1.0, np.array([0, mu]), np.array([[0, out]]), toward)
            for mu, out in ((incoming, outgoing), (0.0, 0.0))
            for angle in grid.angles
        ]
        lost, whole = np.array(told)[..., 0, 1].reshape(2, *found.shape)
        thick = whole > 2
        error = np.abs(lost[thick] / whole[thick] - found[thick]).max()
        assert (error < 0.03) == (toward == absorption.side)


def test_attenuation_is_that_of_the_tables() -> None:
    lines = element_lines("Ni", BEAM)
    oxide = {"Ni": xraydb.atomic_mass("Ni"), "O": xraydb.atomic_mass("O")}
    alpha = 0.88 * xraydb.material_mu("NiO", 7474, density=1) + 0.12 * xraydb.material_mu("NiO", 8265, density=1)
    assert line_attenuation(oxide, lines) == pytest.approx(alpha, rel=0.01)


class Electrode:
    """A simulated electrode that absorbs: its spectra without noise, and what diffraction and beam tell of it."""

    def __init__(self, folder: Path) -> None:
        site = tiny_site(
            folder,
            scan={
                "angles": {"start": 0.0, "step": 180 / ANGLES, "count": ANGLES},
                "positions": {"start": -(COUNT - 1) / 2 * STEP, "step": STEP, "count": COUNT},
            },
            detector={"transmission": "it"},
            fluorescence={"endpoint": "tcp://127.0.0.1:5", "elements": list(ELEMENTS)},
            phases=PHASES,
        )
        site.write()
        self.config: Config = load_config(site.path)
        self.grid = ScanGrid.from_config(self.config.scan)
        integrator = load_geometry(self.config.detector.geometry).integrator
        self.scan = VirtualScan(self.grid, integrator, find_preset("ncm622-cycled"), seed=11, absorption=True)
        self.spectra = VirtualSpectra(self.scan, ELEMENTS)
        self.lines = [element_lines(element, BEAM) for element in ELEMENTS]
        axis = RadialAxis("2th_deg", 1.0, 20.0, 12, 0.6738)
        store = PatternStore.create(folder / "patterns", self.grid, axis, None)
        volume = np.zeros((*self.grid.map_shape, 12), np.float32)
        sums = np.zeros(self.grid.shape, np.float32)
        self.imaging = Tomograph(store, ReconstructionConfig(center=0.0), volume, sums)
        self.all = np.ones(self.grid.shape, bool)
        self.net, self.maps = self._net(), self._maps()

    def image(self, rays: Floats, kind: Adds = Adds.INTENSITY) -> npt.NDArray[np.float32]:
        return self.imaging.image(Additive(rays[None].astype(np.float32), kind), self.all, ITERATIONS)

    def imaged(self, source: str | None) -> tuple[npt.NDArray[np.float32], Floats | None]:
        """Element maps, and what the sample keeps."""
        section = self.config.fluorescence
        assert section is not None
        changed = {"fluorescence": section.model_copy(update={"self_absorption": source})}
        absorption = SelfAbsorption.of(self.config.model_copy(update=changed), self.grid, self.lines, BEAM)
        assert absorption is not None
        depths = absorption.depths(self.maps)
        return imaged(self.net, self.all, self.imaging, ITERATIONS, absorption, depths, correct=source is not None)

    def _net(self) -> npt.NDArray[np.float32]:
        start = Response(0.0, 0.01)
        channels = channels_of(self.lines, start)
        spectra = np.array([self.spectra.expected(n)[channels.astype(int)] for n in range(self.grid.size)])
        monitors = self.scan.intensity[: self.grid.size].reshape(self.grid.shape)
        given = Spectra(
            self.grid, spectra.reshape(*self.grid.shape, -1).astype("f4"), self.all + 0.0, monitors, self.all
        )
        return measure(given, channels, self.lines, start).net

    def _maps(self) -> dict[str, Any]:
        """Density and amounts of the phases, reconstructed from what a ray would tell of them."""
        paths = np.stack([self.scan.lengths(0, a) @ self.scan.mixing for a in range(ANGLES)])
        through = np.stack([self.scan.transmission(0, a) for a in range(ANGLES)])
        found = {"density": self.image(-np.log(through), Adds.DEPTH)}
        for name, scale in SCALES.items():
            which = [phase == name for phase, _, _ in self.scan.components]
            found[f"phase_{name}"] = self.image(scale * paths[..., which].sum(axis=2))
        return found


@pytest.fixture(scope="module")
def electrode(tmp_path_factory: pytest.TempPathFactory) -> Electrode:
    return Electrode(tmp_path_factory.mktemp("electrode"))


@pytest.mark.parametrize("source", ["transmission", "phases", None])
def test_an_electrode_with_and_without_the_correction(electrode: Electrode, source: str | None) -> None:
    maps, kept = electrode.imaged(source)
    truth, inside = truth_maps(electrode.scan), electrode.grid.field_of_view
    particles = truth["class_index"][0] == PARTICLE
    emitted = electrode.spectra.maps()
    share = {}
    for k, element in enumerate(ELEMENTS):
        true = emitted[f"xrf_{element}"][0]
        assert correlation(maps[0, ..., k][inside], true[inside]) > 0.95
        share[element] = maps[0, ..., k][particles].sum() / true[particles].sum()
    assert kept is not None
    assert (kept > 0.15).all()
    if source is None:
        assert max(share.values()) < 0.85
        assert share["Co"] < 0.97 * share["Ni"]  # manganese takes cobalt's lines, and not its own
    else:
        assert share["Ni"] == pytest.approx(1, abs=0.04)
        for element in ELEMENTS[1:]:
            assert share[element] / share["Ni"] == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"phases": PHASES[2:]}, "there is no crystalline phase"),
        ({"detector": {"transmission": None}}, "detector.transmission is null"),
        ({"phases": [PHASES[0], {"name": "glass", "hump": PHASES[3]["hump"]}]}, "'glass' needs a formula"),
        ({"scan": {"mode": "raster", "angles": {"start": 0.0, "step": 1.0, "count": 1}}}, "the depth in the sample"),
    ],
)
def test_what_tells_nothing_of_absorption_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    section = {"endpoint": "tcp://127.0.0.1:5", "elements": ["Ni"], "self_absorption": "transmission"}
    base: dict[str, Any] = {"detector": {"transmission": "it"}, "fluorescence": section, "phases": PHASES}
    site = tiny_site(tmp_path, **base)
    site.write(**changes)
    with pytest.raises(ConfigError, match=message):
        load_config(site.path)


@pytest.mark.parametrize("formula", ["SiQ2", "sio2", "2"])
def test_a_formula_that_is_none_is_refused(formula: str) -> None:
    with pytest.raises(ConfigError, match=f"the formula of 'glass' is '{formula}'"):
        read_formula("glass", formula)
