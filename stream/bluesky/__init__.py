"""Bluesky in, Bluesky out: documents to the processor, its live quality as a device, plans that use it.

Only this package imports Bluesky and ophyd-async (the extra ``bluesky``); the forwarder needs neither.
"""

from __future__ import annotations

from stream.bluesky.forwarder import Forwarder
from stream.core.documents import as_json

__all__ = ["Forwarder", "as_json"]
