"""The exception tree. Each message is one sentence a user understands, with the name and the value in it.

::

    BraggstreamError              exit 1
    ├── UsageError                exit 2   what the user asked for cannot be done
    │   ├── ConfigError                    a key of the config, or a file it names
    │   └── RunDirectoryError              a directory that must not be touched
    ├── ScanIncomplete            exit 3   maps are there, frames are missing
    ├── UnavailableError          exit 4   a needed service, port or device is not there
    ├── MessageError                       a detector message that cannot be used; carries its reason
    ├── StoreError                         journal, ledger or recording cannot be written or trusted
    ├── LifecycleError                     an event that the run's state does not allow
    └── FitError                           data that cannot carry the fit asked of them
"""

from __future__ import annotations

from enum import StrEnum


class Reject(StrEnum):
    """Why an image message was rejected; the value is the ledger's label."""

    NOT_DECODABLE = "not-decodable"
    TRUNCATED = "truncated"
    SIZE = "size"
    SHAPE = "shape"
    DTYPE = "dtype"
    FOREIGN_SERIES = "foreign-series"
    UNKNOWN_TYPE = "unknown-type"
    OFF_GRID = "off-grid"
    BEYOND_GRID = "beyond-grid"


class BraggstreamError(Exception):
    """Root of every error this package raises on purpose."""

    exit_code = 1


class UsageError(BraggstreamError):
    """What the user asked for cannot be done."""

    exit_code = 2


class ConfigError(UsageError):
    """A config key or a file it names is wrong."""


class RunDirectoryError(UsageError):
    """The run directory is busy, finished, or belongs to another scan."""


class ScanIncomplete(BraggstreamError):
    """The scan ended with grid points missing."""

    exit_code = 3


class UnavailableError(BraggstreamError):
    """A needed service, port or device is not there."""

    exit_code = 4


class MessageError(BraggstreamError):
    """A detector message that cannot be used."""

    def __init__(self, reason: Reject, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[MessageError], tuple[Reject, str]]:
        """Carried to another process with its reason."""
        return type(self), (self.reason, str(self))


class StoreError(BraggstreamError):
    """Journal, ledger or recording cannot be written or trusted."""


class LifecycleError(BraggstreamError):
    """An event that the run's present state does not allow."""


class FitError(BraggstreamError):
    """Data that cannot carry the fit asked of them."""
