"""Runs whose directories lie beside this one's: read for comparing, never changed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from stream.core.rundir import RunDirectory
from stream.dashboard.view import RunView

MARK = "@"
"""Before the name of a directory; no name of a scan holds it."""


@dataclass(slots=True)
class RunsBeside:
    """The directories beside `directory` that hold maps, by `@` and their name."""

    directory: RunDirectory
    _views: dict[str, RunView] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Newest first; none where the folder may not be listed."""
        runs = [run for name in self._neighbours() if (run := self._run(name)) is not None]
        stamped = [(run.revision.stat().st_mtime, run.path.name) for run in runs]
        return [MARK + name for _, name in sorted(stamped, reverse=True)]

    def view(self, name: str) -> RunView | None:
        """The run of that name, None where there is none."""
        directory = name.removeprefix(MARK)
        if not name.startswith(MARK) or directory not in self._neighbours():  # so that no other path can be asked for
            return None
        found = self._run(directory)
        if found is None:
            return None
        if name not in self._views:
            self._views[name] = RunView(found, found.read_config())
        return self._views[name]

    def _neighbours(self) -> list[str]:
        """Names of what lies beside this run's directory."""
        own = self.directory.path.resolve()
        readable = os.access(own.parent, os.R_OK | os.X_OK)
        return [name for name in os.listdir(own.parent) if name != own.name] if readable else []

    def _run(self, name: str) -> RunDirectory | None:
        """The run directory of that name, None where it holds no maps, or a link."""
        run = RunDirectory(self.directory.path.resolve().parent / name)
        return run if run.revision.is_file() and not holds_link(run.path) else None


def holds_link(path: Path) -> bool:
    """True for a link, and for a directory with one in it: it could lead to any file, whose bytes would be numbers."""
    places = (path, *path.glob("*"), *RunDirectory(path).fluorescence.path.glob("*"))
    return any(place.is_symlink() for place in places)
