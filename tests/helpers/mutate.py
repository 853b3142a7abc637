"""Messages damaged on purpose: in their bytes, in the order of their parts, and in what their headers mean."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from typing import Any

import cbor2

RAW = ["1e999", "-1e999", "NaN", "Infinity", "1" + "0" * 400, "9" * 5000, "-0", "00", "[" * 300 + "]" * 300]
"""JSON text that no value stands for; it travels as the text ``@0``, ``@1``, … until it is written."""

ABSURD = [
    *(None, True, False, 0, 1, -1, 2, 255, 256, 2**31, 2**32, 2**53 + 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64),
    *(-(2**63), 10**30, 0.0, -0.0, 0.5, 1e300, 5e-324, float("nan"), float("inf"), [], {}, [[]], {"a": 1}),
    *([0, 0], [2**31, 2**31], [1 << 20, 1 << 20], [-1, 5], [1, 2, 3], [1.5, 2], [0] * 70),
    *("", "x", "0", "a" * 300, "\0", "µ🌋", "uint8", "uint16", "float64", "complex64", "object"),
    *("<", ">", "lz4<", "bs8-lz4>", "bs16-lz4<", "bs32-lz4<", "bslz4", "lz4", "none", "image", "start", "end"),
    *("header", "series_end", "dimage-1.0", "dheader-1.0", "dseries_end-1.0", "array-1.0", "data"),
    *(f"@{n}" for n in range(len(RAW))),
]

_TAGS = [0, 2, 4, 28, 29, 35, 40, 1040, 64, 65, 69, 70, 76, 85, 87, 258, 55799, 56500, 2**40]
_NUMBER = re.compile(rb'"[-+0-9.e]+"')


def mutated(parts: list[bytes], dice: random.Random) -> list[bytes]:
    """The same message with one to four things wrong with it."""
    parts = list(parts)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 4))):
        if not parts:
            return [dice.randbytes(dice.randrange(40))]
        if dice.random() < 0.04:
            _shuffle(parts, dice)
            continue
        at = dice.randrange(len(parts))
        parts[at] = _mutation_of(parts[at], dice)(parts[at], dice)
    return parts


def _mutation_of(part: bytes, dice: random.Random) -> Callable[[bytes, random.Random], bytes]:
    """Headers are mostly damaged in what they mean; else hardly a mutation would come past the parser."""
    meant = dice.random() < 0.7
    if meant and part[:1] == b"{":
        return _json
    if meant and (part[:3] == b"\xd9\xd9\xf7" or 0xA0 <= (part[:1] or b"\0")[0] < 0xC0):
        return _cbor
    if meant and b"<header>" in part[:80]:
        return _capture
    return _bytes


def _shuffle(parts: list[bytes], dice: random.Random) -> None:
    at = dice.randrange(len(parts))
    match dice.randrange(4):
        case 0:
            del parts[at]
        case 1:
            parts.insert(at, dice.choice(parts))
        case 2:
            dice.shuffle(parts)
        case 3:
            parts[at] = b""


def _bytes(part: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(part) + 1)
    size = dice.choice((1, 1, 2, 4, 8, dice.randrange(64)))
    match dice.randrange(7):
        case 0 if at < len(part):
            return part[:at] + bytes([part[at] ^ 1 << dice.randrange(8)]) + part[at + 1 :]
        case 1:
            return part[:at] + dice.randbytes(size) + part[at + size :]
        case 2:
            return part[:at] + part[at + size :]
        case 3:
            return part[:at] + dice.randbytes(size) + part[at:]
        case 4:
            return part[:at]
        case 5:
            return part[:at] + dice.choice((b"\0", b"\xff", b"\x7f", b"\x80")) * size + part[at + size :]
    return part[:at] + part[dice.randrange(len(part) + 1) :][:200] + part[at:]


def _json(part: bytes, dice: random.Random) -> bytes:
    try:
        value = json.loads(part)
        text = json.dumps(altered(value, dice), ensure_ascii=dice.random() < 0.5)
    except (ValueError, RecursionError):
        return _bytes(part, dice)
    for n, raw in enumerate(RAW):
        text = text.replace(f'"@{n}"', raw)
    return text.encode("utf-8", "surrogatepass")


def _cbor(part: bytes, dice: random.Random) -> bytes:
    try:
        value = cbor2.loads(part, semantic_decoders=_Kept(), max_depth=40)
        return cbor2.dumps(altered(value, dice))
    except (cbor2.CBORError, ValueError, OverflowError, RecursionError, TypeError):
        return _bytes(part, dice)


def _capture(part: bytes, dice: random.Random) -> bytes:
    """A PandABox capture with another number in its header."""
    found = list(_NUMBER.finditer(part, 0, 4000))
    if not found:
        return _bytes(part, dice)
    chosen = dice.choice(found)
    return part[: chosen.start()] + json.dumps(str(dice.choice(ABSURD))).encode() + part[chosen.end() :]


class _Kept(dict[int, Any]):
    """Tags stay tags, also those that cbor2 would make values of."""

    def __missing__(self, tag: int) -> Callable[[Any, bool], Any]:
        return lambda value, _immutable: cbor2.CBORTag(tag, value)


def altered(value: Any, dice: random.Random) -> Any:
    """The value with one thing in it, at any depth, dropped, doubled, renamed or replaced."""
    if isinstance(value, cbor2.CBORTag):
        if dice.random() < 0.15:
            return cbor2.CBORTag(dice.choice(_TAGS), value.value)
        return value.value if dice.random() < 0.05 else cbor2.CBORTag(value.tag, altered(value.value, dice))
    if dice.random() < 0.1 or not value:
        return dice.choice(ABSURD)
    if isinstance(value, dict):
        return _altered_map(dict(value), dice)
    if isinstance(value, list):
        at, new = dice.randrange(len(value)), list(value)
        new[at : at + 1] = [altered(value[at], dice)] * dice.choice((0, 1, 1, 1, 1, 2))
        return new
    if isinstance(value, bytes) and dice.random() < 0.8:
        return _bytes(value, dice)
    return dice.choice(ABSURD)


def _altered_map(value: dict[Any, Any], dice: random.Random) -> dict[Any, Any]:
    key = dice.choice(list(value))
    match dice.randrange(8):
        case 0:
            del value[key]
        case 1:
            value[dice.choice(("a", "", "type", "htype", "frame", "shape"))] = value.pop(key)
        case 2:
            value[key] = dice.choice(list(value.values()))
        case _:
            value[key] = altered(value[key], dice)
    return value
