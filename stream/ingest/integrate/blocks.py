"""Blocks of compressed frames, taken apart eight frames at a time, while they are in cache.

What the arguments have in common
---------------------------------
blobs, space, sound
    the frames, scratch memory, and bool (frames,): made False for a frame that is damaged, or too bright for this way.
groups
    pixels of a block, by eights: a group shares a byte of each bit plane.
"""

from __future__ import annotations

import numba
import numpy as np

from stream.ingest.integrate.batch import RUN
from stream.ingest.integrate.blobs import BLOCK
from stream.ingest.integrate.lanes import FRAMES, WIDTH, decode_block, interleave, take_bytes

OFTEN = 8
"""A frame of which more than one group in so many needs all its bits is done faster from its pixels."""


@numba.njit(nogil=True, cache=True)
def unpack(blobs, block, pixels, space, sound):  # type: ignore[no-untyped-def]
    """Decode one block of each sound frame; returns its first pixel, and its groups of eight."""
    body = pixels - pixels % 8
    start = block * (BLOCK // blobs.element)
    groups = min(body - start, BLOCK // blobs.element) // 8
    size = 8 * groups * blobs.element
    to_planes = np.int64(space.planes.ctypes.data)
    for f in range(sound.size):
        if sound[f]:
            begin, end = blobs.places[f, block] + 4, blobs.places[f, block + 1]
            target = to_planes + f * space.planes.shape[1]
            made = decode_block(blobs.decoder, blobs.addresses[f] + begin, end - begin, target, size)
            sound[f] = made == size
    return start, groups


@numba.njit(nogil=True, cache=True)
def take_apart(blobs, groups, first, usable, start, limit, space, sound, bright):  # type: ignore[no-untyped-def]
    """Lowest bytes of a run of groups to space.run and space.counts; returns which need all bits, and counts them."""
    to_planes, to_run = np.int64(space.planes.ctypes.data) + first, np.int64(space.run.ctypes.data)
    to_usable, to_counts = np.int64(usable.ctypes.data) + start // 8 + first, np.int64(space.counts.ctypes.data)
    together = np.uint64(0)
    for f in range(sound.size):
        if sound[f]:
            planes, run = to_planes + f * space.planes.shape[1], to_run + f * RUN
            more = take_bytes(planes, groups, 8 * blobs.element, to_usable, min(limit, 255), run)
            together |= more
            while more:
                more &= more - np.uint64(1)
                bright[f] += 1
    for i in range(8):
        interleave(to_run + i * WIDTH, RUN, to_counts + i * RUN)
    return together


@numba.njit(nogil=True, cache=True)
def take_higher(blobs, groups, first, usable, space, sound):  # type: ignore[no-untyped-def]
    """The other bytes of that run to space.run."""
    to_planes, to_run = np.int64(space.planes.ctypes.data) + first, np.int64(space.run.ctypes.data)
    for f in range(sound.size):
        for byte in range(1, blobs.element):
            planes = to_planes + f * space.planes.shape[1] + 8 * byte * groups
            take_bytes(planes, groups, 8, np.int64(usable.ctypes.data), 255, to_run + (byte * FRAMES + f) * RUN)


@numba.njit(nogil=True, cache=True)
def full_counts(run, element, group, counts):  # type: ignore[no-untyped-def]
    """All bits of the pixels of a group of that run, to int64 (FRAMES, 8)."""
    for f in range(counts.shape[0]):
        for i in range(8):
            counts[f, i] = 0
            for byte in range(element):
                counts[f, i] |= np.int64(run[byte, f, i * WIDTH + group]) << (8 * byte)


@numba.njit(nogil=True, cache=True)
def leave_bright(bright, pixels, sound):  # type: ignore[no-untyped-def]
    """Give up the frames that are too bright for this way, after so many pixels."""
    for f in range(sound.size):
        if bright[f] > (BLOCK + pixels // 8) // OFTEN:
            sound[f] = False
