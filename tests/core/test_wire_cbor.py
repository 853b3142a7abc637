"""The CBOR reader against cbor2, which shares no code with it, and against the examples of RFC 8949."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.core.errors import MessageError, Reject
from stream.core.wire.cbor import read_cbor


class Kept(dict[int, Any]):
    """cbor2 keeps tags as they are."""

    def __missing__(self, tag: int) -> Any:
        return lambda value, _immutable: value if tag == 55799 else cbor2.CBORTag(tag, value)


def peer(data: bytes) -> Any:
    return cbor2.loads(data, semantic_decoders=Kept(), max_depth=32)


def same(ours: Any, theirs: Any) -> bool:
    if isinstance(theirs, cbor2.CBORTag):
        return isinstance(ours, cbor2.CBORTag) and ours.tag == theirs.tag and same(ours.value, theirs.value)
    if isinstance(theirs, dict):
        return isinstance(ours, dict) and list(ours) == list(theirs) and all(same(ours[k], theirs[k]) for k in theirs)
    if isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(theirs, bytes):
        return bytes(ours) == theirs
    if theirs is cbor2.undefined:
        return ours is None
    if isinstance(theirs, float) and math.isnan(theirs):
        return isinstance(ours, float) and math.isnan(ours)
    return type(ours) is type(theirs) and bool(ours == theirs)


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.floats()
    | st.floats(width=16)
    | st.floats(width=32)
    | st.text(max_size=300)
    | st.binary(max_size=300)
)
KEYS = st.text(max_size=30) | st.integers(-(2**64), 2**64 - 1)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=30)
        | st.dictionaries(KEYS, inner, max_size=30)
        | st.builds(cbor2.CBORTag, st.integers(300, 2**64 - 1).filter(lambda tag: tag != 55799), inner)
    ),
    max_leaves=30,
)


@given(VALUES, st.booleans(), st.booleans())
@settings(deadline=None)
def test_any_value(value: Any, canonical: bool, indefinite: bool) -> None:
    sent = cbor2.dumps(value, canonical=canonical, indefinite_containers=indefinite)
    assert same(read_cbor(sent), peer(sent))


@given(st.binary(max_size=40))
@settings(max_examples=1000, deadline=None)
def test_any_bytes_that_are_read_mean_the_same(data: bytes) -> None:
    with suppress(MessageError):
        assert same(read_cbor(data), peer(data))


@given(VALUES, st.floats(0, 1, exclude_max=True))
@settings(deadline=None)
def test_any_cut_is_noticed(value: Any, where: float) -> None:
    sent = cbor2.dumps(value)
    with pytest.raises(MessageError) as caught:
        read_cbor(sent[: int(where * len(sent))])
    assert caught.value.reason == Reject.TRUNCATED


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        ("00", 0), ("17", 23), ("1818", 24), ("1903e8", 1000), ("1bffffffffffffffff", 2**64 - 1), ("20", -1),
        ("3bffffffffffffffff", -(2**64)), ("f90001", 5.960464477539063e-8), ("f97bff", 65504.0), ("fa47c35000", 1e5),
        ("fb3ff199999999999a", 1.1), ("f97c00", math.inf), ("f4", False), ("f5", True), ("f6", None), ("f7", None),
        ("60", ""), ("6449455446", "IETF"), ("62c3bc", "ü"), ("80", []), ("83010203", [1, 2, 3]), ("a0", {}),
        ("a201020304", {1: 2, 3: 4}), ("bf61610161629f0203ffff", {"a": 1, "b": [2, 3]}), ("9fff", []),
        ("9f018202039f0405ffff", [1, [2, 3], [4, 5]]), ("7f657374726561646d696e67ff", "streaming"),
        ("d9d9f701", 1),
    ],
)  # fmt: skip
def test_examples_of_the_standard(sent: str, value: Any) -> None:
    """RFC 8949, appendix A."""
    assert same(read_cbor(bytes.fromhex(sent)), value)


def test_byte_strings_are_views_of_the_message() -> None:
    message = cbor2.dumps({"data": b"x" * 1000})
    found = read_cbor(message)["data"]
    assert isinstance(found, memoryview)
    assert found.obj is message
    assert bytes(read_cbor(bytes.fromhex("5f42010243030405ff"))) == bytes([1, 2, 3, 4, 5])
