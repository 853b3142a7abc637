"""Where the keys of a run can be found; they should be nowhere but in its own file."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import httpx
from helpers.chain import Command, Site

from stream.core.rundir import RunDirectory
from stream.service.keys import tiled_key

MARKED = "k3y-that-nobody-may-find"


def leaks_of(site: Site, command: Command) -> list[str]:
    """Names of what holds the page's key or Tiled's while a run is served: answers, command lines, what it said, files.

    The printed link and DIR/key are where the key is meant to be.
    """
    directory = RunDirectory(site.folder / "run")
    assert directory.key.read_text() == MARKED
    tiled = tiled_key(directory.read_config(), directory)
    marks = [MARKED.encode(), b64encode(MARKED.encode())[:-4], tiled.encode()]
    held: dict[str, bytes] = {}
    for port, paths in {
        site.page: ("/", "/api/v1/status", "/api/v1/scans", "/metrics", "/readyz", "/openapi.json"),
        site.tiled: ("/", "/api/v1/", "/api/v1/metadata/tiny?include_data_sources=true", "/api/v1/search/tiny"),
    }.items():
        for path in paths:
            answer = httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False, timeout=60)
            held[f"{port}{path}"] = answer.content + str(answer.headers).encode()
    for name, pid in {"supervisor": command.process.pid, **command.children()}.items():
        held[f"command line of {name}"] = Path(f"/proc/{pid}/cmdline").read_bytes()
    held["what it said"] = f"{command.out}{command.err}".replace(f"#key={MARKED}", "").encode()
    found = [name for name, content in held.items() if any(mark in content for mark in marks)]
    files = [path for path in directory.path.rglob("*") if path.is_file() and path != directory.key]
    assert {"config.yaml", "results.nxs", "ledger.sqlite", "publish.log"} <= {path.name for path in files}
    return found + [str(path) for path in files if any(mark in path.read_bytes() for mark in marks)]
