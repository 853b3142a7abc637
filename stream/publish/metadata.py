"""The metadata of a run: what the Tiled container and the page say about it."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import orjson

from stream import __version__
from stream.core.config import Config
from stream.core.files import read_json
from stream.core.lifecycle import Status
from stream.core.revision import Revision
from stream.core.rundir import RunDirectory
from stream.ingest.ledger_reader import LedgerSnapshot

FROM_ANALYSE = (
    "center_um",
    "center_from",
    "iterations",
    "reconstruction_backend",
    "residual",
    "residual_trace",
    "basis",
    "outliers",
    "alignment",
    "frames_used",
    "classes",
    "model",
    "clusters",
    "units",
    "strain",
    "mask_reasons",
    "particles",
    "particle_correlation",
    "absorption",
    "transmission",
    "parallax",
    "parallax_sense",
    "fluorescence",
)
FROM_INGEST = {"recording": "recording_suspended", "back_pressure": "back_pressure", "stolen": "stolen"}
"""What ingest warns of, null or a sentence: the key of its state, and the key in the metadata."""
WARNINGS = ("failure", *FROM_INGEST.values())
"""Keys of what a person must see at once: a sentence, None where all is well."""
LIBRARIES = ("numpy", "numba", "pyFAI", "gemmi", "onnxruntime", "tiled")


def run_metadata(
    config: Config,
    revision: Revision | None,
    snapshot: LedgerSnapshot,
    failure: str | None = None,
    spectra: LedgerSnapshot | None = None,
) -> dict[str, Any]:
    """The container's metadata as plain JSON values (NaN is None), without any key of the config.

    Parameters
    ----------
    revision
        What analyse says, its times in Unix seconds; None before the first revision.
    snapshot
        The ledger, at the same commit or a later one.
    failure
        Why the run's processes cannot go on, as `read_failure` says.
    spectra
        The ledger of the fluorescence stream, where there is one.
    """
    told = dict(revision.metadata) if revision else {}
    plan: dict[str, Any] = snapshot.state.get("bluesky") or {}  # its start document: proposal, sample, motors
    frames = {**snapshot.frames, "no_beam": told.get("no_beam", [])}
    metadata: dict[str, Any] = {
        "status": Status.FAILED if failure else run_status(told.get("status"), snapshot.state["phase"]),
        "revision": revision.number if revision else 0,
        "sample": config.scan.sample,
        "frames": frames,
        "fluorescence_frames": None
        if spectra is None
        else {**spectra.frames, "no_beam": (told.get("fluorescence") or {}).get("no_beam", [])},
        "failure": failure,
        **{name: snapshot.state.get(key) for key, name in FROM_INGEST.items()},
        "disconnected": bool(snapshot.state.get("disconnected")),
        "notes": snapshot.notes,
        **{key: told.get(key) for key in FROM_ANALYSE},
        "bluesky_uid": plan.get("uid"),
        "bluesky": plan or None,
        "config": public_config(config),
        "software": software(),
        "started": told.get("started", snapshot.state.get("started")),
        "updated": max((t for t in (told.get("updated"), snapshot.state.get("updated")) if t), default=None),
    }
    plain: dict[str, Any] = to_plain(metadata)
    return plain


def read_failure(directory: RunDirectory) -> str | None:
    """Why the run's processes could not go on, None while they can."""
    failure: str | None = (read_json(directory.state) or {}).get("failure")
    return failure


def run_status(told: str | None, phase: str) -> Status:
    """The status that analyse told, moved on where ingest (waiting | acquiring | ended) is ahead of it.

    A final status comes from analyse alone: it says that the final maps are stored.
    """
    status = Status(told or Status.WAITING)
    if status is Status.WAITING and phase != "waiting":
        status = Status.ACQUIRING
    if status is Status.ACQUIRING and phase == "ended":
        status = Status.FINISHING
    return status


def public_config(config: Config) -> dict[str, Any]:
    """The config without the places of the two HTTP keys."""
    values = config.model_dump(mode="json")
    for section in ("publish", "dashboard"):
        del values[section]["api_key"]
    return values


@cache
def software() -> dict[str, str]:
    """Versions of this package and of the libraries that the numbers depend on."""
    versions = {"braggstream": __version__}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def to_plain(values: Any) -> Any:
    """The same in plain JSON values that every Tiled keeps: numpy resolved, NaN and infinity None.

    PostgreSQL refuses a NUL, and gives a number such as 1e300 back as a whole one, which no reader can be sent: the
    first becomes U+FFFD, numbers beyond 64 bits become text.
    """
    return _kept(orjson.loads(orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)))


def _kept(value: Any) -> Any:
    match value:
        case dict():
            return {_kept(key): _kept(each) for key, each in value.items()}
        case list():
            return [_kept(each) for each in value]
        case str():
            return value.replace("\0", "\N{REPLACEMENT CHARACTER}")
        case float() if abs(value) >= 2**63:
            return str(value)
    return value
