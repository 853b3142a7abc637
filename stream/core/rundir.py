"""The run directory: where everything of a run lies, and the seam between the processes.

::

    config.yaml      the resolved config              written by the supervisor
    format.json      what wrote the directory         written by the supervisor
    lock             held by the process set
    key              of the HTTP interface, 0600
    recording/       raw-0001.h5, ...                 written by ingest
    journal.bin      a slot for each grid point       written by ingest
    ledger.sqlite    what happened to every frame     written by ingest
    fluorescence/    recording, journal, ledger of    written by the ingest of fluorescence
                     the spectra
    frame.npz        the latest frame, reduced        written by ingest
    documents.jsonl  Bluesky's documents              appended by who receives them
    commands/        000001.json, ...                 written by publish, applied in order
    state.json       status of the run                written by analyse
    revision.npz     the newest maps                  written by analyse
    patterns.f4      the normalised patterns          written by analyse
    volume.f4        the live volume                  written by analyse
    models/          what was learnt from labels      written by analyse
    results.nxs      the final result                 written by analyse
    published.json   what Tiled holds                 written by publish
    tiled/           storage of the embedded Tiled
    logs/            a file for each process
    vitals/          how each process does            written by each
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stream import __version__
from stream.core.config import Config, read_resolved, write_resolved
from stream.core.errors import RunDirectoryError
from stream.core.files import read_json, write_json

FORMAT = 2
"""Of what lies in a run directory; it grows when another version of this package would read that wrongly."""
UNTOLD = 1
"""That of a directory without format.json."""


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """Paths of a run."""

    path: Path

    def create(self) -> None:
        """Make the folders."""
        for folder in (self.path, self.recording, self.commands, self.logs):
            folder.mkdir(parents=True, exist_ok=True)

    def read_config(self, oldest: int = FORMAT) -> Config:
        """The resolved config of the run.

        Raises
        ------
        RunDirectoryError
            where the directory holds no run, or one that `check_format` refuses.
        """
        if not self.config.is_file():
            raise RunDirectoryError(f"{self.path} is not a run directory: it has no config.yaml")
        self.check_format(oldest)
        return read_resolved(self.config)

    def write_config(self, config: Config) -> None:
        """Write the resolved config, which makes the directory a run's, after the format."""
        write_json(self.format, {"format": FORMAT, "software": __version__})
        write_resolved(config, self.config)

    def check_format(self, oldest: int = FORMAT) -> None:
        """Refuse what a later version of this package wrote, or one of an earlier format than `oldest`.

        Raises
        ------
        RunDirectoryError
            saying what to do.
        """
        if not self.config.is_file():
            return
        told = read_json(self.format) or {"format": UNTOLD, "software": __version__}
        this = f"this is braggstream {__version__}, of format {FORMAT}"
        if told["format"] > FORMAT:
            raise RunDirectoryError(
                f"{self.path} is of format {told['format']}, written by braggstream {told['software']}, and {this}: "
                "use the later one"
            )
        if told["format"] < oldest:
            raise RunDirectoryError(
                f"{self.path} is of format {told['format']}, and {this}: "
                f"`braggstream replay {self.path}` makes a run of this format from its recording"
            )

    @property
    def config(self) -> Path:
        """The resolved config."""
        return self.path / "config.yaml"

    @property
    def format(self) -> Path:
        """Format of the directory, and the version that wrote it."""
        return self.path / "format.json"

    @property
    def lock(self) -> Path:
        """The lock file."""
        return self.path / "lock"

    @property
    def key(self) -> Path:
        """The key of the HTTP interface."""
        return self.path / "key"

    @property
    def recording(self) -> Path:
        """Folder of the raw recording."""
        return self.path / "recording"

    @property
    def journal(self) -> Path:
        """The pattern journal."""
        return self.path / "journal.bin"

    @property
    def ledger(self) -> Path:
        """The ledger."""
        return self.path / "ledger.sqlite"

    @property
    def fluorescence(self) -> FluorescenceDirectory:
        """What is kept of the fluorescence stream; config, commands and logs are the run's."""
        return FluorescenceDirectory(self.path / "fluorescence")

    @property
    def frame(self) -> Path:
        """The latest frame."""
        return self.path / "frame.npz"

    @property
    def commands(self) -> Path:
        """Folder of the numbered commands."""
        return self.path / "commands"

    @property
    def documents(self) -> Path:
        """Bluesky documents of the run."""
        return self.path / "documents.jsonl"

    @property
    def state(self) -> Path:
        """Status of the run."""
        return self.path / "state.json"

    @property
    def revision(self) -> Path:
        """The newest revision of the maps."""
        return self.path / "revision.npz"

    @property
    def patterns(self) -> Path:
        """Normalised patterns, float32 (slice, angle, position, bin)."""
        return self.path / "patterns.f4"

    @property
    def volume(self) -> Path:
        """Live volume, float32 (slice, y, x, bin)."""
        return self.path / "volume.f4"

    @property
    def models(self) -> Path:
        """Folder of the classifier that a user's labels made."""
        return self.path / "models"

    @property
    def results(self) -> Path:
        """The final result."""
        return self.path / "results.nxs"

    @property
    def published(self) -> Path:
        """Which revision Tiled holds."""
        return self.path / "published.json"

    @property
    def tiled(self) -> Path:
        """Storage of the embedded Tiled."""
        return self.path / "tiled"

    @property
    def logs(self) -> Path:
        """Folder of the logs."""
        return self.path / "logs"

    @property
    def vitals(self) -> Path:
        """Folder of what each process tells of itself."""
        return self.path / "vitals"


class FluorescenceDirectory(RunDirectory):
    """The part of a run directory that belongs to the fluorescence stream."""

    __slots__ = ()

    @property
    def config(self) -> Path:
        """The run's."""
        return RunDirectory(self.path.parent).config

    @property
    def format(self) -> Path:
        """The run's."""
        return RunDirectory(self.path.parent).format

    @property
    def commands(self) -> Path:
        """The run's."""
        return RunDirectory(self.path.parent).commands

    @property
    def logs(self) -> Path:
        """The run's."""
        return RunDirectory(self.path.parent).logs

    @property
    def vitals(self) -> Path:
        """The run's."""
        return RunDirectory(self.path.parent).vitals

    @property
    def spectra(self) -> Path:
        """Spectra in the channels of the elements' lines, float32 (slice, angle, position, channel)."""
        return self.path / "spectra.f4"
