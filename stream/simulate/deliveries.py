"""The way from the detector to the receiver: messages are lost, doubled, damaged, shuffled and late.

Each step takes messages in their order and gives them on. Images alone suffer, but for a lost end.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from stream.simulate.arming import Message
from stream.simulate.faults import Faults

LATEST = 64  # messages that overtake a delayed one
Random = np.random.Generator


def deliveries(made: Iterable[Message], faults: Faults, seed: int) -> Iterator[Message]:
    """What is sent, in the order of sending; each fault draws lots of its own, so that one changes no other."""
    lots = [np.random.default_rng([seed, 4, k]) for k in range(5)]
    messages = stray(made)
    messages = lose(messages, faults.drop, faults.no_end, lots[0])
    messages = double(messages, faults.duplicate, lots[1])
    messages = damage(messages, faults.corrupt, faults.truncate, lots[2])
    messages = shuffle(messages, faults.shuffle, lots[3])
    return delay(messages, faults.delay, lots[4])


def stray(messages: Iterable[Message]) -> Iterator[Message]:
    """The last images of an aborted series come after the start of the next."""
    held: list[Message] = []
    for message in messages:
        if message.kind == "image" and message.frame >= message.arm.made - message.arm.strays:
            held.append(message)
            continue
        yield message
        if message.kind == "start":
            yield from held
            held.clear()


def lose(messages: Iterable[Message], share: float, ends: bool, random: Random) -> Iterator[Message]:
    """A share of the images is lost, and each end where `ends`."""
    for message in messages:
        lost = random.random() < share if message.kind == "image" else ends and message.kind == "end"
        if not lost:
            yield message


def double(messages: Iterable[Message], share: float, random: Random) -> Iterator[Message]:
    """A share of the images comes twice."""
    for message in messages:
        yield message
        if message.kind == "image" and random.random() < share:
            yield message


def damage(messages: Iterable[Message], corrupt: float, truncate: float, random: Random) -> Iterator[Message]:
    """Shares of the images are marked as corrupt or as truncated, never as both."""
    for message in messages:
        lot = random.random() if message.kind == "image" else 1.0
        if lot < corrupt:
            yield replace(message, damage="corrupt")
        elif lot < corrupt + truncate:
            yield replace(message, damage="truncate")
        else:
            yield message


def shuffle(messages: Iterable[Message], window: int, random: Random) -> Iterator[Message]:
    """Images change places within windows of that length; starts and ends stay where they are."""
    held: list[Message] = []
    for message in messages:
        if message.kind == "image":
            held.append(message)
        if message.kind != "image" or len(held) == window:
            yield from (held[i] for i in random.permutation(len(held)))
            held.clear()
        if message.kind != "image":
            yield message
    yield from (held[i] for i in random.permutation(len(held)))


def delay(messages: Iterable[Message], share: float, random: Random) -> Iterator[Message]:
    """A share of the images waits until 1 to LATEST more messages have come, or the last one."""
    held: list[tuple[int, int, Message]] = []  # a heap of (due, came, message)
    for n, message in enumerate(messages):
        if message.kind == "image" and random.random() < share:
            heapq.heappush(held, (n + int(random.integers(1, LATEST + 1)), n, message))
        else:
            yield message
        while held and held[0][0] <= n:
            yield heapq.heappop(held)[2]
    while held:
        yield heapq.heappop(held)[2]
