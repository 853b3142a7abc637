"""What the embedded Tiled keeps its arrays, its catalog and its stream messages in."""

from __future__ import annotations

import asyncio
import copy
import io
import warnings
from pathlib import Path
from typing import Any

import cachetools
import hdf5plugin  # noqa: F401  its filters are those of the recording
import numpy as np
import numpy.typing as npt
import zarr
from PIL import Image
from sqlalchemy.ext.asyncio import create_async_engine
from tiled.adapters.zarr import ZarrArrayAdapter
from tiled.alembic_utils import stamp_head
from tiled.catalog.adapter import STORAGE_ADAPTERS_BY_MIMETYPE, ZARR_MIMETYPE
from tiled.catalog.alembic_constants import ALEMBIC_DIR, ALEMBIC_INI_TEMPLATE_PATH
from tiled.catalog.core import initialize_database
from tiled.media_type_registration import default_serialization_registry
from tiled.server.streaming import TTLCacheDatastore, register_datastore
from tiled.structures.data_source import Asset
from tiled.utils import UnsupportedShape, path_from_uri

STREAM = {"datastore": "bounded", "bytes": 256 * 1024 * 1024, "data_ttl": 30, "maxsize": 1000, "seq_ttl": 86400}


def initialise_catalog(database: Path) -> None:
    """Create the catalog's database in this process: Tiled itself starts another one for it, which takes 4 s.

    It is made aside and moved into place, so that a catalog is never found half made.
    """
    partial = database.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    uri = f"sqlite+aiosqlite:///{partial}"

    async def create() -> None:
        engine = create_async_engine(uri)
        try:
            await initialize_database(engine)
        finally:
            await engine.dispose()

    asyncio.run(create())
    stamp_head(ALEMBIC_INI_TEMPLATE_PATH, ALEMBIC_DIR, uri)
    partial.replace(database)


class NanFilledZarr(ZarrArrayAdapter):  # type: ignore[misc]
    """Zarr storage in which a value that was never written is NaN, -1 in whole numbers.

    A directory that a killed server left behind is written over; Tiled's own adapter would refuse it for ever.
    """

    @classmethod
    def init_storage(cls, storage: Any, data_source: Any, path_parts: list[str]) -> Any:
        """Create the array's directory and name it in the data source."""
        source = copy.deepcopy(data_source)
        folder = path_from_uri(storage.uri).joinpath(*path_parts)
        dtype = source.structure.data_type.to_numpy_dtype()
        zarr.create_array(
            folder,
            # zarr wants equal chunks; what juts out is never read
            shape=tuple(lengths[0] * len(lengths) for lengths in source.structure.chunks),
            chunks=tuple(lengths[0] for lengths in source.structure.chunks),
            dtype=dtype,
            fill_value=np.nan if dtype.kind == "f" else -1,
            compressors=None,  # most chunks are written anew every second
            overwrite=True,
        )
        source.assets.append(Asset(data_uri=folder.as_uri(), is_directory=True, parameter="data_uri"))
        return source


@register_datastore("bounded")
class BoundedStream(TTLCacheDatastore):  # type: ignore[misc]
    """Tiled's stream messages in memory, bounded in bytes; Tiled itself counts messages, whatever their size."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__(settings)
        self._limit = settings["bytes"]
        self._data_cache: Any = cachetools.TTLCache(self._limit, settings["data_ttl"], getsizeof=_size)

    async def set(self, node_id: str, sequence: int, metadata: Any, payload: bytes | None = None) -> None:
        """Keep a message for its subscribers; one that is larger than the bound reaches none."""
        if payload is None or len(payload) < self._limit:
            await super().set(node_id, sequence, metadata, payload)


def _size(message: dict[str, Any]) -> int:
    return len(message.get("payload", b"")) + 1


def to_png(mimetype: str, array: npt.NDArray[Any], metadata: Any) -> bytes:
    """A gray image from the 1st to the 99th percentile of the finite values; what is not finite is transparent.

    Tiled's own serializer draws an image with any NaN in black.
    """
    image = np.squeeze(array).astype(np.float64)
    if image.ndim != 2:
        raise UnsupportedShape(array.shape)
    finite = np.isfinite(image)
    low, high = np.percentile(image[finite], (1, 99)) if finite.any() else (0.0, 1.0)
    gray = np.clip((np.where(finite, image, low) - low) / (high - low or 1.0), 0, 1)
    file = io.BytesIO()
    Image.fromarray(np.stack([np.rint(gray * 255), finite * 255.0], axis=-1).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def install() -> None:
    """Put the above in the place of Tiled's own, in this process, which also reads compressed recordings."""
    warnings.filterwarnings("ignore", "The dataset .* is of object type", UserWarning)  # said of each string it reads
    STORAGE_ADAPTERS_BY_MIMETYPE.set(ZARR_MIMETYPE, lambda: NanFilledZarr)
    default_serialization_registry.register("array", "image/png", to_png)
