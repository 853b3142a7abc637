"""Whether this machine can do what a run needs."""

from __future__ import annotations

import os
import platform
import re
import resource
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from structlog.testing import capture_logs

from stream.core.config import DashboardConfig
from stream.core.errors import BraggstreamError

JOURNAL = 1_200_000_000
"""Bytes of the journal of a slice of 100,000 patterns of 1000 bins."""
FILES = 1024
"""Open files that libzmq reckons with (ZMQ_MAX_SOCKETS)."""
OPTIONAL = {"cupy-cuda12x": "cuda", "pyopencl": "opencl", "bluesky": "bluesky", "skl2onnx": "train"}
"""Packages and the extra that brings them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at and what was found; sound is None where a run can do without it."""

    what: str
    sound: bool | None
    text: str


def examine(place: Path) -> Iterator[Finding]:
    """One finding after another; runs would be kept at `place`."""
    yield Finding("python", sys.version_info >= (3, 11), f"{platform.python_version()} on {platform.platform()}")
    yield _machine()
    yield _packages()
    yield _kernels()
    yield from _models()
    yield _disk(place)
    yield from _ports()
    yield _limits()
    yield from _optional()


def _machine() -> Finding:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Finding("machine", True, f"{os.cpu_count()} cores, {memory / 1e9:.1f} GB of memory")


def _packages() -> Finding:
    try:
        lines = [line for line in requires("braggstream") or [] if "extra ==" not in line]
    except PackageNotFoundError:
        return Finding("packages", False, "braggstream is not installed: pip install -e .")
    missing = [line for line in lines if not _version(re.split(r"[^A-Za-z0-9._-]", line)[0])]
    if missing:
        return Finding("packages", False, f"missing: {', '.join(missing)}")
    return Finding("packages", True, f"braggstream {version('braggstream')} and the {len(lines)} packages it needs")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _kernels() -> Finding:
    from stream.service.warm import warm

    try:
        with capture_logs():  # of a scan that is nobody's
            seconds = warm()
    except (BraggstreamError, OSError, ImportError) as error:
        return Finding("kernels", False, str(error))
    return Finding("kernels", True, f"a virtual scan went through the whole chain in {seconds:.0f} s")


def _models() -> Iterator[Finding]:
    from stream.analyse.classify.choose import load_classifier
    from stream.analyse.classify.manifest import read_manifest
    from stream.analyse.classify.model import models_folder

    try:
        for entry in read_manifest(models_folder()).models:
            load_classifier(entry.name)
            yield Finding(f"model {entry.name}", True, f"SHA-256 {entry.sha256[:12]}… as in the manifest")
    except BraggstreamError as error:
        yield Finding("models", False, str(error))


def _disk(place: Path) -> Finding:
    there = next(path for path in (place.resolve(), *place.resolve().parents) if path.exists())
    free = shutil.disk_usage(there).free
    text = f"{free / 1e9:.1f} GB free in {there}"
    if not os.access(there, os.W_OK):
        return Finding("disk", False, f"{there} cannot be written")
    enough = free >= JOURNAL
    return Finding("disk", enough, text if enough else f"{text}: a slice's journal takes {JOURNAL / 1e9:.1f} GB")


def _ports() -> Iterator[Finding]:
    from stream.service.addresses import is_free

    page = DashboardConfig()
    for port, name in ((page.port, "dashboard"), (page.port + 1, "tiled")):
        free = is_free(page.host, port)
        text = f"free for {name}" if free else f"in use, by a run? {name} can be given another port in the config"
        yield Finding(f"port {port}", True if free else None, text)


def _limits() -> Finding:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = files == resource.RLIM_INFINITY
    text = f"{'any number of' if unlimited else files} open files"
    enough = unlimited or files >= FILES
    return Finding("limits", enough, text if enough else f"{text}: raise it to {FILES} (ulimit -n)")


def _optional() -> Iterator[Finding]:
    for package, extra in OPTIONAL.items():
        found = _version(package)
        text = found or f"not installed; it comes with braggstream[{extra}]"
        yield Finding(package, True if found else None, text)
