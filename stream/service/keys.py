"""Keys: from the environment or a file, or made at start; never in the config that is stored, a log or a URL's path."""

from __future__ import annotations

import hashlib
import os
import secrets
from html import escape
from pathlib import Path

from stream.core.config import Config
from stream.core.errors import ConfigError
from stream.core.keys import read_key
from stream.core.rundir import RunDirectory


def configured_key(place: str, name: str) -> str | None:
    """The key at a place of the config, None where it is a variable that is not set.

    Raises
    ------
    ConfigError
        where the file cannot be read, or the key is one that no HTTP header can carry.
    """
    key = read_key(place, name)
    if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
        raise ConfigError(f"{name} is {place!r}: the key there must be of ASCII characters without spaces")
    return key


def users_key(config: Config) -> str | None:
    """The user's own key of the page, None where there is none and none is needed.

    Raises
    ------
    ConfigError
        on a bind other than loopback without a key.
    """
    key = configured_key(config.dashboard.api_key, "dashboard.api_key")
    if key is None and not config.dashboard.loopback:
        place = config.dashboard.api_key.removeprefix("env:")
        raise ConfigError(f"dashboard.host is {config.dashboard.host!r}, which others can reach: set a key in {place}")
    return key


def dashboard_key(config: Config, directory: RunDirectory) -> str:
    """The key of the page: the user's own, else the one that the run has had, else a new one."""
    before = directory.key.read_text() if directory.key.exists() else ""
    return users_key(config) or before or secrets.token_hex(24)


def store_key(key: str, directory: RunDirectory) -> None:
    """Keep the key in DIR/key with mode 0600, for the processes of the run."""
    write_private(directory.key, key)


def write_private(path: Path, text: str) -> None:
    """A file that only this user reads; one that is there may be a link, or open to others, and is replaced."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def write_opener(address: str, path: Path) -> None:
    """A private page that leads a browser to `address`, whose key would else be on a command line that all can read."""
    link = escape(address)
    refresh = f'<meta http-equiv="refresh" content="0; url={link}">'
    write_private(path, f'<!doctype html><meta charset="utf-8">{refresh}<a href="{link}">the page</a>')


def facility_key(config: Config) -> str | None:
    """The key that writes to the facility's Tiled, None where Tiled is the run's own.

    Raises
    ------
    ConfigError
        where there is none: no Tiled lets anybody write without.
    """
    key = configured_key(config.publish.api_key, "publish.api_key")
    if config.publish.tiled == "embedded":
        return None
    if key is None:
        place = config.publish.api_key.removeprefix("env:")
        raise ConfigError(f"publish.tiled is {config.publish.tiled!r}, which needs a key to write: set it in {place}")
    return key


def tiled_key(config: Config, directory: RunDirectory) -> str:
    """The key that writes to Tiled: the facility's, else one of the run's own.

    Tiled takes letters and digits only, so the run's own is a hash of DIR/key.
    """
    return facility_key(config) or hashlib.sha256(b"tiled:" + directory.key.read_bytes()).hexdigest()
