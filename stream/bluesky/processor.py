"""The processor as a device: a scan waits until it is ready, and reads how good its maps are by now."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
from bluesky.protocols import StreamAsset
from event_model import DataKey, compose_stream_resource
from ophyd_async.core import (
    DEFAULT_TIMEOUT,
    AsyncStatus,
    SignalR,
    StandardReadable,
    StandardReadableFormat,
    soft_signal_r_and_setter,
)

from stream.bluesky.page import Page
from stream.bluesky.settling import Settling

POLL = 0.25
NEXT_RUN = 600.0  # seconds that the final maps of the run before may take
READY = frozenset({"waiting", "acquiring"})
DONE = frozenset({"complete", "incomplete", "aborted", "failed"})
QUALITY: dict[str, str] = {
    "frames": "frames integrated",
    "missing": "frames missing",
    "used": "frames that the maps know",
    "residual": "relative residual of the reconstruction",
    "class_change": "share of voxels whose class changed since the map before",
    "settled": "share of its voxels that every class is sure to keep until all frames are there",
    "strain": "median strain",
    "strain_error": "median of its standard errors",
    "coverage": "mean share of the rays through a voxel that were measured",
}


class Processor(StandardReadable):
    """Reads the live quality of the run at `url`; flown, it ends with the run's final maps.

    Staged and prepared it waits until the run takes frames. Complete means that the final maps are stored; its
    documents then point at their arrays in Tiled. phase names the strain map, at the slice whose maps are looked at; it
    may be set anew before a reading.
    """

    def __init__(self, url: str, phase: str = "", at: int = 0, name: str = "processor") -> None:
        self.page, self.phase, self.at = Page(url.partition("#")[0].rstrip("/")), phase, at
        self._settling: defaultdict[int, Settling] = defaultdict(Settling)  # by slice
        self._looked_at = ["class_index", "coverage", *([f"strain_{phase}", f"strain_error_{phase}"] if phase else [])]
        self._told = False
        self._final: tuple[dict[str, Any], list[str]] | None = None  # status and names of maps of a run that is over
        self._set = {}
        with self.add_children_as_readables(StandardReadableFormat.HINTED_SIGNAL):
            for quantity in QUALITY:
                signal, self._set[quantity] = soft_signal_r_and_setter(float, float("nan"))
                setattr(self, quantity, signal)
        super().__init__(name=name)

    def signal(self, quantity: str) -> SignalR[float]:
        """The signal of one of QUALITY."""
        found: SignalR[float] = getattr(self, quantity)
        return found

    @AsyncStatus.wrap
    async def stage(self) -> None:
        """Wait until the run takes frames."""
        await self._until(READY | DONE, DEFAULT_TIMEOUT)

    @AsyncStatus.wrap
    async def unstage(self) -> None:
        """Nothing is held."""

    @AsyncStatus.wrap
    async def prepare(self, value: Any = None) -> None:
        """As `stage`; a detector may start behind it."""
        await self._until(READY, DEFAULT_TIMEOUT)

    @AsyncStatus.wrap
    async def set(self, plan: str) -> None:
        """Wait until the run of this plan, by its ``xrdct.plan``, takes frames: the one before may still be there."""
        await self._until(READY, NEXT_RUN, plan)

    @AsyncStatus.wrap
    async def trigger(self) -> None:
        """Ask how things stand; a processor that is away leaves what was read last."""
        try:
            for quantity, value in (await self.quality()).items():
                self._set[quantity](value)
        except httpx.HTTPError:
            return

    @AsyncStatus.wrap
    async def kickoff(self) -> None:
        """Frames may come."""
        self._told, self._final = False, None

    @AsyncStatus.wrap
    async def complete(self) -> None:
        """The final maps are stored; what is to be told of them is asked for at once, for a page may go then."""
        await self._until(DONE, None)
        status = await self.page.status()
        self._final = status, await self.page.maps(str(status["scan"]))

    async def quality(self) -> dict[str, float]:
        """QUALITY as it is now, NaN where nothing is known."""
        status = await self.page.status()
        scan, frames = str(status["scan"]), status["frames"]
        residual = status.get("residual")
        maps = {name: await self.page.map(scan, name, self.at) for name in self._looked_at}
        classes, coverage = maps["class_index"], maps["coverage"]
        used, settling = int(status.get("frames_used") or 0), self._settling[self.at]
        settling.take(used, classes)
        return {
            "frames": float(frames["integrated"]),
            "missing": float(frames["missing"]),
            "residual": float("nan") if residual is None else float(residual),
            "used": float(used),
            "class_change": settling.changed(),
            "settled": settling.settled(int(frames["expected"])),
            "strain": _median(maps.get(f"strain_{self.phase}")),
            "strain_error": _median(maps.get(f"strain_error_{self.phase}")),
            "coverage": float("nan") if coverage is None else float(np.nanmean(coverage)),
        }

    async def describe_collect(self) -> dict[str, DataKey]:
        """The maps it looks at, as a finished run leaves them in Tiled, each (slice, y, x); none before `complete`."""
        if self._final is None:
            return {}
        status, names = self._final
        shape: list[int | None] = [len(status["grid"][axis]) for axis in ("slices", "y", "x")]
        return {
            f"{self.name}-{name}": DataKey(
                source=f"braggstream://{status['scan']}/maps/{name}", dtype="array", shape=shape, external="STREAM:"
            )
            for name in names
            if name in self._looked_at
        }

    async def get_index(self) -> int:
        """One set of maps, once the run is over."""
        return int(self._final is not None)

    async def collect_asset_docs(self, index: int | None = None) -> AsyncIterator[StreamAsset]:
        """Where the final maps are: one resource an array."""
        if self._told or self._final is None:
            return
        self._told, (status, _) = True, self._final
        for key in await self.describe_collect():
            name = key.removeprefix(f"{self.name}-")
            uri = f"{self.page.tiled(status)}/api/v1/array/full/{status['scan']}/maps/{name}"
            bundle = compose_stream_resource(
                mimetype="application/octet-stream", uri=uri, data_key=key, parameters={"revision": status["revision"]}
            )
            yield "stream_resource", bundle.stream_resource_doc
            descriptor: Any = {"uid": ""}
            yield "stream_datum", bundle.compose_stream_datum({"start": 0, "stop": 1}, descriptor=descriptor)

    async def _until(self, states: frozenset[str], timeout: float | None, plan: str | None = None) -> None:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            try:
                status = await self.page.status()
                told = (status.get("bluesky") or {}).get("xrdct") or {}
                if status["status"] in states and plan in {None, told.get("plan")}:
                    return
            except httpx.HTTPError:
                pass  # it starts, or it starts again
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"the processor at {self.page.url} takes no frames")
            await asyncio.sleep(POLL)


def _median(values: npt.NDArray[Any] | None) -> float:
    known = values[np.isfinite(values)] if values is not None else np.zeros(0)
    return float(np.median(known)) if known.size else float("nan")
