"""A trained model as an ONNX graph of standard operators: neighbourhoods, projection, family and calibration."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from stream.analyse.classify.learn.layers import Beside, Layer, Step
from stream.analyse.classify.learn.model import EQUAL, OUTPUTS, TINY, Machine, Model, Neighbours
from stream.analyse.classify.preprocess import Q_GRID, feature_count

OPSET, IR = 17, 8
INPUT, OUTPUT = "X", "probabilities"


@dataclass(slots=True)
class Graph:
    """Nodes one after another; each takes what the one before gave, and constants."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, value: npt.ArrayLike, dtype: type = np.float32) -> str:
        """The name of a new constant."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype=dtype), name))
        return name

    def add(self, kind: str, *inputs: str, outputs: int = 1, **attributes: object) -> str:
        """The name of a node's (first) output; the others have a number after it."""
        name = f"n{len(self.nodes)}"
        names = [name, *(f"{name}.{i}" for i in range(1, outputs))]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return name

    def step(self, image: str, step: Step) -> str:
        """What a step of a model does, (1, in, y, x) to (1, out, y, x)."""
        return self.layer(image, step) if isinstance(step, Layer) else self.beside(image, step)

    def beside(self, image: str, step: Beside) -> str:
        """A convolution whose kernels are one in one place each picks the neighbours."""
        ends = (self.constant([end], np.int64) for end in (step.columns.start, step.columns.stop, 1))
        columns = self.add("Slice", image, *ends)
        count = step.columns.stop - step.columns.start
        picks = np.eye(step.side**2 * count, dtype=np.float32).reshape(-1, step.side, step.side, count)
        around = self.layer(columns, Layer(picks.transpose(1, 2, 3, 0), np.zeros(len(picks), np.float32)))
        return self.add("Concat", image, around, axis=1)

    def layer(self, image: str, layer: Layer) -> str:
        """A convolution."""
        reach = layer.side // 2
        kernel, bias = self.constant(layer.kernel.transpose(3, 2, 0, 1)), self.constant(layer.bias)
        found = self.add("Conv", image, kernel, bias, pads=[reach] * 4, kernel_shape=[layer.side] * 2)
        return self.add("Relu", found) if layer.relu else found

    def squares(self, vectors: str, others: npt.NDArray[np.float32]) -> str:
        """Squared distances of (n, d) and (m, d), (n, m) in double: large lengths cancel."""
        double = self.add("Cast", vectors, to=TensorProto.DOUBLE)
        lengths = self.add("ReduceSumSquare", double, axes=[1], keepdims=1)
        products = self.add("MatMul", double, self.constant(-2.0 * others.T.astype(np.float64), np.float64))
        own = self.constant((others.astype(np.float64) ** 2).sum(axis=1), np.float64)
        summed = self.add("Add", self.add("Add", products, lengths), own)
        return self.add("Max", summed, self.constant(0.0, np.float64))

    def machine(self, vectors: str, head: Machine) -> str:
        """How near each support vector is, in double: thousands of them cancel."""
        exponent = self.add("Mul", self.squares(vectors, head.support), self.constant(-head.gamma, np.float64))
        return self.add("Exp", exponent)

    def neighbours(self, vectors: str, head: Neighbours) -> str:
        """Logarithms of weighted votes; differences of distances, in double, weigh them."""
        count = self.constant([head.nearest], np.int64)
        near = self.add("TopK", self.squares(vectors, head.prototypes), count, outputs=2, axis=1, largest=0)
        distance = self.add("Sqrt", near)
        farthest = self.add("ReduceMax", distance, axes=[1], keepdims=1)
        weight = self.add("Add", self.add("Sub", farthest, distance), self.constant(EQUAL, np.float64))
        weight = self.add("Div", weight, self.add("ReduceSum", weight, self.constant([1], np.int64), keepdims=1))
        weight = self.add("Cast", weight, to=TensorProto.FLOAT)
        votes = self.add("Gather", self.constant(head.votes), f"{near}.1", axis=0)
        weighed = self.add("Mul", votes, self.add("Unsqueeze", weight, self.constant([2], np.int64)))
        summed = self.add("ReduceSum", weighed, self.constant([1], np.int64), keepdims=0)
        return self.add("Log", self.add("Add", summed, self.constant(TINY)))


def to_bytes(model: Model) -> bytes:
    """ONNX of a model: X (y, x, features) to probabilities (y, x, classes + 1).

    Its last constants are the calibration: weights (scores, classes + 1) and bias.
    """
    graph = Graph()
    image = graph.add("Unsqueeze", graph.add("Transpose", INPUT, perm=[2, 0, 1]), graph.constant([0], np.int64))
    for layer in model.layers:
        image = graph.step(image, layer)
    vectors = graph.add("Transpose", image, perm=[0, 2, 3, 1])
    weights, bias = model.weights, model.bias
    scores = graph.add("Reshape", vectors, graph.constant([-1, model.reduced], np.int64))
    if isinstance(model.head, Machine):
        scores = graph.machine(scores, model.head)
        # decisions overlap, so that calibration weighs them against each other: multiplied out first, nothing cancels
        weights, bias = model.head.dual @ weights, model.head.intercept @ weights + bias
    elif isinstance(model.head, Neighbours):
        scores = graph.neighbours(scores, model.head)
    exact = isinstance(model.head, Machine)
    dtype = np.float64 if exact else np.float32
    linear = graph.add("Add", graph.add("MatMul", scores, graph.constant(weights, dtype)), graph.constant(bias, dtype))
    flat = graph.add("Softmax", graph.add("Cast", linear, to=TensorProto.FLOAT) if exact else linear, axis=1)
    size = graph.add("Slice", graph.add("Shape", INPUT), *(graph.constant([n], np.int64) for n in (0, 2)))
    shape = graph.add("Concat", size, graph.constant([OUTPUTS], np.int64), axis=0)
    graph.nodes.append(helper.make_node("Reshape", [flat, shape], [OUTPUT]))
    content = helper.make_graph(
        graph.nodes,
        "voxels",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["y", "x", feature_count(Q_GRID)])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["y", "x", OUTPUTS])],
        graph.constants,
    )
    found = helper.make_model(content, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    onnx.checker.check_model(found)
    return bytes(found.SerializeToString())
