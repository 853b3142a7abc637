"""Keys: a config names the place of one, `env:NAME` or `file:PATH`, so that none is stored in a config or a result."""

from __future__ import annotations

import os
import re
from pathlib import Path

from stream.core.errors import ConfigError
from stream.core.files import read_text

LARGEST = 10_000
"""Bytes of a file that holds a key."""
Z85 = r"[0-9A-Za-z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}"


def read_key(place: str, name: str) -> str | None:
    """The text at a place, without white space about it; None where the variable is unset or empty.

    Parameters
    ----------
    name
        of the place in the config, for the error.

    Raises
    ------
    ConfigError
        where the file cannot be read, or holds nothing or far too much.
    """
    kind, _, where = place.partition(":")
    if kind == "env":
        return os.environ.get(where, "").strip() or None
    try:
        text = read_text(Path(where), LARGEST).strip()
    except OSError as error:
        raise ConfigError(f"{name}: the file {where} cannot be read: {error.strerror}") from None
    except ValueError:  # whose text may hold a part of it
        raise ConfigError(f"{name}: the file {where} holds no key: it is too large, or no text") from None
    if not text:
        raise ConfigError(f"{name}: the file {where} is empty")
    return text


def curve_key(place: str, name: str, kind: str) -> bytes:
    """A CURVE key of ZeroMQ: 40 characters of Z85, or the `kind` (public, secret) of a certificate of pyzmq's.

    Raises
    ------
    ConfigError
        where there is none.
    """
    text = read_key(place, name)
    if text is None:
        raise ConfigError(f"{name} is {place!r}: there is no such variable, or it is empty")
    found = re.search(rf'^\s*{kind}-key\s*=\s*"({Z85})"', text, re.MULTILINE) or re.fullmatch(f"({Z85})", text)
    if found is None:
        raise ConfigError(f"{name} is {place!r}: there is no {kind} key of 40 characters in Z85")
    return found[1].encode()
