"""Bad messages are rejected with the right reason, and nothing but MessageError ever comes out."""

from __future__ import annotations

from contextlib import suppress

import orjson
import pytest
from helpers.encode import bslz4, v1_image, v2_image
from helpers.hostile import CASES, PIXELS, Hostile
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.core.errors import MessageError
from stream.core.messages import Image, Parts
from stream.core.wire import decode, decoder_for, decompress


def pixels(parts: Parts) -> list[object]:
    """All that a receiver does with a message."""
    event = decode(parts)
    return [decompress(array) for array in event.channels.values()] if isinstance(event, Image) else []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("view", [bytes, memoryview])
def test_rejected_with_its_reason(case: Hostile, view: type) -> None:
    with pytest.raises(MessageError) as caught:
        pixels([view(part) for part in case.parts])
    assert caught.value.reason == case.reject, caught.value
    assert 10 < len(str(caught.value)) < 300


def test_the_good_messages_of_the_corpus_are_good() -> None:
    for parts in (v1_image(PIXELS), v1_image(PIXELS, encoding="bs32-lz4<", blob=bslz4(PIXELS)), v2_image(PIXELS)):
        assert (pixels(parts)[0] == PIXELS).all()


GOOD = [
    v1_image(PIXELS[:9, :9]),
    v1_image(PIXELS, encoding="bs32-lz4<", blob=bslz4(PIXELS)),
    v2_image(PIXELS),
    [b'{"header_detail":"none","htype":"dheader-1.0","series":1}', b'{"rotate": 0}'],
    *(case.parts for case in CASES),
]


def parses_or_rejects(parts: Parts) -> None:
    for name in ("auto", "dectris-1", "dectris-2", "stins", "array-1"):
        with suppress(MessageError):
            event = decoder_for(name)(parts)
            if isinstance(event, Image):
                for array in event.channels.values():
                    assert decompress(array, max_bytes=1 << 20).shape == array.shape


@given(st.lists(st.binary(max_size=60), max_size=6))
@settings(max_examples=300, deadline=None)
def test_any_bytes(parts: list[bytes]) -> None:
    parses_or_rejects(parts)


@given(st.recursive(st.none() | st.integers() | st.floats() | st.text(max_size=9), st.lists))
@settings(max_examples=100, deadline=None)
def test_any_value_of_a_header(value: object) -> None:
    for parts in GOOD[:2]:
        for index in (0, 1, 3):
            for key in orjson.loads(parts[index]):
                try:
                    changed = orjson.dumps(orjson.loads(parts[index]) | {key: value})
                except TypeError:  # integers beyond 64 bits
                    continue
                parses_or_rejects([*parts[:index], changed, *parts[index + 1 :]])


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_any_mutation_of_a_message(data: st.DataObject) -> None:
    parts = [bytearray(part) for part in data.draw(st.sampled_from(GOOD))]
    for _ in range(data.draw(st.integers(1, 4)) if parts else 0):
        part = parts[data.draw(st.integers(0, len(parts) - 1))]
        at = data.draw(st.integers(0, len(part)))
        match data.draw(st.sampled_from(["replace", "insert", "delete", "cut"])):
            case "replace":
                part[at : at + 1] = data.draw(st.binary(min_size=1, max_size=4))
            case "insert":
                part[at:at] = data.draw(st.binary(min_size=1, max_size=9))
            case "delete":
                del part[at : at + data.draw(st.integers(1, 9))]
            case "cut":
                del part[at:]
    parses_or_rejects([bytes(part) for part in parts])
