"""Compressed frames into sums, eight together: one look at where a pixel goes serves them all.

What the arguments have in common
---------------------------------
blobs, space, sound
    as in `stream.ingest.integrate.blocks`.
bins, weights
    bin number and weight of each pixel, shape (pixels,).
usable
    what `usable_groups` made of the pixels that are in a bin.
limit
    the largest valid count.
"""

from __future__ import annotations

import numba
import numpy as np

from stream.ingest.integrate.batch import RUN
from stream.ingest.integrate.blobs import BLOCK
from stream.ingest.integrate.blocks import full_counts, leave_bright, take_apart, take_higher, unpack
from stream.ingest.integrate.lanes import FRAMES, WIDTH, add_counts, add_part, add_shares

LARGEST_SUM = 2**32 // 255 - BLOCK
"""Pixels whose lowest bytes a uint32 holds the sum of, before another block."""


@numba.njit(nogil=True, cache=True)
def add_whole(blobs, bins, weights, usable, limit, space, sound, sums, excluded):  # type: ignore[no-untyped-def]
    """Add frames to the bins of whole pixels: counts to sums, weights of invalid pixels to excluded.

    Both are int64 (bins + 1, FRAMES).
    """
    lanes = np.zeros(sums.shape, np.uint32)
    bright, counts = np.zeros(FRAMES, np.int64), np.zeros((FRAMES, 8), np.int64)
    to_lanes, to_counts = np.int64(lanes.ctypes.data), np.int64(space.counts.ctypes.data)
    held = 0
    for block in range(blobs.places.shape[1] - 1):
        start, groups = unpack(blobs, block, bins.size, space, sound)
        if held > LARGEST_SUM:
            sums += lanes
            lanes[:] = 0
            held = 0
        held += 8 * groups
        for first in range(0, groups, WIDTH):
            more = take_apart(blobs, groups, first, usable, start, limit, space, sound, bright)
            if more:
                take_higher(blobs, groups, first, usable, space, sound)
            for j in range(min(WIDTH, groups - first)):
                pixel = start + 8 * (first + j)
                if (more >> np.uint64(j)) & np.uint64(1):
                    full_counts(space.run, blobs.element, j, counts)
                    _add_few(counts, pixel, 8, bins, weights, limit, sound.size, sums, excluded)
                else:
                    for i in range(8):
                        place = np.int64(bins[pixel + i])
                        add_counts(to_counts + i * RUN + j * FRAMES, to_lanes + place * (4 * FRAMES))
        leave_bright(bright, start + 8 * groups, sound)
        if not sound.any():
            return
    sums += lanes
    few = blobs.tails.shape[1]
    _add_few(blobs.tails, bins.size - few, few, bins, weights, limit, sound.size, sums, excluded)


@numba.njit(nogil=True, cache=True)
def _add_few(counts, first, few, bins, weights, limit, frames, sums, excluded):  # type: ignore[no-untyped-def]
    """Add so many pixels from `first` on; counts is (frames, few)."""
    for i in range(few):
        place, weight = bins[first + i], weights[first + i]
        for f in range(frames):
            if counts[f, i] <= limit:
                sums[place, f] += counts[f, i]
            else:
                excluded[place, f] += weight


@numba.njit(nogil=True, cache=True)
def add_split(  # type: ignore[no-untyped-def]
    blobs, shared, listed, weights, usable, limit, space, sound, sums, more, excluded, more_excluded
):
    """Add frames to the bins of split pixels, in the order of `accumulate_shared` and `accumulate_listed`.

    shared and listed are those of `SplitPixels`; sums, more, excluded, more_excluded are what the two add to, with
    FRAMES as a last axis.
    """
    bins, shares = shared
    bright, counts = np.zeros(FRAMES, np.int64), np.zeros((FRAMES, 8), np.int64)
    to_sums, to_more = np.int64(sums.ctypes.data), np.int64(more.ctypes.data)
    to_counts = np.int64(space.counts.ctypes.data)
    entry = 0
    for block in range(blobs.places.shape[1] - 1):
        start, groups = unpack(blobs, block, bins.size, space, sound)
        for first in range(0, groups, WIDTH):
            needed = take_apart(blobs, groups, first, usable, start, limit, space, sound, bright)
            if needed:
                take_higher(blobs, groups, first, usable, space, sound)
            for j in range(min(WIDTH, groups - first)):
                pixel = start + 8 * (first + j)
                if (needed >> np.uint64(j)) & np.uint64(1):
                    full_counts(space.run, blobs.element, j, counts)
                    _add_shared(counts, pixel, 8, shared, weights, limit, sound.size, sums, excluded)
                    entry = _add_listed(counts, pixel, entry, listed, weights, limit, sound.size, more, more_excluded)
                else:
                    for i in range(8):
                        place = np.int64(bins[pixel + i])
                        at = to_counts + i * RUN + j * FRAMES
                        add_shares(at, shares[pixel + i], to_sums + place * (3 * 8 * FRAMES))
                    while entry < listed[0].size and listed[0][entry] < pixel + 8:
                        at = to_counts + np.int64(listed[0][entry] - pixel) * RUN + j * FRAMES
                        add_part(at, listed[2][entry], to_more + np.int64(listed[1][entry]) * (2 * 8 * FRAMES))
                        entry += 1
        leave_bright(bright, start + 8 * groups, sound)
        if not sound.any():
            return
    few = blobs.tails.shape[1]
    _add_shared(blobs.tails, bins.size - few, few, shared, weights, limit, sound.size, sums, excluded)
    _add_listed(blobs.tails, bins.size - few, entry, listed, weights, limit, sound.size, more, more_excluded)


@numba.njit(nogil=True, cache=True)
def _add_shared(counts, first, few, shared, weights, limit, frames, sums, excluded):  # type: ignore[no-untyped-def]
    """Add so many pixels from `first` on; counts is (frames, few)."""
    bins, shares = shared
    for i in range(few):
        place, share, weight = bins[first + i], shares[first + i], weights[first + i]
        for f in range(frames):
            if counts[f, i] <= limit:
                part = share * counts[f, i]
                rest = counts[f, i] - part
                sums[place, 0, f] += part
                sums[place, 1, f] += rest
                sums[place, 2, f] += share * rest
            else:
                part = share * weight
                excluded[place, 0, f] += part
                excluded[place, 1, f] += weight - part


@numba.njit(nogil=True, cache=True)
def _add_listed(  # type: ignore[no-untyped-def]
    counts, first, entry, listed, weights, limit, frames, more, more_excluded
):
    """Add what is listed of the eight pixels from `first` on; returns the next entry."""
    pixels, bins, shares = listed
    while entry < pixels.size and pixels[entry] < first + 8:
        pixel, place, share = pixels[entry], bins[entry], shares[entry]
        for f in range(frames):
            count = counts[f, pixel - first]
            if count <= limit:
                part = share * count
                more[place, 0, f] += part
                more[place, 1, f] += share * part
            else:
                more_excluded[place, f] += share * weights[pixel]
        entry += 1
    return entry
