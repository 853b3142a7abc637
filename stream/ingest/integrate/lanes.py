"""Eight frames side by side: the inner steps of bit planes to patterns, as LLVM vector code.

LLVM does not make vectors of loops that numba writes for these steps. Each intrinsic emits them for whatever registers
the machine has. Addresses are plain numbers, and nothing is checked: the caller keeps them inside its arrays.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

FRAMES = 8
"""Frames that are integrated together."""
WIDTH = 64
"""Bytes of a bit plane that are taken at a time, each of them a group of eight pixels."""

_BYTE = ir.IntType(8)
_WORDS = ir.VectorType(ir.IntType(64), WIDTH // 8)
_BYTES = ir.VectorType(_BYTE, WIDTH)
_DOUBLES = ir.VectorType(ir.DoubleType(), FRAMES)


def _splat(vector: Any, value: int) -> Any:
    return ir.Constant(vector, [value] * vector.count)


def _all(builder: Any, value: Any, vector: Any) -> Any:
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, first, _splat(ir.VectorType(ir.IntType(32), vector.count), 0))


def _at(builder: Any, address: Any, offset: int | Any, vector: Any) -> Any:
    offset = ir.Constant(address.type, offset) if isinstance(offset, int) else offset
    return builder.inttoptr(builder.add(address, offset), vector.as_pointer())


def _load(builder: Any, pointer: Any) -> Any:
    value = builder.load(pointer)
    value.align = 1
    return value


def _store(builder: Any, value: Any, pointer: Any) -> None:
    builder.store(value, pointer).align = 1


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """Bit i of byte n of row k becomes bit k of byte n of row i (Warren, Hacker's Delight, 7-3)."""
    for step, mask in ((4, 0x0F), (2, 0x33), (1, 0x55)):
        shift, kept = _splat(_WORDS, step), _splat(_WORDS, mask * 0x0101010101010101)
        for k in range(8):
            if not k & step:
                upper, lower = rows[k], rows[k + step]
                moved = builder.and_(builder.xor(builder.lshr(upper, shift), lower), kept)
                rows[k] = builder.xor(upper, builder.shl(moved, shift))
                rows[k + step] = builder.xor(lower, moved)
    return rows


@intrinsic  # type: ignore[untyped-decorator]
def take_bytes(typing_context: Any, planes: Any, stride: Any, count: Any, usable: Any, limit: Any, target: Any) -> Any:
    """A byte of each pixel of 64 groups, out of the first 8 of `count` bit planes; returns which groups need more.

    The planes are `stride` bytes apart. Byte 64 i + j at `target` becomes that of pixel i of group j. Bit j of the
    result is set where a pixel of group j has a bit in the other planes, or a byte above `limit`, and its bit at
    usable + j is set.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        planes, stride, count, usable, limit, target = arguments
        rows = [
            _load(builder, _at(builder, planes, builder.mul(stride, ir.Constant(stride.type, k)), _WORDS))
            for k in range(8)
        ]
        high = cgutils.alloca_once_value(builder, _splat(_WORDS, 0))
        with cgutils.for_range_slice(builder, ir.Constant(count.type, 8), count, ir.Constant(count.type, 1)) as (k, _):
            plane = _load(builder, _at(builder, planes, builder.mul(stride, k), _WORDS))
            builder.store(builder.or_(builder.load(high), plane), high)
        most = _all(builder, builder.trunc(limit, _BYTE), _BYTES)
        more = builder.bitcast(builder.load(high), _BYTES)
        for i, row in enumerate(_transposed(builder, rows)):
            _store(builder, row, _at(builder, target, WIDTH * i, _WORDS))
            above = builder.icmp_unsigned(">", builder.bitcast(row, _BYTES), most)
            more = builder.or_(more, builder.select(above, _splat(_BYTES, 1 << i), _splat(_BYTES, 0)))
        more = builder.and_(more, _load(builder, _at(builder, usable, 0, _BYTES)))
        return builder.bitcast(builder.icmp_unsigned("!=", more, _splat(_BYTES, 0)), ir.IntType(64))

    return types.uint64(*[types.intp] * 6), generate


@intrinsic  # type: ignore[untyped-decorator]
def interleave(typing_context: Any, source: Any, stride: Any, target: Any) -> Any:
    """Eight runs of 64 bytes, `stride` apart, into 64 runs of eight: byte 8 j + f at `target` is byte j of run f."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, stride, target = arguments
        runs = [
            _load(builder, _at(builder, source, builder.mul(stride, ir.Constant(stride.type, f)), _BYTES))
            for f in range(FRAMES)
        ]
        index = ir.VectorType(ir.IntType(32), WIDTH)
        halves = [
            ir.Constant(index, [first + n // 2 + WIDTH * (n % 2) for n in range(WIDTH)]) for first in (0, WIDTH // 2)
        ]
        for _ in range(3):  # a perfect shuffle of the runs' number with the place in them, a bit at a time
            runs = [builder.shuffle_vector(runs[f], runs[f + 4], half) for f in range(4) for half in halves]
        for n, run in enumerate(runs):
            _store(builder, run, _at(builder, target, WIDTH * n, _BYTES))
        return context.get_dummy_value()

    return types.void(*[types.intp] * 3), generate


@intrinsic  # type: ignore[untyped-decorator]
def add_counts(typing_context: Any, counts: Any, sums: Any) -> Any:
    """Add eight bytes to eight uint32."""
    vector = ir.VectorType(ir.IntType(32), FRAMES)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        counts, sums = arguments
        wide = builder.zext(_load(builder, _at(builder, counts, 0, ir.VectorType(_BYTE, FRAMES))), vector)
        place = _at(builder, sums, 0, vector)
        _store(builder, builder.add(_load(builder, place), wide), place)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def add_shares(typing_context: Any, counts: Any, share: Any, sums: Any) -> Any:
    """Add eight bytes to three rows of eight float64: share·count, the rest of the count, and share·rest."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        counts, share, sums = arguments
        count, shares = _count_and_share(builder, counts, share)
        first = builder.fmul(shares, count)
        second = builder.fsub(count, first)
        _add_rows(builder, sums, [first, second, builder.fmul(shares, second)])
        return context.get_dummy_value()

    return types.void(types.intp, types.float64, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def add_part(typing_context: Any, counts: Any, share: Any, sums: Any) -> Any:
    """Add eight bytes to two rows of eight float64: share·count and share²·count."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        counts, share, sums = arguments
        count, shares = _count_and_share(builder, counts, share)
        part = builder.fmul(shares, count)
        _add_rows(builder, sums, [part, builder.fmul(shares, part)])
        return context.get_dummy_value()

    return types.void(types.intp, types.float64, types.intp), generate


def _count_and_share(builder: Any, counts: Any, share: Any) -> tuple[Any, Any]:
    count = builder.uitofp(_load(builder, _at(builder, counts, 0, ir.VectorType(_BYTE, FRAMES))), _DOUBLES)
    return count, _all(builder, share, _DOUBLES)


def _add_rows(builder: Any, sums: Any, rows: list[Any]) -> None:
    for n, row in enumerate(rows):
        place = _at(builder, sums, n * FRAMES * 8, _DOUBLES)
        _store(builder, builder.fadd(_load(builder, place), row), place)


@intrinsic  # type: ignore[untyped-decorator]
def decode_block(typing_context: Any, decoder: Any, source: Any, size: Any, target: Any, capacity: Any) -> Any:
    """Bytes that LZ4's own decoder, at that address, made of a block; negative for a damaged one."""
    integer = ir.IntType(32)
    function = ir.FunctionType(integer, [_BYTE.as_pointer(), _BYTE.as_pointer(), integer, integer])

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        decoder, source, size, target, capacity = arguments
        call = builder.inttoptr(decoder, function.as_pointer())
        made = builder.call(
            call,
            [
                builder.inttoptr(source, _BYTE.as_pointer()),
                builder.inttoptr(target, _BYTE.as_pointer()),
                builder.trunc(size, integer),
                builder.trunc(capacity, integer),
            ],
        )
        return builder.sext(made, size.type)

    return types.intp(*[types.intp] * 5), generate
