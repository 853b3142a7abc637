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
from stream.ingest.integrate.lanes import WIDTH, decode_block, interleave, low_bytes

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
    """Lowest bytes of a run of groups to space.counts; returns which groups need all bits, and counts them."""
    to_planes, to_run = np.int64(space.planes.ctypes.data), np.int64(space.run.ctypes.data)
    to_usable, to_counts = np.int64(usable.ctypes.data), np.int64(space.counts.ctypes.data)
    together = np.uint64(0)
    for f in range(sound.size):
        if sound[f]:
            more = low_bytes(
                to_planes + f * space.planes.shape[1] + first, groups, 8 * blobs.element,
                to_usable + start // 8 + first, min(limit, 255), to_run + f * RUN,
            )  # fmt: skip
            together |= more
            while more:
                more &= more - np.uint64(1)
                bright[f] += 1
    for i in range(8):
        interleave(to_run + i * WIDTH, RUN, to_counts + i * RUN)
    return together


@numba.njit(nogil=True, cache=True)
def leave_bright(bright, pixels, sound):  # type: ignore[no-untyped-def]
    for f in range(sound.size):
        if bright[f] > (BLOCK + pixels // 8) // OFTEN:
            sound[f] = False


@numba.njit(nogil=True, cache=True)
def full_counts(blobs, groups, group, space, counts):  # type: ignore[no-untyped-def]
    """The eight pixels of a group in each frame, all bits, int64 (FRAMES, 8)."""
    counts[:] = 0
    for f in range(blobs.places.shape[0]):
        for byte in range(blobs.element):
            bits = np.uint64(0)
            for k in range(8):
                bits |= np.uint64(space.planes[f, (8 * byte + k) * groups + group]) << np.uint64(8 * k)
            if bits:
                bits = _transposed(bits)
                for i in range(8):
                    counts[f, i] |= np.int64((bits >> np.uint64(8 * i)) & np.uint64(255)) << (8 * byte)


@numba.njit(nogil=True, cache=True)
def _transposed(bits):  # type: ignore[no-untyped-def]
    """Bit i of byte k becomes bit k of byte i (Warren, Hacker's Delight, 7-3)."""
    moved = (bits ^ (bits >> np.uint64(7))) & np.uint64(0x00AA00AA00AA00AA)
    bits ^= moved ^ (moved << np.uint64(7))
    moved = (bits ^ (bits >> np.uint64(14))) & np.uint64(0x0000CCCC0000CCCC)
    bits ^= moved ^ (moved << np.uint64(14))
    moved = (bits ^ (bits >> np.uint64(28))) & np.uint64(0x00000000F0F0F0F0)
    return bits ^ moved ^ (moved << np.uint64(28))
