"""Many channels at once: the inner loop of projection, along a row of voxels, as LLVM vector code.

A plain numba loop over channels is vectorised as well, but LLVM guards each short loop with alias checks that
cost three times the arithmetic. These intrinsics emit one <64 x float> operation instead, <16 x float> where there are
few channels, which LLVM splits into whatever registers the machine has. Neighbouring voxels fall on the same three
rays or on those beside them, so these stay in registers while the row goes on: without, each voxel would wait for what
the one before it has stored. They read and write C-contiguous float32 arrays at flat offsets, unchecked; sums have the
order of the voxels.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

LANES, FEW = 64, 16
"""Channels of a block; and of one that has no more than these."""

_LINE = 64  # bytes of a cache line: a vector that straddles two takes twice the time
_INDEX = ir.IntType(64)
_WIDE = 3  # rays that hold the footprint of a voxel


def lanes(*shape: int, channels: int = LANES) -> NDArray[np.float32]:
    """Zeros of this shape and a block's channels, for so many of them; they begin at a cache line."""
    width = FEW if channels <= FEW else LANES
    size = 4 * width * prod(shape)
    room = np.zeros(size + _LINE, np.uint8)
    first = -room.ctypes.data % _LINE
    return room[first : first + size].view(np.float32).reshape(*shape, width)


def _constant(number: int) -> Any:
    return ir.Constant(_INDEX, number)


class _Lanes:
    """Vectors of an array, by the flat offset of one of them and a number of vectors from there."""

    def __init__(self, width: int, context: Any, builder: Any, array_type: Any, array: Any, offset: Any) -> None:
        self.vector = ir.VectorType(ir.FloatType(), width)
        self._builder, self._offset, self._width = builder, offset, _constant(width)
        self._data = context.make_array(array_type)(context, builder, array).data

    def load(self, number: Any) -> Any:
        value = self._builder.load(self._at(number))
        value.align = 4
        return value

    def store(self, value: Any, number: Any) -> None:
        self._builder.store(value, self._at(number)).align = 4

    def _at(self, number: Any) -> Any:
        b = self._builder
        offset = b.add(self._offset, b.mul(number, self._width))
        return b.bitcast(b.gep(self._data, [offset]), self.vector.as_pointer())


class _Window:
    """Three consecutive rays in registers, which go with the voxels; `written` rays are stored as they are left."""

    def __init__(self, builder: Any, rays: _Lanes, written: bool) -> None:
        self._builder, self._rays, self._written = builder, rays, written
        self.rows = [cgutils.alloca_once(builder, rays.vector) for _ in range(_WIDE)]
        self._first = cgutils.alloca_once(builder, _INDEX)

    def open(self, first: Any) -> None:
        """Load the rays from this one on."""
        self._builder.store(first, self._first)
        for k in range(_WIDE):
            self._take(k, first)

    def close(self) -> None:
        """Leave all of them."""
        first = self._builder.load(self._first)
        for k in range(_WIDE):
            self._leave(k, first)

    def move(self, to: Any) -> None:
        """Have the rays from `to` on; those beside the present ones cost one load."""
        b, last = self._builder, _WIDE - 1
        first = b.load(self._first)
        with b.if_then(b.icmp_signed("!=", to, first), likely=False):
            with b.if_else(b.icmp_signed("==", to, b.add(first, _constant(1)))) as (up, otherwise):
                with up:
                    self._shift(first, to, range(_WIDE))
                with otherwise, b.if_else(b.icmp_signed("==", to, b.sub(first, _constant(1)))) as (down, far):
                    with down:
                        self._shift(first, to, range(last, -1, -1))
                    with far:
                        self.close()
                        self.open(to)
            b.store(to, self._first)

    def _shift(self, first: Any, to: Any, order: range) -> None:
        self._leave(order[0], first)
        for here, beyond in pairwise(order):
            self._builder.store(self._builder.load(self.rows[beyond]), self.rows[here])
        self._take(order[-1], to)

    def _take(self, k: int, first: Any) -> None:
        self._builder.store(self._rays.load(self._builder.add(first, _constant(k))), self.rows[k])

    def _leave(self, k: int, first: Any) -> None:
        if self._written:
            self._rays.store(self._builder.load(self.rows[k]), self._builder.add(first, _constant(k)))


def _multiply_add(builder: Any, weight: Any, vector: Any, total: Any) -> Any:
    undefined = ir.Constant(vector.type, ir.Undefined)
    zeros = ir.VectorType(ir.IntType(32), vector.type.count)
    first = builder.insert_element(undefined, weight, ir.Constant(ir.IntType(32), 0))
    weights = builder.shuffle_vector(first, undefined, ir.Constant(zeros, None))
    product = builder.fmul(weights, vector, flags=("contract",))
    return builder.fadd(total, product, flags=("contract",))


def _along(width: int, forward: bool) -> Callable[..., Any]:
    """Code that adds voxels to rays, or rays to voxels."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        of_rays, _, of_voxels, _, of_first, of_weight, _ = signature.args
        rays, ray, voxels, voxel, first, weight, count = arguments
        window = _Window(builder, _Lanes(width, context, builder, of_rays, rays, ray), forward)
        row = _Lanes(width, context, builder, of_voxels, voxels, voxel)
        numbers = context.make_array(of_first)(context, builder, first).data
        weights = context.make_array(of_weight)(context, builder, weight)
        stride = cgutils.unpack_tuple(builder, weights.shape, 2)[1]

        def ray_of(m: Any) -> Any:
            return builder.sext(builder.load(builder.gep(numbers, [m])), _INDEX)

        with builder.if_then(builder.icmp_signed(">", count, _constant(0))):
            window.open(ray_of(_constant(0)))
            with cgutils.for_range(builder, count) as loop:
                m = loop.index
                window.move(ray_of(m))
                value = row.load(m)
                for k, register in enumerate(window.rows):
                    at = builder.add(builder.mul(stride, _constant(k)), m)
                    share = builder.load(builder.gep(weights.data, [at]))
                    if forward:
                        builder.store(_multiply_add(builder, share, value, builder.load(register)), register)
                    else:
                        value = _multiply_add(builder, share, builder.load(register), value)
                if not forward:
                    row.store(value, m)
            window.close()
        return context.get_dummy_value()

    return generate


def _intrinsic(width: int, forward: bool) -> Any:
    code = _along(width, forward)

    def typed(context: Any, rays: Any, ray: Any, voxels: Any, voxel: Any, first: Any, weight: Any, count: Any) -> Any:
        return types.void(rays, types.intp, voxels, types.intp, first, weight, types.intp), code

    return intrinsic(typed)


scatter, scatter_few = _intrinsic(LANES, forward=True), _intrinsic(FEW, forward=True)
"""Add `count` voxels, from flat offset `voxel` on, to three rays each.

first[m] is the number of voxel m's first ray, from flat offset `ray` on; weight[k, m] is that of ray first[m] + k.
"""

gather, gather_few = _intrinsic(LANES, forward=False), _intrinsic(FEW, forward=False)
"""Add three rays each to `count` voxels; arguments are those of `scatter`."""
