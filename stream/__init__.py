"""braggstream: a live processor for scanning X-ray diffraction tomography."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("braggstream")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
