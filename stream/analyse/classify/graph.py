"""What an ONNX file may contain, read from its bytes alone.

The few protobuf fields that matter (onnx.proto3) are walked by number, so that nothing in the file is
interpreted before it has been checked.
"""

from __future__ import annotations

from collections.abc import Iterator

from stream.core.errors import StoreError

DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
MODEL_GRAPH, MODEL_OPSETS, MODEL_FUNCTIONS = 7, 8, 25
OPSET_DOMAIN = 1
GRAPH_NODES, GRAPH_TENSORS, GRAPH_SPARSE = 1, 5, 15
NODE_ATTRIBUTES, NODE_DOMAIN = 5, 7
ATTRIBUTE_TENSORS, ATTRIBUTE_GRAPHS, ATTRIBUTE_SPARSE = (5, 10), (6, 11), (22, 23)
SPARSE_TENSORS = (1, 2)
TENSOR_EXTERNAL, TENSOR_LOCATION = 13, 14
LONGEST_VARINT = 63  # bits
"""Without a bound, a file of nothing but continuation bytes takes a time that grows with its square."""

Value = bytes | int


def check_graph(content: bytes, name: str) -> None:
    """Refuse a model that reaches beyond its own bytes or beyond the standard operators.

    Raises
    ------
    StoreError
        on external data, operators of another domain, functions of its own, or bytes that are no ONNX model.
    """
    model = list(fields(content, name))
    if not any(number == MODEL_GRAPH for number, _ in model):
        raise StoreError(f"the model {name} is not an ONNX model: it has no graph")
    for number, value in model:
        if number == MODEL_FUNCTIONS:
            raise StoreError(f"the model {name} brings functions of its own, only standard operators are allowed")
        if number == MODEL_OPSETS:
            _check_domain(value, OPSET_DOMAIN, name)
        if number == MODEL_GRAPH:
            _check_graph(value, name)


def _check_graph(graph: Value, name: str) -> None:
    for number, value in fields(graph, name):
        if number == GRAPH_NODES:
            _check_domain(value, NODE_DOMAIN, name)
            for attribute in parts(value, (NODE_ATTRIBUTES,), name):
                _check_attribute(attribute, name)
        elif number == GRAPH_TENSORS:
            _check_tensor(value, name)
        elif number == GRAPH_SPARSE:
            _check_sparse(value, name)


def _check_attribute(attribute: Value, name: str) -> None:
    for graph in parts(attribute, ATTRIBUTE_GRAPHS, name):
        _check_graph(graph, name)
    for tensor in parts(attribute, ATTRIBUTE_TENSORS, name):
        _check_tensor(tensor, name)
    for sparse in parts(attribute, ATTRIBUTE_SPARSE, name):
        _check_sparse(sparse, name)


def _check_sparse(sparse: Value, name: str) -> None:
    for tensor in parts(sparse, SPARSE_TENSORS, name):
        _check_tensor(tensor, name)


def _check_tensor(tensor: Value, name: str) -> None:
    if any(
        number == TENSOR_EXTERNAL or (number == TENSOR_LOCATION and value) for number, value in fields(tensor, name)
    ):
        raise StoreError(f"the model {name} keeps data outside its file, which is not allowed")


def _check_domain(message: Value, number: int, name: str) -> None:
    for value in parts(message, (number,), name):
        domain = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        if domain not in DOMAINS:
            raise StoreError(f"the model {name} uses operators of {domain!r}, only standard operators are allowed")


def parts(message: Value, numbers: tuple[int, ...], name: str) -> Iterator[Value]:
    """Values of the fields with these numbers."""
    return (value for number, value in fields(message, name) if number in numbers)


def fields(message: Value, name: str) -> Iterator[tuple[int, Value]]:
    """(number, value) of each field of a protobuf message; bytes where length-delimited."""
    broken = StoreError(f"the model {name} is not an ONNX model: its bytes do not parse")
    if not isinstance(message, bytes):
        raise broken
    at = 0
    try:
        while at < len(message):
            key, at = varint(message, at)
            number, kind = key >> 3, key & 7
            if kind == 0:
                value, at = varint(message, at)
                yield number, value
                continue
            if kind not in (1, 2, 5):
                raise broken
            size, at = varint(message, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
            if at + size > len(message):
                raise broken
            yield number, message[at : at + size]
            at += size
    except IndexError:
        raise broken from None


def varint(message: bytes, at: int) -> tuple[int, int]:
    """An unsigned LEB128 integer, and where the next byte is."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at
        if shift > LONGEST_VARINT:
            raise IndexError
