"""A run directory as the other processes would write it: a plausible scan that a test moves forward by hand."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.core.config import Config, parse_config, write_resolved
from stream.core.errors import Reject
from stream.core.files import replace_file
from stream.core.revision import Revision, write_revision
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.ingest.ledger import FrameRow, Ledger

CLASSES = ["empty", "capillary", "carbon_binder", "particle", "particle_with_carbon"]
PEAKS = {
    "layered": [(7.5, 1.0), (14.6, 0.45), (15.1, 0.16), (17.4, 0.8)],
    "spinel": [(7.55, 0.5), (14.4, 0.35), (17.3, 0.3)],
}
PONI = "poni_version: 2\nDetector: Pilatus100k\nDistance: 0.1\nPoni1: 0\nPoni2: 0\nWavelength: 6.2e-11\n"


@dataclass(slots=True)
class FakeRun:
    """A run at `path`; `advance` plays analyse and ingest."""

    path: Path
    size: int = 41
    angles: int = 60
    slices: int = 1
    bins: int = 240
    port: int = 8080
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
        write_resolved(self.config, self.directory.config)
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
        volume = content.volume(axis)
        replace_file(self.directory.volume, lambda file: file.write(volume.astype("<f4").tobytes()))
        revision = Revision(
            number=self.number,
            metadata=self._metadata(status, share, content),
            arrays={
                "radial": axis,
                "sum_pattern": np.nansum(volume, axis=(0, 1, 2)) / self.size**2 * share,
                "projection_frames": np.full((self.slices, self.angles), self.size),
                **{f"sinograms/{name}": self._sinogram(share, rng) for name in ("global", "hump", "layered", "spinel")},
                **{f"maps/{name}": array for name, array in content.maps().items()},
            },
        )
        self._frame(share, rng)
        write_revision(self.directory.revision, revision)
        return revision

    def _metadata(self, status: str, share: float, content: Content) -> dict[str, Any]:
        unit = {"size_layered": "nm", "a_layered": "Å", "c_layered": "Å", "cell_volume_layered": "Å3"}
        return {
            "status": status,
            "center_um": 0.2,
            "center_from": "data" if share > 0.66 else "grid",
            "iterations": 40,
            "residual": self._residuals[-1],
            "residual_trace": list(self._residuals),
            "classes": CLASSES,
            "model": {"name": "mlp-1", "sha256": "0" * 64},
            "units": unit,
            "strain": {
                "particle": {"mean": 7.9e-4, "sigma": 0.6e-4, "n": 512},
                "particle_with_carbon": {"mean": 9.4e-4, "sigma": 0.8e-4, "n": 97},
            },
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
        y, x = np.mgrid[:130, :140] * 1.0
        r = np.hypot(y - 60, x - 64)
        rings = sum(
            (a * np.exp(-(((r - 8 * c) / 0.9) ** 2)) for c, a in ((3, 20.0), (5.7, 9.0), (6.9, 14.0))), np.zeros_like(r)
        )
        image = rng.poisson(0.8 + rings + 6 * np.exp(-r / 14)).astype(np.float32)
        image[64:67] = np.nan
        image[:, 69:71] = np.nan
        image[r < 5] = np.nan
        number = round(share * self.grid.size)
        replace_file(
            self.directory.frame,
            lambda file: np.savez(file, image=image, frame=number, saturated=3, masked=60123, maximum=412, factor=16),
        )


@dataclass(slots=True)
class Content:
    """A capillary with particles and a binder; noisier and more smeared the less of the scan is in."""

    size: int
    slices: int
    share: float
    rng: np.random.Generator
    radius: npt.NDArray[np.float64] = field(init=False)
    truth: dict[str, npt.NDArray[np.float64]] = field(init=False)

    def __post_init__(self) -> None:
        """Draw the phantom, with the same particles at every revision."""
        y, x = (np.mgrid[: self.size, : self.size] - (self.size - 1) / 2) / (self.size / 2)
        self.radius = np.hypot(y, x)
        layered, shell, carbon = (np.zeros_like(y) for _ in range(3))
        fixed = np.random.default_rng(7)
        carbon[np.hypot(y - 0.1, x + 0.25) < 0.45] = 1.0
        for _ in range(26):
            r, phi, big = 0.66 * np.sqrt(fixed.random()), 2 * np.pi * fixed.random(), fixed.uniform(0.06, 0.17)
            distance = np.hypot(y - r * np.sin(phi), x - r * np.cos(phi))
            layered[distance < big] = 1.0
            shell[(distance < big) & (distance > 0.7 * big) & (np.hypot(y - 0.1, x + 0.25) < 0.5)] = 0.35
        glass = ((self.radius > 0.84) & (self.radius < 0.95)) * 1.0
        carbon[layered > 0] = 0.15 * (shell[layered > 0] > 0)
        self.truth = {"layered": layered - 0.6 * shell, "spinel": shell, "carbon": carbon, "glass": glass}

    def masked(self, plane: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Slices of a plane, NaN outside the field of view."""
        outside = np.where(self.radius <= 1, plane, np.nan).astype(np.float32)
        return np.repeat(outside[None], self.slices, axis=0)

    def amount(self, name: str) -> npt.NDArray[np.float64]:
        """One phase as reconstructed from a part of the scan."""
        plane, lag = self.truth[name], round(3 * (1 - self.share))
        smeared = np.mean([np.roll(plane, i, axis=1) for i in range(-lag, lag + 1)], axis=0)
        noise = self.rng.normal(0, 0.03 + 0.12 * (1 - self.share), plane.shape)
        return np.asarray(np.clip(smeared + noise, 0, None))

    def maps(self) -> dict[str, npt.NDArray[Any]]:
        """Every map, shape (slice, y, x), and class_probability (slice, class, y, x)."""
        amounts = {name: self.amount(name) for name in self.truth}
        crystalline = amounts["layered"] + amounts["spinel"]
        usable = crystalline > 0.4
        contact = self.truth["spinel"] > 0
        spread = self.rng.normal(0, 0.4e-4, contact.shape)
        strain = np.where(usable, np.where(contact, 9.4e-4, 7.9e-4) + spread, np.nan)
        found = {f"phase_{name}": 40 * plane for name, plane in amounts.items()}
        for name in ("layered", "spinel"):
            found[f"fraction_{name}"] = np.where(usable, amounts[name] / np.maximum(crystalline, 1e-9), np.nan)
        found |= {
            "strain_layered": strain,
            "strain_error_layered": np.where(usable, 0.3e-4 + 0.0 * strain, np.nan),
            "size_layered": np.where(usable, 120 + 8e4 * spread, np.nan),
            "a_layered": np.where(usable, 2.8753 * (1 + spread), np.nan),
            "c_layered": np.where(usable, 14.2356 * (1 - spread), np.nan),
            "cell_volume_layered": np.where(usable, 101.925 * (1 + spread), np.nan),
            "fit_quality": np.where(usable, 1.1 + 2e3 * np.abs(spread), np.nan),
            "global": 40 * sum(amounts.values(), np.zeros_like(strain)),
            "hump": 25 * amounts["carbon"],
            "coverage": np.clip(self.share * (1.05 - 0.1 * self.radius), 0, 1),
        }
        return {name: self.masked(plane) for name, plane in found.items()} | self._classes(amounts, crystalline)

    def _classes(self, amounts: dict[str, Any], crystalline: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        with_carbon = crystalline * (amounts["carbon"] > 0.09)
        scores = np.stack(
            [0.3 + 0 * crystalline, amounts["glass"], amounts["carbon"], crystalline - with_carbon, with_carbon]
        )
        likely = np.exp(8 * scores)
        likely /= likely.sum(axis=0)
        index = np.where(self.radius <= 1, likely.argmax(axis=0), -1).astype(np.int8)
        probability = np.where(self.radius <= 1, likely, np.nan).astype(np.float32)
        return {
            "class_index": np.repeat(index[None], self.slices, axis=0),
            "class_probability": np.repeat(probability[None], self.slices, axis=0),
        }

    def volume(self, axis: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        """The pattern of each voxel, shape (slice, y, x, bin)."""
        bases = {
            name: sum((h / (1 + ((axis - c) / 0.06) ** 2) for c, h in peaks), np.zeros_like(axis))
            for name, peaks in PEAKS.items()
        }
        bases["carbon"] = 0.2 * np.exp(-(((axis - 2.3) / 0.6) ** 2))
        bases["glass"] = 0.25 * np.exp(-(((axis - 8.8) / 1.8) ** 2))
        total = sum((self.truth[name][..., None] * base for name, base in bases.items()), np.zeros(1))
        noisy = np.clip(total + 0.02 + self.rng.normal(0, 0.008, (self.size, self.size, len(axis))), 0, None)
        return np.repeat(noisy[None], self.slices, axis=0).astype(np.float32)
