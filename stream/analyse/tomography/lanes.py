"""Sixty-four channels at once: the two inner steps of projection as LLVM vector code.

A plain numba loop over channels is vectorised as well, but LLVM guards each short loop with alias checks that
cost three times the arithmetic. These intrinsics emit one <64 x float> operation instead, which LLVM splits into
whatever registers the machine has. They read and write C-contiguous float32 arrays at flat offsets, unchecked.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

LANES = 64

_VECTOR = ir.VectorType(ir.FloatType(), LANES)
_UNDEFINED = ir.Constant(_VECTOR, ir.Undefined)
_ZEROS = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, offset: Any, row: int = 0) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    offset = builder.add(offset, ir.Constant(offset.type, row * LANES))
    return builder.bitcast(builder.gep(data, [offset]), _VECTOR.as_pointer())


def _load(builder: Any, pointer: Any) -> Any:
    value = builder.load(pointer)
    value.align = 4
    return value


def _store(builder: Any, value: Any, pointer: Any) -> None:
    builder.store(value, pointer).align = 4


def _multiply_add(builder: Any, weight: Any, vector: Any, total: Any) -> Any:
    first = builder.insert_element(_UNDEFINED, weight, ir.Constant(ir.IntType(32), 0))
    weights = builder.shuffle_vector(first, _UNDEFINED, _ZEROS)
    product = builder.fmul(weights, vector, flags=("contract",))
    return builder.fadd(total, product, flags=("contract",))


def _signature(out: Any, source: Any) -> Any:
    return types.void(out, types.intp, source, types.intp, types.float32, types.float32, types.float32)


@intrinsic  # type: ignore[untyped-decorator]
def gather3(typing_context: Any, out: Any, o: Any, source: Any, s: Any, w0: Any, w1: Any, w2: Any) -> Any:
    """Add three consecutive rows of `source` from flat offset s, times w0, w1, w2, to the row of `out` at o."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        out_array, o_offset, source_array, s_offset, *weights = arguments
        target = _pointer(context, builder, signature.args[0], out_array, o_offset)
        total = _load(builder, target)
        for row, weight in enumerate(weights):
            pointer = _pointer(context, builder, signature.args[2], source_array, s_offset, row)
            total = _multiply_add(builder, weight, _load(builder, pointer), total)
        _store(builder, total, target)
        return context.get_dummy_value()

    return _signature(out, source), generate


@intrinsic  # type: ignore[untyped-decorator]
def scatter3(typing_context: Any, out: Any, o: Any, source: Any, s: Any, w0: Any, w1: Any, w2: Any) -> Any:
    """Add the row of `source` at flat offset s, times w0, w1, w2, to three consecutive rows of `out` from o."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        out_array, o_offset, source_array, s_offset, *weights = arguments
        vector = _load(builder, _pointer(context, builder, signature.args[2], source_array, s_offset))
        for row, weight in enumerate(weights):
            target = _pointer(context, builder, signature.args[0], out_array, o_offset, row)
            _store(builder, _multiply_add(builder, weight, vector, _load(builder, target)), target)
        return context.get_dummy_value()

    return _signature(out, source), generate
