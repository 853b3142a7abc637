"""The app: guard, routes and page put together, and the server that runs it."""

from __future__ import annotations

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, Response
from fastapi.staticfiles import StaticFiles

from stream import __version__
from stream.core.config import Config
from stream.core.errors import BraggstreamError, UsageError
from stream.core.rundir import RunDirectory
from stream.dashboard import control, geometry, health, live, metrics, reflections, scans, summary, voxels
from stream.dashboard.answers import REFUSALS, Json
from stream.dashboard.beside import RunsBeside
from stream.dashboard.colours import STATIC
from stream.dashboard.guard import Guard
from stream.dashboard.view import RunView
from stream.dashboard.voxels import FitVoxel
from stream.publish.connections import Connection

SHUTDOWN = 1
"""Seconds that open connections have at the end."""
LONGEST = 200
"""Characters of a value that a sentence repeats."""


def create_app(directory: RunDirectory, config: Config, key: str, fit_voxel: FitVoxel | None = None) -> FastAPI:
    """The app of one run.

    Parameters
    ----------
    key
        the key of everything that changes something, and of reads where the bind is not loopback.
    fit_voxel
        fits the pattern of the voxel asked for; without it the answer's `fit` is null.

    Raises
    ------
    UsageError
        for an empty key, which would let everybody in.
    """
    if not key:
        raise UsageError("the key of the HTTP interface is empty")
    # the interactive documentation of FastAPI loads from elsewhere, so only the schema is served
    app = FastAPI(title="braggstream", version=__version__, docs_url=None, redoc_url=None, responses=REFUSALS)
    app.state.view = RunView(directory, config)
    app.state.news = live.News(app.state.view)
    app.state.beside = RunsBeside(directory)
    app.state.fit_voxel = fit_voxel
    for part in (scans, voxels, geometry, reflections, summary, control, live, health, metrics):
        app.include_router(part.router)
    app.add_api_route("/", _page, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(BraggstreamError, _not_readable)
    app.add_middleware(Guard, key=key, host=config.dashboard.host, loopback=config.dashboard.loopback)
    return app


def create_server(
    directory: RunDirectory, config: Config, key: str, fit_voxel: FitVoxel | None = None
) -> uvicorn.Server:
    """The server of one run, not started; `should_exit = True` ends it."""
    settings = uvicorn.Config(
        create_app(directory, config, key, fit_voxel),
        host=config.dashboard.host,
        port=config.dashboard.port,
        http=Connection,
        ws="websockets-sansio",
        ws_max_size=65536,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN,
    )
    return uvicorn.Server(settings)


def _page() -> Response:
    return FileResponse(STATIC / "index.html", media_type="text/html; charset=utf-8")


def _not_valid(_: Request, error: Exception) -> Response:
    """422 with the first thing wrong as a sentence that names key and value."""
    errors = error.errors() if isinstance(error, RequestValidationError) else []
    first = errors[0]
    if first["type"] == "json_invalid":
        return Json({"detail": f"the body is not valid JSON: {first['ctx']['error']}"}, status_code=422)
    key = ".".join(str(part) for part in first["loc"][1:]) or "the body"
    message = first["msg"].removeprefix("Value error, ")
    given = first.get("input")
    value = f" is {given!r:.{LONGEST}}" if isinstance(given, str | int | float) else ""
    return Json({"detail": f"{key}{value}: {message[0].lower()}{message[1:]}"}, status_code=422)


def _not_readable(_: Request, error: Exception) -> Response:
    return Json({"detail": str(error)}, status_code=503)
