"""What the control system attached to a message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stream.core.errors import MessageError
from stream.core.wire.header import parse_json

Appendix = Mapping[str, Any] | str | bytes


def parse_appendix(raw: Mapping[str, Any] | str | bytes | memoryview) -> Appendix:
    """A mapping as it is, text or bytes as the JSON object they hold, or else unchanged.

    Control systems attach JSON as text, as bytes or as a CBOR map; anything else, and more than a header may hold,
    is theirs to understand.
    """
    if isinstance(raw, Mapping):
        return raw
    opaque = raw if isinstance(raw, str) else bytes(raw)
    try:
        parsed = parse_json(opaque.encode() if isinstance(opaque, str) else opaque, "appendix")
    except MessageError:
        return opaque
    return parsed if isinstance(parsed, dict) else opaque
