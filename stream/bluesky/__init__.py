"""Bluesky in, Bluesky out: documents to the processor, its live quality as a device, plans that use it.

Only this package imports Bluesky and ophyd-async (the extra ``bluesky``); the forwarder needs neither.
"""

from __future__ import annotations

from stream.bluesky.forwarder import Forwarder

__all__ = ["Forwarder"]
