"""What a fake run shows: a capillary with particles and a binder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.analyse.crystal.reasons import Reason
from stream.analyse.particles import find_particles

CLASSES = ["empty", "capillary", "carbon_binder", "particle", "particle_with_carbon"]
PEAKS = {
    "layered": [(7.5, 1.0), (14.6, 0.45), (15.1, 0.16), (17.4, 0.8)],
    "spinel": [(7.55, 0.5), (14.4, 0.35), (17.3, 0.3)],
}


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
            "xrf_Ni": 300 * amounts["layered"],
            "coverage": np.clip(self.share * (1.05 - 0.1 * self.radius), 0, 1),
            "c_over_a_layered": np.where(usable, 14.2356 / 2.8753 * (1 - 2 * spread), np.nan),
            "ratio_003_104_layered": np.where(usable & ~contact, 1.22 + 1e3 * spread, np.nan),
            "splitting_018_110_layered": np.where(usable, 0.175 + 50 * spread, np.nan),
        }
        masks = {
            "mask_layered": np.where(usable, Reason.OK, Reason.NO_SIGNAL),
            "mask_spinel": np.where(usable & (amounts["spinel"] > 0.1), Reason.TIED, Reason.NO_SIGNAL),
        }
        classes = self._classes(amounts, crystalline)
        return {
            **{name: self.masked(plane) for name, plane in found.items()},
            **classes,
            **{name: self.coded(plane) for name, plane in masks.items()},
            "particle_index": find_particles(classes["class_index"], CLASSES),
        }

    def coded(self, plane: npt.NDArray[Any]) -> npt.NDArray[np.int8]:
        """Slices of a plane of codes, -1 outside the field of view."""
        return np.repeat(np.where(self.radius <= 1, plane, -1).astype(np.int8)[None], self.slices, axis=0)

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
