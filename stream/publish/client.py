"""One scan in a Tiled server, as its writer sees it."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt

from stream.core.lifecycle import Status
from stream.publish.tree import Node

os.environ["TILED_RETRY_ATTEMPTS"] = "1"  # read at import: our own loop tries again, with the newest state

from tiled.client import from_uri
from tiled.structures.array import ArrayStructure, BuiltinDtype
from tiled.structures.core import Spec, StructureFamily
from tiled.structures.data_source import Asset, DataSource, Management

SPEC = "XRDCT"
TIMEOUT = httpx.Timeout(15.0, connect=2.0)
HDF5 = "application/x-hdf5"


def attach(url: str, key: str | None, name: str, run: str, *, embedded: bool) -> TiledScan:
    """The container of this run, found again or made.

    A container that bears the name but another run's id is left alone: the run then takes name-2, name-3, …
    The embedded Tiled belongs to one run directory, so there the name is enough.

    Raises
    ------
    httpx.HTTPError
        when the server is not there, or refuses; when what answers is no Tiled, such as a proxy's page.
    """
    try:
        root = from_uri(url, api_key=key or None, timeout=TIMEOUT, show_progress=False, trust_env=not embedded)
    except ValueError as error:
        raise httpx.DecodingError(f"what answers there is no Tiled: {error}") from error
    n = 1
    while True:
        path = name if n == 1 else f"{name}-{n}"
        try:
            container = root[path]
        except KeyError:
            container = root.create_container(
                path, metadata={"run": run, "status": Status.WAITING.value, "revision": 0}, specs=[Spec(SPEC)]
            )
        if embedded or container.metadata.get("run") == run:
            return TiledScan(container, path)
        n += 1


@dataclass(slots=True)
class TiledScan:
    """The container of a scan; remembers what the server acknowledged, and does not send it again."""

    container: Any
    name: str
    _folders: dict[str, Any] = field(default_factory=dict)
    _listed: dict[str, set[str]] = field(default_factory=dict)
    _arrays: dict[str, Any] = field(default_factory=dict)
    _sums: dict[str, list[int]] = field(default_factory=dict)
    _metadata: dict[str, dict[str, Any]] = field(default_factory=dict)

    def close(self) -> None:
        """Give the connection back."""
        self.container.context.close()

    @property
    def status(self) -> Status:
        """The status that readers see."""
        return Status(self.metadata("")["status"])

    def metadata(self, path: str) -> dict[str, Any]:
        """The metadata of the array at `path`, or of the container for an empty path."""
        if path not in self._metadata:
            self._metadata[path] = dict((self._arrays[path] if path else self.container).metadata)
        return self._metadata[path]

    def set_metadata(self, path: str, values: dict[str, Any]) -> None:
        """Replace these keys, plain JSON values, where they differ; no earlier version is kept."""
        known = self.metadata(path)
        changed = {key: value for key, value in values.items() if key not in known or known[key] != value}
        if changed:
            patch = [{"op": "add", "path": f"/{key}", "value": value} for key, value in changed.items()]
            node = self._arrays[path] if path else self.container
            node.patch_metadata(metadata_patch=patch, drop_revision=True)
            known.update(changed)

    def paths(self, folder: str) -> list[str]:
        """Paths of the arrays that lie in a folder."""
        return [f"{folder}/{key}" for key in self._keys(folder)]

    def ensure(self, node: Node) -> Any:
        """The array, created where it is missing."""
        if node.path not in self._arrays:
            folder, _, key = node.path.rpartition("/")
            parent, keys = self._folder(folder), self._keys(folder)
            if key in keys:
                self._arrays[node.path] = parent[key]
            else:
                source = DataSource(structure_family=StructureFamily.array, structure=_structure(node))
                self._arrays[node.path] = parent.new(StructureFamily.array, [source], key=key, metadata=node.metadata)
                keys.add(key)
        return self._arrays[node.path]

    def write(self, node: Node, array: npt.NDArray[Any]) -> None:
        """Write an array in one request; of one that is chunked by slice from the first to the last that changed."""
        client = self.ensure(node)
        data = np.ascontiguousarray(array, dtype=node.dtype)
        blocks = len(node.chunks[0])
        sums = [zlib.crc32(block.data) for block in np.split(data, blocks)]
        known = self._sums.get(node.path, [-1] * blocks)
        changed = [i for i in range(blocks) if sums[i] != known[i]]
        if len(changed) == blocks:
            client.write(data)
        elif changed:
            first, last = changed[0], changed[-1] + 1
            client.patch(data[first:last], (first,) + (0,) * (data.ndim - 1))
        self._sums[node.path] = sums

    def blank(self, path: str) -> None:
        """Mask every value of an array that is there: NaN, or -1 in whole numbers."""
        folder, _, key = path.rpartition("/")
        if path not in self._arrays:
            self._arrays[path] = self._folder(folder)[key]
        client = self._arrays[path]
        node = Node(path=path, shape=client.shape, dtype=client.dtype, chunks=client.chunks, dims=client.dims)
        self.write(node, np.full(node.shape, np.nan if node.dtype.kind == "f" else -1, dtype=node.dtype))

    def write_block(self, node: Node, block: tuple[int, ...], data: npt.NDArray[Any]) -> None:
        """Write one chunk."""
        self.ensure(node).write_block(np.ascontiguousarray(data, dtype=node.dtype), block)

    def patch(self, node: Node, offset: tuple[int, ...], data: npt.NDArray[Any]) -> None:
        """Write a part of an array, from `offset` on."""
        self.ensure(node).patch(np.ascontiguousarray(data, dtype=node.dtype), offset)

    def register(self, node: Node, file: Path, dataset: str, *, growing: bool = False) -> None:
        """Let the server read an array in place, from a dataset of an HDF5 file on its own disk.

        growing says that the file is still being written. One that is registered with another shape is replaced.
        """
        folder, _, key = node.path.rpartition("/")
        parent, keys = self._folder(folder), self._keys(folder)
        if key in keys:
            if parent[key].shape == node.shape:
                return
            parent[key].delete()
            keys.discard(key)
        source = DataSource(
            structure_family=StructureFamily.array,
            structure=_structure(node),
            mimetype=HDF5,
            parameters={"dataset": dataset} | ({"swmr": True} if growing else {}),
            assets=[_asset(file)],
            management=Management.external,
        )
        parent.new(StructureFamily.array, [source], key=key, metadata=node.metadata)
        keys.add(key)

    def register_file(self, key: str, file: Path) -> None:
        """Let the server read all of an HDF5 file on its own disk in place, as a container."""
        if key in self._keys(""):
            return
        source = DataSource(
            structure_family=StructureFamily.container,
            structure=None,
            mimetype=HDF5,
            assets=[_asset(file)],
            management=Management.external,
        )
        self.container.new(StructureFamily.container, [source], key=key)
        self._keys("").add(key)

    def _folder(self, name: str) -> Any:
        if not name:
            return self.container
        if name not in self._folders:
            if name in self._keys(""):
                self._folders[name] = self.container[name]
            else:
                self._folders[name] = self.container.create_container(name)
                self._keys("").add(name)
        return self._folders[name]

    def _keys(self, folder: str) -> set[str]:
        if folder not in self._listed:
            self._listed[folder] = set(self._folder(folder))
        return self._listed[folder]


def _asset(file: Path) -> Asset:
    return Asset(data_uri=file.as_uri(), is_directory=False, parameter="data_uris", num=0)


def _structure(node: Node) -> ArrayStructure:
    return ArrayStructure(
        data_type=BuiltinDtype.from_numpy_dtype(node.dtype), chunks=node.chunks, shape=node.shape, dims=node.dims
    )
