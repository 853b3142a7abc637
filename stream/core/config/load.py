"""From a YAML file to a checked config: environment overrides, absolute paths, errors in one sentence."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from stream.core.config.models import Config
from stream.core.config.phases import KINDS
from stream.core.errors import ConfigError
from stream.core.files import read_text, replace_file

PREFIX = "BRAGGSTREAM__"
BUNDLED = ("nmc622", "llnmo", "lnmo-spinel", "rocksalt", "ceo2", "lab6", "si")
LONGEST = 200
"""Characters of a value that an error shows."""
SECRET = re.compile(r"(?i)(api|curve).*key|secret|token|passw")
SECRET_URL = re.compile(r"://[^/]*@|\?")
LARGEST = 4_000_000
"""Bytes of a file: a list of 100,000 angles takes a quarter of it."""


class PlainLoader(yaml.SafeLoader):
    """Without aliases, by which a few lines can stand for any number of values."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Refuse an alias."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "it holds an alias (*name): write out what it stands for")
        node: yaml.Node | None = super().compose_node(parent, index)
        return node


def load_config(
    path: Path | str,
    environment: Mapping[str, str] | None = None,
    *,
    calibrated: bool = True,
    scan: Mapping[str, Any] | None = None,
) -> Config:
    """Read a config file.

    Parameters
    ----------
    path
        The YAML file; paths in it are relative to its folder.
    environment
        Where ``BRAGGSTREAM__SECTION__KEY`` overrides are looked for; the process's own by default.
    calibrated
        False for commands that come before `instrument` is written: the config is read without it.
    scan
        What a plan tells of the scan: keys of the section that the file leaves out.

    Raises
    ------
    ConfigError
        naming the key and the value.
    """
    path = Path(path)
    raw = read_yaml(path)
    override(raw, os.environ if environment is None else environment)
    if not calibrated:
        raw.pop("instrument", None)
    if scan is not None and isinstance(raw.get("scan"), dict):
        raw["scan"] = {**scan, **raw["scan"]}
    return parse_config(raw, path.parent)


def parse_config(raw: Mapping[str, Any], folder: Path) -> Config:
    """Check a config that is already plain values; paths in it are relative to `folder`."""
    try:
        config = Config.model_validate(raw, context=folder.resolve())
    except ValidationError as error:
        raise ConfigError(sentence(error)) from None
    return with_absolute_paths(config, folder.resolve())


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file."""
    try:
        raw = plain_yaml(read_text(path, LARGEST))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: its size, or a date or number in it
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} holds no config: a mapping with the sections scan and detector is needed")
    return raw


def plain_yaml(text: str) -> Any:
    """The values of a YAML text: no tags that make objects, no aliases."""
    return yaml.load(text, PlainLoader)  # noqa: S506 - a SafeLoader


def override(raw: dict[str, Any], environment: Mapping[str, str]) -> None:
    """Put ``BRAGGSTREAM__SECTION__KEY=value`` (values are YAML) into `raw`."""
    for name in sorted(environment):
        if not name.startswith(PREFIX):
            continue
        *sections, key = name[len(PREFIX) :].lower().split("__")
        if not all((*sections, key)):
            raise ConfigError(f"the environment variable {name} names no key of the config")
        place = raw
        for section in sections:
            inner = place.setdefault(section, {})
            if not isinstance(inner, dict):
                raise ConfigError(f"the environment variable {name} names a key inside {section}, which is a value")
            place = inner
        try:
            place[key] = plain_yaml(environment[name])
        except (yaml.YAMLError, ValueError, RecursionError):
            raise ConfigError(
                f"the environment variable {name} is {shown(name, environment[name])}: not YAML"
            ) from None


def sentence(error: ValidationError) -> str:
    """What is wrong, as one sentence that names key and value; an unknown key comes first, since it explains others."""
    found = sorted(error.errors(include_url=False), key=lambda each: each["type"] != "extra_forbidden")[0]
    place = [part for part in found["loc"] if part not in KINDS]
    key = ".".join(map(str, place))
    value = shown(key, found["input"])
    message = found["msg"].removeprefix("Value error, ")
    match found["type"]:
        case "extra_forbidden":
            return f"{key} is not a key of the config (its value is {value})"
        case "missing" if isinstance(place[-1], str):
            return f"{key} is missing from the config"
        case "missing":
            return f"{'.'.join(map(str, place[:-1]))} is {value}: it has too few values"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"{key} is {value}: a section with keys of its own is needed"
        case "value_error" if isinstance(found["input"], dict):
            return f"{key}: {message}" if key else message
    return f"{key} is {value}: {message[0].lower()}{message[1:]}"


def shown(key: str, value: object) -> str:
    """A value as an error shows it: at most so long, and never what may be a key."""
    text = repr(value)
    return "not shown" if SECRET.search(key) or SECRET_URL.search(text) else text[:LONGEST]


def with_absolute_paths(config: Config, folder: Path) -> Config:
    """The same config with every path absolute, each file found to exist."""

    def absolute(key: str, path: Path) -> Path:
        full = path if path.is_absolute() else folder / path
        if not full.is_file():
            raise ConfigError(f"{key} is {str(path)!r}: there is no such file")
        return full

    detector: dict[str, Any] = {"geometry": absolute("detector.geometry", config.detector.geometry)}
    if config.detector.mask is not None:
        detector["mask"] = absolute("detector.mask", config.detector.mask)
    changes: dict[str, Any] = {"detector": config.detector.model_copy(update=detector)}
    background = config.integration.background
    if background is not None:
        file = absolute("integration.background", background.file)
        changes["integration"] = config.integration.model_copy(
            update={"background": background.model_copy(update={"file": file})}
        )
    if config.instrument is not None:
        changes["instrument"] = absolute("instrument", config.instrument)
    model = config.classification.model
    if model not in {None, "auto", "ensemble"} and (folder / str(model)).is_dir():
        changes["classification"] = config.classification.model_copy(update={"model": str(folder / str(model))})
    phases = []
    for i, phase in enumerate(config.phases):
        cif = getattr(phase, "cif", None)
        if cif is not None and cif not in BUNDLED:
            phase = phase.model_copy(update={"cif": str(absolute(f"phases.{i}.cif", Path(cif)))})
        phases.append(phase)
    return config.model_copy(update={**changes, "phases": phases})


def write_resolved(config: Config, path: Path) -> None:
    """Write the config with every default and absolute path."""
    # as ASCII: what PyYAML writes as Unicode it does not always read back (a next-line character is folded)
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    replace_file(path, lambda file: file.write(text.encode()))


def read_resolved(path: Path) -> Config:
    """Read what `write_resolved` wrote; the environment has no say."""
    return parse_config(read_yaml(path), path.parent)
