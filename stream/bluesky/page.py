"""The HTTP interface of a run, as plans and devices ask it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt

TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Page:
    """The page at `url`."""

    url: str

    async def status(self) -> dict[str, Any]:
        """GET /api/v1/status."""
        return dict((await self._get("/api/v1/status")).json())

    async def maps(self, scan: str) -> list[str]:
        """Names of the maps that there are, as arrays in Tiled have them."""
        entries = (await self._get(f"/api/v1/scans/{scan}/maps")).json()["maps"]
        return [str(entry["name"]) for entry in entries if entry["plane"] is None]

    async def map(self, scan: str, name: str, at: int) -> npt.NDArray[Any] | None:
        """A map (y, x) of slice `at`; None where the run has none of this name yet."""
        try:
            answer = await self._get(f"/api/v1/scans/{scan}/maps/{name}?slice={at}&format=npy")
        except httpx.HTTPStatusError:
            return None
        return np.asarray(np.load(io.BytesIO(answer.content), allow_pickle=False))

    def tiled(self, status: dict[str, Any]) -> str:
        """Where Tiled is, by what the run's config says."""
        publish = status["config"]["publish"]
        if publish["tiled"] != "embedded":
            return str(publish["tiled"]).rstrip("/")
        host, _, port = self.url.rpartition(":")
        return f"{host}:{publish['port'] or int(port) + 1}"

    async def _get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.url, timeout=TIMEOUT) as client:
            return (await client.get(path)).raise_for_status()
