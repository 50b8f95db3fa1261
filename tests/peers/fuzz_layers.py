"""Layers of random graphs: products, convolutions, poolings, normalizations, quantization, recurrences."""

import numpy as np

from fuzz_graph import FLOAT, Unfit


def images(graph, rank=None):
    """A value [batch, channels, spatial...]."""
    rank = rank or graph.pick([3, 4, 4, 4, 4, 5])
    shape = lambda: (graph.integer(1, 2), graph.pick([1, 2, 3, 4, 8, 16, 17]), *[graph.integer(2, 8) for _ in range(rank - 2)])
    value = graph.tensor(lambda v: 0 not in v.shape, rank=(rank,), make=lambda _: graph.numbers(shape()))
    return value


def weights(graph, shape, scale=None):
    numbers = graph.numbers(shape) * FLOAT(scale or 1)
    return graph.fresh(numbers.astype(FLOAT), constant=graph.chance(0.85))


def window(graph, value, convolution=False, dilates=False):
    spatial = value.shape[2:]
    kernel = [graph.integer(1, min(4, size)) for size in spatial]
    attributes = {"kernel_shape": kernel}
    if graph.chance(0.5):
        attributes["strides"] = [graph.integer(1, 3) for _ in spatial]
    if graph.chance(0.3) and (convolution or dilates or graph.opset >= 19):
        attributes["dilations"] = [graph.integer(1, 2) for _ in spatial]
    # With both, onnxruntime's poolings give other sizes than ONNX's formula.
    if graph.chance(0.2) and (convolution or "dilations" not in attributes):
        attributes["auto_pad"] = graph.pick(["SAME_UPPER", "SAME_LOWER", "VALID"])
    elif graph.chance(0.6):
        attributes["pads"] = [graph.integer(0, max(0, side - 1)) for side in kernel * 2]
    return attributes


def activation(graph, value):
    """What often follows a layer, so that fusion has something to do."""
    kind = graph.pick(["none", "none", "relu", "clip", "norm", "add", "add relu", "norm relu", "sigmoid mul"])
    if "norm" in kind:
        channels = value.shape[1] if value.array.ndim > 1 else 0
        if value.array.ndim < 3 or channels == 0:
            return
        statistics = [weights(graph, (channels,)) for _ in range(3)] + [graph.constant(np.abs(graph.numbers((channels,))) + FLOAT(0.3))]
        (value,) = graph.add("BatchNormalization", [value, *statistics], epsilon=graph.pick([1e-5, 1e-3]))
    if "add" in kind:
        shape = value.shape if graph.chance(0.8) else (value.shape[1], *[1] * (value.array.ndim - 2)) if value.array.ndim > 2 else ()
        other = graph.tensor(lambda v: v.shape == shape, make=lambda _: graph.numbers(shape))
        if other.shape != shape:
            other = graph.fresh(graph.numbers(shape))
        (value,) = graph.add("Add", [value, other] if graph.chance(0.5) else [other, value])
    if "relu" in kind:
        (value,) = graph.add("Relu", [value])
    if kind == "clip":
        bounds = [graph.constant(np.array(number, FLOAT)) for number in (graph.pick([0, -1]), graph.pick([6, 1]))]
        graph.add("Clip", [value, *bounds])
    if kind == "sigmoid mul":
        (gate,) = graph.add("Sigmoid", [value])
        graph.add("Mul", [value, gate])


def convolution(graph):
    value = images(graph)
    channels = value.shape[1]
    groups = graph.pick([g for g in (1, 1, 1, 2, channels) if channels % g == 0])
    attributes = window(graph, value, convolution=True)
    filters = groups * graph.integer(1, 2 if groups > 2 else 8)
    weight = weights(graph, (filters, channels // groups, *attributes["kernel_shape"]), scale=0.5)
    inputs = [value, weight] + ([weights(graph, (filters,))] if graph.chance(0.6) else [])
    if graph.chance(0.3):
        del attributes["kernel_shape"]
    (value,) = graph.add("Conv", inputs, group=groups, **attributes)
    activation(graph, value)


def deconvolution(graph):
    value = images(graph)
    channels = value.shape[1]
    groups = graph.pick([g for g in (1, 1, 2, channels) if channels % g == 0])
    spatial = value.array.ndim - 2
    kernel = [graph.integer(1, 4) for _ in range(spatial)]
    strides = [graph.integer(1, 3) for _ in range(spatial)]
    attributes = {"group": groups, "kernel_shape": kernel, "strides": strides}
    if graph.chance(0.3):
        attributes["dilations"] = [graph.integer(1, 2) for _ in range(spatial)]
    if graph.chance(0.5):
        attributes["pads"] = [graph.integer(0, side - 1) for side in kernel * 2]
    if graph.chance(0.3):
        attributes["output_padding"] = [graph.integer(0, stride - 1) for stride in strides]
    weight = weights(graph, (channels, graph.integer(1, 4), *kernel), scale=0.5)
    inputs = [value, weight]
    if graph.chance(0.5):
        inputs.append(weights(graph, (weight.shape[1] * groups,)))
    (value,) = graph.add("ConvTranspose", inputs, **attributes)
    activation(graph, value)


def pool(graph):
    value = images(graph)
    op = graph.pick(["MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool"])
    if op.startswith("Global"):
        return graph.add(op, [value])
    attributes = window(graph, value, dilates=op == "MaxPool")
    if graph.chance(0.3) and op != "LpPool" and "auto_pad" not in attributes:
        attributes["ceil_mode"] = 1
    if op == "AveragePool" and graph.chance(0.5):
        attributes["count_include_pad"] = 1
    if op == "LpPool":
        attributes.pop("dilations", None)
        attributes["p"] = graph.integer(1, 3)
    extents = [(side - 1) * step + 1 for side, step in zip(attributes["kernel_shape"], attributes.get("dilations", [1] * 3))]
    sides = np.array(attributes.get("pads", [0] * 2 * len(extents))).reshape(2, -1).sum(axis=0) + value.shape[2:]
    if (np.array(extents) > sides).any():
        raise Unfit  # of a window that does not fit onnxruntime makes an empty tensor
    strides = attributes.get("strides", [1] * len(extents))
    if "auto_pad" in attributes and any(step > extent for step, extent in zip(strides, extents)):
        raise Unfit  # onnxruntime pads by negative numbers
    exact = op == "MaxPool"
    two = op == "MaxPool" and value.exact and graph.chance(0.2)
    return graph.add(op, [value], outputs=2 if two else 1, exact=exact, **attributes)


def gemm(graph):
    value = graph.tensor(rank=(2,), make=lambda _: graph.numbers((graph.integer(1, 5), graph.integer(1, 9))))
    transposed = [graph.integer(0, 1), graph.integer(0, 1)]
    depth = value.shape[0] if transposed[0] else value.shape[1]
    rows = value.shape[1] if transposed[0] else value.shape[0]
    columns = graph.pick([1, 3, 8, 16])
    weight = weights(graph, (columns, depth) if transposed[1] else (depth, columns))
    inputs = [value, weight]
    if graph.chance(0.6):
        inputs.append(weights(graph, graph.pick([(columns,), (1, columns), (rows, 1), (rows, columns), (1,), ()])))
    attributes = {"transA": transposed[0], "transB": transposed[1]}
    if graph.chance(0.3):
        attributes |= {"alpha": 0.5, "beta": graph.pick([0.0, 2.0])}
        if depth == 0:
            raise Unfit  # onnxruntime forgets beta where the sum is empty
    (value,) = graph.add("Gemm", inputs, **attributes)
    if graph.chance(0.4):
        graph.add("Relu", [value])


def matmul(graph):
    value = graph.tensor(lambda v: v.array.ndim > 0)
    depth = value.shape[-1]
    if depth == 0:
        raise Unfit  # onnxruntime's sum of nothing is whatever lay in memory
    form = graph.pick(["matrix", "matrix", "vector", "stack", "repeat"])
    shape = {"matrix": (depth, graph.pick([1, 4, 16])), "vector": (depth,)}.get(form)
    if form == "stack":
        shape = (*[graph.pick([1, size]) for size in value.shape[:-2]], depth, graph.integer(1, 4))
    if form == "repeat":
        shape = (graph.integer(1, 3), *[1] * max(0, value.array.ndim - 2), depth, graph.integer(1, 4))
    weight = weights(graph, shape)
    if value.array.ndim == 1 and graph.chance(0.3):
        weight, value = value, weights(graph, (graph.integer(1, 4), depth))
    (value,) = graph.add("MatMul", [value, weight])
    if graph.chance(0.4) and value.array.ndim > 0:
        graph.add("Add", [value, weights(graph, value.shape[-1:])])


def normalization(graph):
    op = graph.pick(["InstanceNormalization", "LRN", "LayerNormalization", "LpNormalization", "GroupNormalization",
                     "BatchNormalization", "PRelu"])
    value = images(graph)
    channels = value.shape[1]
    vector = lambda: weights(graph, (channels,))
    if op == "InstanceNormalization":
        if np.prod(value.shape[2:]) < 4:
            raise Unfit
        return graph.add(op, [value, vector(), vector()], epsilon=1e-2)
    if op == "LRN":
        if np.abs(value.array).max(initial=0.0) > 100:  # onnxruntime slides one sum over the channels: rounding stays in it
            raise Unfit
        return graph.add(op, [value], size=graph.pick([1, 3, 5]), alpha=0.1, beta=0.75, bias=2.0)
    if op == "LpNormalization":
        magnitudes = np.abs(value.array[value.array != 0])
        if np.any((magnitudes < 1e-15) | (magnitudes > 1e15)):  # squares leave float32, which narrow does not sum in
            raise Unfit
        return graph.add(op, [value], axis=graph.integer(-1, value.array.ndim - 1), p=graph.integer(1, 2))
    if op == "PRelu":
        shape = graph.pick([(channels, *[1] * (value.array.ndim - 2)), (1,), value.shape, value.shape[-1:]])
        return graph.add(op, [value, weights(graph, shape)])
    if op == "BatchNormalization":
        return graph.add(op, [value, vector(), vector(), vector(), graph.constant(np.abs(graph.numbers((channels,))) + FLOAT(0.3))])
    if op == "GroupNormalization":
        groups = graph.pick([g for g in (1, 2, channels) if channels % g == 0])
        size = channels if graph.opset >= 21 else groups
        return graph.add(op, [value, weights(graph, (size,)), weights(graph, (size,))], num_groups=groups, epsilon=1e-2)
    axis = graph.integer(1, value.array.ndim - 1)
    shape = value.shape[axis:]
    inputs = [value, weights(graph, shape)] + ([weights(graph, shape)] if graph.chance(0.6) else [])
    axis = axis - value.array.ndim if graph.chance(0.5) else axis
    return graph.add(op, inputs, axis=axis, epsilon=1e-2)


def resize(graph):
    value = images(graph, rank=graph.pick([3, 4, 4]))
    mode = graph.pick(["nearest", "linear", "cubic"] if value.array.ndim == 4 else ["nearest", "linear"])
    attributes = {"mode": mode}
    attributes["coordinate_transformation_mode"] = graph.pick(["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"])
    if mode == "nearest":
        if not value.exact and attributes["coordinate_transformation_mode"] == "align_corners":
            raise Unfit
        attributes["nearest_mode"] = graph.pick(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
    sizes = [*value.shape[:2], *[graph.integer(1, 9) for _ in value.shape[2:]]]
    roi = graph.constant(np.array([], FLOAT)) if graph.opset < 13 else None
    if graph.chance(0.5):
        scales = np.array([1, 1, *[graph.pick([0.5, 1.0, 1.5, 2.0, 3.0]) for _ in value.shape[2:]]], FLOAT)
        return graph.add("Resize", [value, roi, graph.constant(scales)], exact=mode == "nearest", **attributes)
    empty = graph.constant(np.array([], FLOAT)) if graph.opset < 13 else None
    return graph.add("Resize", [value, roi, empty, graph.constant(np.array(sizes, np.int64))], exact=mode == "nearest", **attributes)


def recurrence(graph):
    op, gates = graph.pick([("RNN", 1), ("GRU", 3), ("LSTM", 4)])
    steps, batch, width, hidden = (graph.integer(1, 4) for _ in range(4))
    value = graph.tensor(lambda v: 0 not in v.shape and max(v.shape) < 20, rank=(3,), make=lambda _: graph.numbers((steps, batch, width)))
    steps, batch, width = value.shape
    direction = graph.pick(["forward", "reverse", "bidirectional"])
    count = 2 if direction == "bidirectional" else 1
    inputs = [value, weights(graph, (count, gates * hidden, width)), weights(graph, (count, gates * hidden, hidden))]
    inputs.append(weights(graph, (count, 2 * gates * hidden)) if graph.chance(0.6) else None)
    lengths = graph.random.integers(1, steps + 1, batch).astype(np.int32)
    inputs.append(graph.fresh(lengths) if graph.chance(0.3) else None)
    states = 2 if op == "LSTM" else 1
    for _ in range(states):
        inputs.append(weights(graph, (count, batch, hidden)) if graph.chance(0.4) else None)
    while inputs[-1] is None:
        inputs.pop()
    outputs = 1 + states
    wanted = [graph.chance(0.7) for _ in range(outputs - 1)] + [True]
    return graph.add(op, inputs, outputs=outputs, wanted=wanted, hidden_size=hidden, direction=direction)


def quantization(graph):
    value = graph.tensor(lambda v: v.exact and v.array.ndim > 0 and 0 not in v.shape)
    kind = graph.pick([np.uint8, np.int8])
    axis = graph.integer(0, value.array.ndim - 1)
    per_axis = graph.chance(0.4) and graph.opset >= 13
    shape = (value.shape[axis],) if per_axis else ()
    scale = graph.constant((np.abs(graph.numbers(shape)) * 0.1 + 0.01).astype(FLOAT))
    zero = graph.constant(graph.random.integers(0, 9, shape).astype(kind))
    attributes = {"axis": axis} if graph.opset >= 13 else {}
    (quantized,) = graph.add("QuantizeLinear", [value, scale, zero], exact=True, **attributes)
    graph.add("DequantizeLinear", [quantized, scale, zero], **attributes)
    if quantized.array.ndim >= 2 and graph.chance(0.5):
        weight = graph.constant(graph.numbers((quantized.shape[-1], 3), np.int8))
        point = None if per_axis else graph.constant(np.array(3, kind))
        graph.add("MatMulInteger", [quantized, weight] + ([point] if point else []))


def einsum(graph):
    equation, ranks = graph.pick([("ij,jk->ik", (2, 2)), ("bij,bjk->bik", (3, 3)), ("bhqd,bhkd->bhqk", (4, 4)), ("ij->ji", (2,)),
                                  ("ij,ij->i", (2, 2)), ("i,j->ij", (1, 1)), ("...i,ij->...j", (3, 2)), ("ijk->k", (3,))])
    value = graph.tensor(rank=(ranks[0],))
    sizes = dict(zip(equation.split(",")[0].split("-")[0].replace("...", "ab"[: ranks[0] - 1]), value.shape))
    operands = [value]
    terms = equation.split("->")[0].split(",")
    if len(terms) > 1:
        operands.append(weights(graph, tuple(sizes.setdefault(c, graph.integer(1, 5)) for c in terms[1])))
    return graph.add("Einsum", operands, equation=equation)


def attention(graph):
    """The pattern of transformers: projections, heads, softmax, product."""
    batch, steps, heads, width = graph.integer(1, 2), graph.integer(1, 5), graph.integer(1, 3), graph.integer(1, 4)
    model = heads * width
    value = graph.tensor(lambda v: v.shape == (batch, steps, model), rank=(3,), make=lambda _: graph.numbers((batch, steps, model)))
    if value.shape != (batch, steps, model):
        value = graph.fresh(graph.numbers((batch, steps, model)))
    parts = []
    for order in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]):
        (projected,) = graph.add("MatMul", [value, weights(graph, (model, model), scale=0.5)])
        (projected,) = graph.add("Add", [projected, weights(graph, (model,))])
        (split,) = graph.add("Reshape", [projected, graph.constant(np.array([0, 0, heads, width], np.int64))])
        parts += graph.add("Transpose", [split], perm=order)
    (scores,) = graph.add("MatMul", parts[:2])
    (scores,) = graph.add("Div", [scores, graph.constant(np.array(np.sqrt(width), FLOAT))])
    if graph.chance(0.5):
        (scores,) = graph.add("Add", [scores, graph.fresh(graph.numbers((batch, 1, 1, steps)))])
    (shares,) = graph.add("Softmax", [scores], axis=-1 if graph.opset >= 13 else 3)
    (mixed,) = graph.add("MatMul", [shares, parts[2]])
    (mixed,) = graph.add("Transpose", [mixed], perm=[0, 2, 1, 3])
    graph.add("Reshape", [mixed, graph.constant(np.array([0, 0, model], np.int64))])


MAKERS = [
    convolution, convolution, convolution, convolution, deconvolution, pool, pool, gemm, gemm, matmul, matmul, normalization,
    normalization, resize, recurrence, quantization, einsum, attention,
]
