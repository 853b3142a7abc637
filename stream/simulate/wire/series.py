"""What every protocol tells about a series, and what its encoder can do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from stream.simulate.wire.pixels import Pixels

ULID = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
FRAME_TIME = 0.002
DEAD_TIME = 1e-7
DATE = "2024-09-30T12:00:00.000+02:00"  # fixed: the same seed gives the same bytes


@dataclass(frozen=True, slots=True)
class Series:
    """One series of a sender.

    Parameters
    ----------
    frames
        announced number of images.
    pixel_mask
        (rows, columns) uint32, NeXus bits.
    wavelength
        in Å.
    pixel_size
        (rows, columns) in m.
    seed
        names the series.
    index
        how many series the sender had before.
    message
        how many messages the sender had before.
    first_frame
        the number of the first frame.
    dtype
        of the pixels when the detector was armed.
    label
        what the header's appendix says besides.
    """

    frames: int
    pixel_mask: npt.NDArray[np.uint32]
    wavelength: float
    pixel_size: tuple[float, float]
    seed: int
    index: int = field(default=0, kw_only=True)
    message: int = field(default=0, kw_only=True)
    first_frame: int = field(default=0, kw_only=True)
    dtype: str = field(default="uint16", kw_only=True)
    label: Mapping[str, Any] = field(default_factory=dict, kw_only=True)

    @property
    def number(self) -> int:
        """The detector's count of its series."""
        return 1 + self.seed % 65535 + self.index

    @property
    def unique_id(self) -> str:
        """26 characters, like a ULID."""
        name = f"braggstream {self.seed} {self.index}" if self.index else f"braggstream {self.seed}"
        digest = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "big")
        return "".join(ULID[digest >> 5 * i & 31] for i in range(25, -1, -1))

    @property
    def appendix(self) -> dict[str, Any]:
        """What the control system attached to the header."""
        return {"source": "braggstream simulate", "seed": self.seed, **self.label}

    @property
    def energy(self) -> float:
        """Photon energy in eV."""
        return 12398.419843320026 / self.wavelength


class Encoder(Protocol):
    """Messages of one series; each is a list of parts."""

    def start(self) -> list[bytes]:
        """The series begins."""
        ...

    def image(self, frame: int, pixels: Pixels, appendix: Mapping[str, Any]) -> list[bytes]:
        """One exposure; `frame` counts from 0."""
        ...

    def end(self) -> list[bytes]:
        """The series is over."""
        ...


def to_json(content: Mapping[str, Any]) -> bytes:
    """A JSON part."""
    return json.dumps(content, separators=(",", ":")).encode()
