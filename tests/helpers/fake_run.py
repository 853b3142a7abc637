"""A run directory as the other processes would write it: a plausible scan that a test moves forward by hand."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from helpers.fake_content import CLASSES, PEAKS, Content

from stream.analyse.masks import MASK_REASONS
from stream.analyse.particle_table import correlations, largest, particle_table
from stream.analyse.statistics import class_statistics
from stream.core.commands import read_commands
from stream.core.config import Config, parse_config
from stream.core.errors import Reject
from stream.core.files import replace_file
from stream.core.revision import Revision, write_revision
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.ingest.ledger import FrameRow, Ledger

PIXEL, FACTOR, ROWS, COLUMNS = 75e-6, 16, 130, 140  # of the detector in m; of its frame as the page sees it
ENERGY = np.linspace(6.0, 9.0, 60)  # keV
DISTANCE, CENTRE = 0.22, (60, 64)
PONI = f"""poni_version: 2
Detector: Detector
Detector_config: {{"pixel1": {PIXEL}, "pixel2": {PIXEL}, "max_shape": [{ROWS * FACTOR}, {COLUMNS * FACTOR}]}}
Distance: {DISTANCE}
Poni1: {(CENTRE[0] + 0.5) * FACTOR * PIXEL}
Poni2: {(CENTRE[1] + 0.5) * FACTOR * PIXEL}
Wavelength: 6.2e-11
"""


@dataclass(slots=True)
class FakeRun:
    """A run at `path`; `advance` plays analyse and ingest."""

    path: Path
    size: int = 41
    angles: int = 60
    slices: int = 1
    bins: int = 240
    port: int = 8080
    clusters: bool = False
    number: int = 0
    directory: RunDirectory = field(init=False)
    config: Config = field(init=False)
    grid: ScanGrid = field(init=False)
    _ledger: Ledger | None = None
    _residuals: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Write the config; no frame has come yet."""
        self.directory = RunDirectory(self.path)
        self.directory.create()
        (self.path / "detector.poni").write_text(PONI)
        self.config = parse_config(self._raw(), self.path)
        self.directory.write_config(self.config)
        self.grid = ScanGrid.from_config(self.config.scan)

    def _raw(self) -> dict[str, Any]:
        half = (self.size - 1) / 2
        return {
            "scan": {
                "name": "ncm622-cycled",
                "sample": "NCM622, 100 cycles, capillary 3",
                "angles": {"start": 0.0, "step": 180 / self.angles, "count": self.angles},
                "positions": {"start": -half, "step": 1.0, "count": self.size},
                "slices": {"start": 0.0, "step": 2.0, "count": self.slices},
            },
            "detector": {"endpoint": "tcp://127.0.0.1:31001", "geometry": "detector.poni"},
            "integration": {"bins": self.bins},
            "regions": [{"name": "hump", "range": [1.5, 3.0]}],
            "phases": [
                {"name": "layered", "cif": "nmc622"},
                {"name": "spinel", "cif": "lnmo-spinel"},
                {"name": "carbon", "hump": {"position": 2.3, "width": 1.0}},
                {"name": "glass", "hump": {"position": 8.8, "width": 3.0}},
            ],
            "dashboard": {"port": self.port},
        }

    def receive(self, share: float, phase: str = "acquiring") -> None:
        """Ingest has journalled this share of the grid, with some bad frames among it."""
        first = self._ledger is None
        self._ledger = self._ledger or Ledger.open(self.directory.ledger)
        for frame in range(self._ledger.integrated, round(share * self.grid.size)):
            self._ledger.add(
                FrameRow(slot=int(self.grid.visit[frame]), series="1", frame=frame, monitor=None, received=time.time())
            )
        if first:
            self._ledger.event("series 1 opened by its header")
            self._ledger.event("frame 17 was truncated")
            self._ledger.reject(Reject.TRUNCATED)
            self._ledger.duplicate()
        received = self._ledger.accounted + (4 if phase == "acquiring" else 0)
        now = time.time()
        self._ledger.commit(phase=phase, started=now - 60, updated=now, rate=203.7, latency=0.012, received=received)

    def advance(self, share: float, status: str = "acquiring") -> Revision:
        """Write the next revision, made of this share of the scan, with volume and frame."""
        self.receive(share, "acquiring" if status == "acquiring" else "ended")
        self.number += 1
        rng = np.random.default_rng(self.number)
        self._residuals.append(0.04 + 0.5 * np.exp(-4 * share))
        content = Content(self.size, self.slices, share, rng)
        axis = np.linspace(1.0, 20.0, self.bins)
        volume, maps = content.volume(axis), content.maps()
        if self.clusters:
            known = maps["class_index"]
            maps["cluster_index"] = np.where(known < 0, -1, len(CLASSES) - 1 - known).astype(np.int8)
        names = ["global", "hump", "layered", "spinel", *self._drawn(axis, volume, maps)]
        spectra = np.tile(np.exp(-(((ENERGY - 7.48) / 0.08) ** 2)), (*volume.shape[:3], 1))  # Ni Kα
        for place, array in ((self.directory.volume, volume), (self.directory.fluorescence.volume, spectra)):
            place.parent.mkdir(exist_ok=True)
            replace_file(place, lambda file, array=array: file.write(array.astype("<f4").tobytes()))
        revision = Revision(
            number=self.number,
            metadata=self._metadata(status, share, maps),
            arrays={
                "radial": axis,
                "fluorescence/voxel_energy": ENERGY,
                "sum_pattern": np.nansum(volume, axis=(0, 1, 2)) / self.size**2 * share,
                "projection_frames": np.full((self.slices, self.angles), self.size),
                **{f"sinograms/{name}": self._sinogram(share, rng) for name in names},
                **{f"maps/{name}": array for name, array in maps.items()},
            },
        )
        self._frame(share, rng)
        write_revision(self.directory.revision, revision)
        return revision

    def _drawn(self, axis: npt.NDArray[Any], volume: npt.NDArray[Any], maps: dict[str, npt.NDArray[Any]]) -> list[str]:
        """Maps of the regions that were asked for by command; their names."""
        asked = [command for command in read_commands(self.directory.commands) if command.kind == "regions"]
        regions = [region for command in asked for region in command.arguments["regions"]]
        for region in regions:
            low, high = region["range"]
            maps[region["name"]] = volume[..., (axis >= low) & (axis <= high)].sum(axis=-1)
        return [region["name"] for region in regions]

    def _metadata(self, status: str, share: float, maps: dict[str, npt.NDArray[Any]]) -> dict[str, Any]:
        table = particle_table(
            maps, maps["particle_index"], CLASSES, self.grid.map_axes, "layered", ["layered", "spinel"]
        )
        unit = {
            "global": "intensity 2th_deg/um",
            "phase_layered": "arbitrary",
            "size_layered": "nm",
            "strain_layered": "1",
        }
        unit |= {"a_layered": "Angstrom", "c_layered": "Angstrom", "cell_volume_layered": "Angstrom3"}
        unit |= {"splitting_018_110_layered": "degree", "c_over_a_layered": "1"}
        clusters = {
            "cluster_partition": {"method": "kmeans"},
            "clusters": {"q": [1.0, 2.0, 3.0], "patterns": [[0.1 * k, 0.3, 0.2 * k] for k in range(5)]},
        }
        return {
            **(clusters if self.clusters else {}),
            "status": status,
            "center_um": 0.2,
            "center_from": "data" if share > 0.66 else "grid",
            "iterations": 40,
            "residual": self._residuals[-1],
            "residual_trace": list(self._residuals),
            "classes": CLASSES,
            "model": {"name": "mlp-1", "sha256": "0" * 64},
            "fluorescence": {
                "self_absorption": "uncorrected",
                "biased": ["xrf_Ni"],
                "correlations": {
                    "Ni": {"phases": {"layered": {"r": 0.93, "n": 900}}, "strain": {"particle": {"r": -0.12, "n": 300}}}
                },
            },
            "units": unit,
            "strain": class_statistics(
                {f"maps/{name}": array for name, array in maps.items()}, "strain_layered", CLASSES
            ),
            "mask_reasons": MASK_REASONS,
            "particles": largest(table),
            "particle_correlation": correlations(table),
            "started": time.time() - 60,
            "updated": time.time(),
            "final": status in {"complete", "incomplete"},
            "frames_used": round(share * self.grid.size),
        }

    def _sinogram(self, share: float, rng: np.random.Generator) -> npt.NDArray[np.float32]:
        omega = np.deg2rad(self.grid.angles)[:, None]
        p = self.grid.positions[None, :]
        half = self.size / 2
        found = np.sqrt(np.clip(1 - (p / half) ** 2, 0, None)) * 20 + rng.normal(0, 0.3, (self.angles, self.size))
        for radius, phi in ((0.3, 0.3), (0.6, 2.0), (0.5, 4.0)):
            found = found + 30 * np.exp(-(((p - radius * half * np.cos(omega - phi)) / (0.12 * half)) ** 2))
        found[round(share * self.angles) :] = np.nan
        return np.repeat(found[None], self.slices, axis=0).astype(np.float32)

    def _frame(self, share: float, rng: np.random.Generator) -> None:
        y, x = np.mgrid[:ROWS, :COLUMNS] * 1.0
        r = np.hypot(y - CENTRE[0], x - CENTRE[1])
        two_theta = np.rad2deg(np.arctan(r * FACTOR * PIXEL / DISTANCE))
        rings = sum((20 * h * np.exp(-(((two_theta - c) / 0.25) ** 2)) for c, h in PEAKS["layered"]), np.zeros_like(r))
        image = rng.poisson(0.8 + rings + 6 * np.exp(-r / 14)).astype(np.float32)
        image[64:67] = np.nan
        image[:, 69:71] = np.nan
        image[r < 5] = np.nan
        number = round(share * self.grid.size)
        replace_file(
            self.directory.frame,
            lambda file: np.savez(
                file, image=image, frame=number, saturated=3, masked=60123, maximum=412, factor=FACTOR
            ),
        )
