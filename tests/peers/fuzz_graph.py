"""Random graphs: nodes are added one by one, each run by onnxruntime at once, so that every value is known."""

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

OPSETS = (11, 13, 14, 16, 17, 18, 20, 21, 22)
FLOAT = np.float32
LARGEST = 1e4  # values beyond it leave the graph: their products say nothing
MAX_ELEMENTS = 20000


class Unfit(Exception):
    """No such node can be added here."""


def disable_optimizations():
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


def run_onnxruntime(model, feed):
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), disable_optimizations(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, feed)


def names_read(nodes):
    """By the nodes and by their bodies."""
    names = {name for node in nodes for name in node.input}
    for node in nodes:
        for attribute in node.attribute:
            names |= names_read(attribute.g.node)
    return names


def type_of(array):
    return helper.np_dtype_to_tensor_dtype(array.dtype)


class Value:
    """`exact`: computed without rounding, so that functions with jumps may read it."""

    def __init__(self, name, array, exact, kind):
        self.name, self.array, self.exact, self.kind = name, array, exact, kind  # kind: input, constant, node
        self.read = False

    @property
    def shape(self):
        return self.array.shape


class Graph:
    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.seed = seed
        self.opset = int(self.random.choice(OPSETS))
        self.values = []
        self.nodes = []
        self.count = 0

    # Choices.
    def chance(self, share):
        return bool(self.random.random() < share)

    def pick(self, choices):
        return choices[int(self.random.integers(len(choices)))]

    def integer(self, low, high):
        """Both ends included."""
        return int(self.random.integers(low, high + 1))

    def new_name(self, prefix="v"):
        self.count += 1
        return f"{prefix}{self.count}"

    # Values.
    def numbers(self, shape, dtype=FLOAT):
        dtype = np.dtype(dtype)
        if dtype == np.bool_:
            return self.random.random(shape) < 0.5
        if dtype.kind == "f":
            spread = self.pick([0.5, 1.0, 3.0])
            return np.asarray(self.random.uniform(-spread, spread, shape), dtype)
        low = 0 if dtype.kind == "u" else -20
        return np.asarray(self.random.integers(low, 21, shape), dtype)

    def fresh(self, array, constant=None):
        """A new input or initializer."""
        constant = self.chance(0.5) if constant is None else constant
        value = Value(self.new_name(), np.asarray(array), True, "constant" if constant else "input")
        self.values.append(value)
        return value

    def constant(self, array):
        return self.fresh(array, constant=True)

    def dimensions(self, rank, low=1):
        shape = [self.integer(low, 6) for _ in range(rank)]
        if rank > 0 and self.chance(0.04):
            shape[self.integer(0, rank - 1)] = 0
        return tuple(shape)

    def tensor(self, accepts=lambda value: True, dtype=FLOAT, rank=None, make=None):
        """A value of the graph that fits, or a new one; Unfit if even that does not."""
        fitting = [
            value
            for value in self.values
            if value.array.dtype == dtype
            and (rank is None or value.array.ndim in rank)
            and value.array.size <= MAX_ELEMENTS
            and accepts(value)
        ]
        if fitting and self.chance(0.8):
            # The newest are the likeliest, so that graphs get deep.
            return fitting[-1 - min(int(self.random.geometric(0.5)) - 1, len(fitting) - 1)]
        ranks = rank or (0, 1, 2, 3, 4, 4, 4, 5)
        shape = self.dimensions(self.pick(list(ranks)))
        made = self.fresh(make(shape) if make else self.numbers(shape, dtype), constant=self.chance(0.25))
        if not accepts(made):
            raise Unfit
        return made

    # Nodes.
    def add(self, op, inputs, outputs=1, exact=False, wanted=None, **attributes):
        """Adds a node over values (None: left out). `exact`: rounds nothing that was exact. `wanted`: outputs kept."""
        names = [value.name if value else "" for value in inputs]
        results = [self.new_name() for _ in range(outputs)]
        if wanted is not None:
            results = [name if keep else "" for name, keep in zip(results, wanted)]
        node = helper.make_node(op, names, results, name=self.new_name("n"), **attributes)
        return self.add_node(node, [value for value in inputs if value], exact)

    def add_node(self, node, reads, exact):
        made = [name for name in node.output if name]
        arrays = self.evaluate(node, reads, made)
        for array in arrays:
            if not isinstance(array, np.ndarray) or array.size > 4 * MAX_ELEMENTS:
                raise Unfit
            if array.dtype.kind == "f" and not np.all(np.abs(array.astype(np.float64)) < LARGEST):
                raise Unfit  # NaN too
        self.nodes.append(node)
        for value in reads:
            value.read = True
        exact = exact and all(value.exact for value in reads)
        results = [Value(name, array, exact or array.dtype.kind in "biu", "node") for name, array in zip(made, arrays)]
        self.values += results
        return results

    def evaluate(self, node, reads, outputs):
        unique = {value.name: value for value in reads}
        inputs = [helper.make_tensor_value_info(v.name, type_of(v.array), v.shape) for v in unique.values()]
        constants = [numpy_helper.from_array(v.array, v.name) for v in unique.values() if v.kind == "constant"]
        inputs = [info for info, v in zip(inputs, unique.values()) if v.kind != "constant"]
        graph = helper.make_graph([node], "one", inputs, [onnx.ValueInfoProto(name=o) for o in outputs], constants)
        try:
            return run_onnxruntime(self.wrap(graph), {v.name: v.array for v in unique.values() if v.kind != "constant"})
        except Exception as error:  # onnxruntime refuses or has no kernel: its business
            raise Unfit from error

    def wrap(self, graph):
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)],
            ir_version=8,
        )

    def model(self):
        """The graph with its leaves, and a few values from within, as outputs; and the feed."""
        used = names_read(self.nodes)
        inputs, constants, feed = [], [], {}
        for value in self.values:
            if value.name not in used or value.kind == "node":
                continue
            if value.kind == "constant":
                constants.append(numpy_helper.from_array(value.array, value.name))
                continue
            shape = [None if self.chance(0.3) else size for size in value.shape]
            inputs.append(helper.make_tensor_value_info(value.name, type_of(value.array), shape))
            feed[value.name] = value.array
        outputs = [v for v in self.values if v.kind == "node" and (v.name not in used or self.chance(0.1))]
        infos = [helper.make_tensor_value_info(v.name, type_of(v.array), [None] * v.array.ndim) for v in outputs]
        model = self.wrap(helper.make_graph(self.nodes, f"fuzz_{self.seed}", inputs, infos, constants))
        return model, feed
