"""Files that are never seen half written."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import orjson

from stream.core.errors import StoreError


def replace_file(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a temporary file beside `path` and move it into place.

    Raises
    ------
    StoreError
        where it cannot be written; `path` is then as it was.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.partial")
    try:
        with partial.open("wb") as file:
            write(file)
        partial.replace(path)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


def read_text(path: Path, most: int) -> str:
    """A text file of at most so many bytes.

    Raises
    ------
    OSError
        where it cannot be read.
    ValueError
        where it is larger, or no UTF-8.
    """
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"it is larger than {most} bytes")
    return data.decode()


def write_json(path: Path, value: Any) -> None:
    """Move a JSON file into place; NaN becomes null."""
    data = orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY)
    replace_file(path, lambda file: file.write(data))


def read_json(path: Path) -> Any:
    """What a JSON file holds, None where there is no such file.

    Raises
    ------
    StoreError
        where it holds no JSON.
    """
    try:
        return orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except orjson.JSONDecodeError as error:
        raise StoreError(f"{path} cannot be read: {error}") from error
