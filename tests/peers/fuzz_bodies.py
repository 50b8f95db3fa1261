"""If, Loop and Scan of random graphs: bodies that read their own values, constants and values from around."""

import numpy as np
from onnx import helper, numpy_helper

from fuzz_graph import FLOAT, Unfit, type_of

ELEMENTWISE = ["Relu", "Sigmoid", "Tanh", "Neg", "Abs"]


def info(name, array, shape=True):
    return helper.make_tensor_value_info(name, type_of(array), array.shape if shape else None)


class Body:
    """Nodes over named values of one shape and type; ends in one of them."""

    def __init__(self, graph):
        self.graph, self.nodes, self.constants = graph, [], []

    def add(self, op, *inputs):
        name = self.graph.new_name("b")
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=self.graph.new_name("n")))
        return name

    def constant(self, array):
        name = self.graph.new_name("c")
        if self.graph.chance(0.5):
            self.constants.append(numpy_helper.from_array(array, name))
        else:
            self.nodes.append(helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array)))
        return name

    def grow(self, names, value):
        """A few operations on values shaped like `value`, by name."""
        graph = self.graph
        current = graph.pick(names)
        for _ in range(graph.integer(1, 3)):
            kind = graph.pick(["unary", "binary", "constant", "product"])
            if kind == "product" and value.array.ndim >= 2 and value.shape[-1] > 0:
                size = value.shape[-1]
                current = self.add("MatMul", current, self.constant((graph.numbers((size, size)) / size).astype(FLOAT)))
            elif kind == "binary":
                current = self.add(graph.pick(["Add", "Sub", "Mul"]), current, graph.pick(names))
            elif kind == "constant":
                current = self.add("Mul", current, self.constant(graph.numbers(value.shape[-1:]) * FLOAT(0.5)))
            else:
                current = self.add(graph.pick(ELEMENTWISE), current)
        return current

    def finish(self, inputs, outputs):
        return helper.make_graph(self.nodes, self.graph.new_name("g"), inputs, outputs, self.constants)


def floats(graph):
    return graph.tensor(lambda v: v.array.ndim > 0 and v.array.size < 2000)


def shaped_like(graph, value):
    same = [other for other in graph.values if other.shape == value.shape and other.array.dtype == value.array.dtype]
    return graph.pick(same)


def branch_body(graph, value, other, depth):
    """A branch that reads both from around; now and then with an If inside."""
    body = Body(graph)
    result = body.grow([value.name, other.name], value)
    if depth > 0 and graph.chance(0.3):
        condition = body.constant(np.array(graph.chance(0.5)))
        branches = {}
        for name in ("then_branch", "else_branch"):
            inner = Body(graph)
            last = inner.grow([result, value.name], value)
            branches[name] = inner.finish([], [info(last, value.array, shape=False)])
        result_inner = graph.new_name("b")
        body.nodes.append(helper.make_node("If", [condition], [result_inner], **branches))
        result = result_inner
    return body.finish([], [info(result, value.array, shape=False)])


def if_node(graph):
    value = floats(graph)
    other = shaped_like(graph, value)
    condition = graph.fresh(np.array(graph.chance(0.5)))
    branches = {name: branch_body(graph, value, other, 1) for name in ("then_branch", "else_branch")}
    node = helper.make_node("If", [condition.name], [graph.new_name()], name=graph.new_name("n"), **branches)
    graph.add_node(node, [condition, value, other], exact=False)


def loop_node(graph):
    value = floats(graph)
    other = shaped_like(graph, value)
    body = Body(graph)
    step, going, carried = (graph.new_name("i") for _ in range(3))
    result = body.add("Tanh", body.grow([carried, other.name], value))
    go_on = body.add("Identity", going)
    row = body.add("ReduceSum", result) if graph.chance(0.5) else result
    scans = graph.integer(0, 1)
    if graph.chance(0.3):
        limit = body.constant(np.array(graph.integer(1, 3), np.int64))
        go_on = body.add("Less", step, limit)
    if row == result and scans:
        row = body.add("Identity", result)
    outputs = [info(go_on, np.array(True)), info(result, value.array)]
    outputs += [helper.make_tensor_value_info(row, 1, None)] * scans
    inputs = [info(step, np.array(1)), info(going, np.array(True)), info(carried, value.array)]
    count = graph.fresh(np.array(graph.integer(1, 4), np.int64))
    reads = [count, value, other]
    condition = graph.fresh(np.array(True)) if graph.chance(0.5) else None
    names = [count.name, condition.name if condition else "", value.name]
    node = helper.make_node("Loop", names, [graph.new_name() for _ in range(1 + scans)], name=graph.new_name("n"),
                            body=body.finish(inputs, outputs))
    graph.add_node(node, reads + ([condition] if condition else []), exact=False)


def scan_node(graph):
    value = floats(graph)
    if value.array.ndim < 2 or 0 in value.shape:
        raise Unfit
    axis = graph.integer(0, value.array.ndim - 1)
    row = np.take(value.array, 0, axis)
    state = graph.fresh(graph.numbers(row.shape))
    body = Body(graph)
    carried, piece = graph.new_name("i"), graph.new_name("i")
    shaped = type(state)("", row, False, "node")
    result = body.add("Tanh", body.add("Add", body.grow([carried, piece], shaped), piece))
    output = body.add("Identity", result)
    inputs = [info(carried, row), info(piece, row)]
    attributes = {"num_scan_inputs": 1, "body": body.finish(inputs, [info(result, row), info(output, row)])}
    if axis or graph.chance(0.5):
        attributes["scan_input_axes"] = [axis - value.array.ndim if graph.chance(0.5) else axis]
    if graph.chance(0.4):
        attributes["scan_input_directions"] = [1]
    if graph.chance(0.4):
        attributes["scan_output_directions"] = [1]
    if graph.chance(0.4):
        attributes["scan_output_axes"] = [graph.integer(-row.ndim - 1, row.ndim)]
    node = helper.make_node("Scan", [state.name, value.name], [graph.new_name(), graph.new_name()],
                            name=graph.new_name("n"), **attributes)
    graph.add_node(node, [state, value], exact=False)


MAKERS = [if_node, if_node, loop_node, loop_node, scan_node]
