"""What random graphs are made of: each maker adds one operator (or one with what it needs) to a graph."""

import numpy as np

import fuzz_bodies
import fuzz_layers
from fuzz_graph import FLOAT, LARGEST, Unfit

INTS = (np.int32, np.int64)
MOVED = (np.float32, np.float32, np.float32, np.int64, np.int32, np.bool_, np.uint8, np.int8, np.float64)

SMOOTH = ["Abs", "Neg", "Relu", "Sigmoid", "Tanh", "Erf", "Exp", "Softplus", "Softsign", "Sin", "Cos", "Atan", "Identity",
          "HardSwish", "Mish", "Sinh", "Asinh", "LeakyRelu", "Elu", "Selu", "Celu", "HardSigmoid", "ThresholdedRelu"]
JUMPING = ["Floor", "Ceil", "Round", "Sign", "IsNaN", "IsInf"]
COMPARISONS = ["Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual"]
REDUCTIONS = ["ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare",
              "ReduceLogSumExp"]

ROUNDED = ["ReduceL2", "ReduceLogSumExp", "ReduceProd"]


def int64s(graph, values):
    return graph.constant(np.array(values, np.int64))


def broadcastable(graph, shape):
    """A shape that broadcasts with `shape`."""
    other = [1 if graph.chance(0.3) else size for size in shape[graph.integer(0, len(shape)) if graph.chance(0.4) else 0 :]]
    return tuple(other)


def operand_for(graph, value):
    """A second operand: of the graph where one fits, or new."""

    def fits(other):
        try:
            return np.broadcast_shapes(value.shape, other.shape) is not None
        except ValueError:
            return False

    shape = broadcastable(graph, value.shape)
    if graph.chance(0.15):
        shape = tuple(graph.integer(1, 3) for _ in range(graph.integer(1, 2))) + tuple(value.shape)
    if graph.chance(0.4):
        return graph.fresh(graph.numbers(shape, value.array.dtype), constant=graph.chance(0.5))
    return graph.tensor(fits, dtype=value.array.dtype, make=lambda _: graph.numbers(shape, value.array.dtype))


def axis_of(graph, value, low=0):
    rank = value.array.ndim
    if rank <= low:
        raise Unfit
    axis = graph.integer(low, rank - 1)
    return axis - rank if graph.chance(0.4) else axis


def unary(graph):
    if graph.chance(0.15):
        value = graph.tensor(lambda v: v.exact)
        return graph.add(graph.pick(JUMPING), [value], exact=True)
    op = graph.pick(SMOOTH)
    value = graph.tensor(dtype=graph.pick([np.float32] * 5 + [np.float64] + list(INTS)))
    attributes = {"alpha": graph.pick([0.1, 1.0, 2.5])} if op in ("LeakyRelu", "Elu", "Celu", "ThresholdedRelu") else {}
    if op == "ThresholdedRelu" and not value.exact:
        raise Unfit
    return graph.add(op, [value], exact=op in ("Abs", "Neg", "Relu", "Identity", "ThresholdedRelu"), **attributes)


def positive_unary(graph):
    (value,) = graph.add("Abs", [graph.tensor()])
    (value,) = graph.add("Add", [value, graph.constant(np.array(0.5, FLOAT))])
    graph.add(graph.pick(["Sqrt", "Log", "Reciprocal"]), [value])


def logic(graph):
    a = graph.tensor(dtype=np.bool_)
    if graph.chance(0.3):
        return graph.add("Not", [a])
    return graph.add(graph.pick(["And", "Or", "Xor"]), [a, operand_for(graph, a)])


def binary(graph):
    a = graph.tensor(dtype=graph.pick([np.float32] * 6 + [np.float64] + list(INTS)))
    b = operand_for(graph, a)
    op = graph.pick(["Add", "Sub", "Mul", "Add", "Mul", "Max", "Min", "Div"])
    if op == "Div" and (np.abs(b.array) < 0.2).any():
        raise Unfit
    pair = [a, b] if graph.chance(0.5) or op == "Div" else [b, a]
    exact = op in ("Max", "Min")
    return graph.add(op, pair, exact=exact)


def variadic(graph):
    a = graph.tensor()
    values = [a] + [operand_for(graph, a) for _ in range(graph.integer(0, 2))]
    return graph.add(graph.pick(["Max", "Min", "Sum", "Mean"]), values)


def power(graph):
    a = graph.tensor()
    return graph.add("Pow", [a, graph.constant(np.array(graph.pick([2.0, 3.0, 1.0, 0.0]), FLOAT))])


def modulo(graph):
    a = graph.tensor(dtype=graph.pick(INTS))
    b = operand_for(graph, a)
    if (b.array == 0).any():
        raise Unfit
    # With fmod, onnxruntime computes integers in double, which does not hold all beyond 2^53.
    exact = all(np.abs(x.array.astype(np.float64)).max(initial=0) < 2**53 for x in (a, b))
    return graph.add("Mod", [a, b], fmod=graph.integer(0, 1) if exact else 0)


def compare(graph):
    a = graph.tensor(lambda v: v.exact, dtype=graph.pick([np.float32, np.int64, np.int32]))
    b = operand_for(graph, a)
    if not b.exact:
        raise Unfit
    return graph.add(graph.pick(COMPARISONS if graph.opset >= 12 else COMPARISONS[:3]), [a, b])


def where(graph):
    a = graph.tensor(dtype=graph.pick(MOVED))
    b = operand_for(graph, a)
    condition = graph.fresh(graph.numbers(broadcastable(graph, a.shape), np.bool_))
    return graph.add("Where", [condition, a, b], exact=True)


def clip(graph):
    value = graph.tensor(dtype=graph.pick([np.float32, np.float32, np.int32]))
    bound = lambda number: graph.fresh(np.array(number, value.array.dtype), constant=graph.chance(0.7))
    low = bound(-1) if graph.chance(0.7) else None
    high = bound(2) if graph.chance(0.7) else None
    return graph.add("Clip", [value, low, high] if high else [value, low] if low else [value], exact=True)


def cast(graph):
    value = graph.tensor(lambda v: v.exact, dtype=graph.pick([np.float32, np.int64, np.int32, np.bool_, np.uint8]))
    target = graph.pick([1, 1, 6, 7, 9, 11, 10])
    if value.array.dtype.kind == "f" and target not in (1, 11, 10, 9, 6, 7):
        raise Unfit
    return graph.add("Cast", [value], exact=True, to=target)


def reduce(graph):
    op = graph.pick(REDUCTIONS)
    small = lambda v: 0 not in v.shape and np.abs(v.array).max(initial=0) < LARGEST  # integers that sums do not overflow
    value = graph.tensor(small, dtype=graph.pick([np.float32] * 4 + [np.int32]))
    if value.array.dtype != FLOAT and op in ROUNDED:
        raise Unfit  # integers made of roots and logarithms, or beyond their type
    rank = value.array.ndim
    axes = sorted(graph.random.permutation(rank)[: graph.integer(0, rank)].tolist())
    axes = [axis - rank if graph.chance(0.3) else axis for axis in axes]
    attributes = {"keepdims": graph.integer(0, 1)}
    inputs = [value]
    if graph.opset >= (13 if op == "ReduceSum" else 18):
        if axes or graph.chance(0.3):
            inputs.append(int64s(graph, axes))
        if graph.chance(0.2):
            attributes["noop_with_empty_axes"] = graph.integer(0, 1)
    elif axes:
        attributes["axes"] = axes
    return graph.add(op, inputs, exact=op in ("ReduceMax", "ReduceMin"), **attributes)


def arg_extreme(graph):
    value = graph.tensor(lambda v: v.exact and v.array.ndim > 0 and 0 not in v.shape)
    attributes = {"axis": axis_of(graph, value), "keepdims": graph.integer(0, 1)}
    if graph.opset >= 12:
        attributes["select_last_index"] = graph.integer(0, 1)
    return graph.add(graph.pick(["ArgMax", "ArgMin"]), [value], **attributes)


def top_k(graph):
    value = graph.tensor(lambda v: v.exact and v.array.ndim > 0 and 0 not in v.shape)
    axis = axis_of(graph, value)
    k = graph.integer(1, value.shape[axis])
    inputs = [value, graph.fresh(np.array([k], np.int64))]
    return graph.add("TopK", inputs, outputs=2, exact=True, axis=axis, largest=graph.integer(0, 1), sorted=1)


def softmax(graph):
    value = graph.tensor(lambda v: v.array.ndim > 0)
    return graph.add(graph.pick(["Softmax", "LogSoftmax"]), [value], axis=axis_of(graph, value))


def cumulative(graph):
    value = graph.tensor(lambda v: v.array.ndim > 0, dtype=graph.pick([np.float32, np.int32]))
    axis = graph.fresh(np.array(axis_of(graph, value), np.int32))
    return graph.add("CumSum", [value, axis], exclusive=graph.integer(0, 1), reverse=graph.integer(0, 1))


def concat(graph):
    first = graph.tensor(lambda v: v.array.ndim > 0, dtype=graph.pick(MOVED))
    axis = axis_of(graph, first)
    values = [first]
    for _ in range(graph.integer(0, 2)):
        shape = list(first.shape)
        shape[axis] = graph.integer(0 if graph.chance(0.1) else 1, 4)
        rest = lambda v: v.array.ndim == first.array.ndim and all(
            a == b for i, (a, b) in enumerate(zip(v.shape, first.shape)) if i != axis % first.array.ndim
        )
        values.append(graph.tensor(rest, dtype=first.array.dtype, make=lambda _: graph.numbers(shape, first.array.dtype)))
    return graph.add("Concat", values, exact=True, axis=axis)


def split(graph):
    value = graph.tensor(lambda v: v.array.ndim > 0, dtype=graph.pick(MOVED))
    axis = axis_of(graph, value)
    size = value.shape[axis]
    parts = graph.integer(1, 3)
    cuts = sorted(graph.integer(0, size) for _ in range(parts - 1))
    sizes = np.diff([0, *cuts, size]).tolist()
    if graph.opset >= 13:
        return graph.add("Split", [value, int64s(graph, sizes)], outputs=parts, exact=True, axis=axis)
    return graph.add("Split", [value], outputs=parts, exact=True, axis=axis, split=sizes)


def slice_(graph):
    value = graph.tensor(lambda v: v.array.ndim > 0, dtype=graph.pick(MOVED))
    rank = value.array.ndim
    axes = graph.random.permutation(rank)[: graph.integer(1, rank)].tolist()
    starts, ends, steps = [], [], []
    for axis in axes:
        size = value.shape[axis]
        steps.append(graph.pick([1, 1, 1, 2, 3, -1, -2]))
        begin, end = graph.integer(-size - 2, size + 2), graph.integer(-size - 2, size + 2)
        if steps[-1] > 0 and graph.chance(0.6):
            begin, end = 0, graph.pick([size, 2**31 - 1, 2**63 - 1, -1])
        if steps[-1] < 0 and graph.chance(0.6):
            begin, end = graph.pick([-1, size - 1]), graph.pick([-(2**31), -(2**63), -size - 1, 0])
        starts.append(begin)
        ends.append(end)
    axes = [axis - rank if graph.chance(0.3) else axis for axis in axes]
    kind = np.int64 if max(map(abs, ends)) > 2**31 - 1 else graph.pick(INTS)
    inputs = [value] + [graph.fresh(np.array(part, kind), constant=graph.chance(0.8)) for part in (starts, ends, axes, steps)]
    if graph.chance(0.3) and axes == list(range(len(axes))):
        inputs[3] = None
    return graph.add("Slice", inputs, exact=True)


def transpose(graph):
    value = graph.tensor(dtype=graph.pick(MOVED))
    named = value.array.ndim > 0 and graph.chance(0.9)
    attributes = {"perm": graph.random.permutation(value.array.ndim).tolist()} if named else {}
    return graph.add("Transpose", [value], exact=True, **attributes)


def factors(graph, size, rank):
    shape = [1] * rank
    for divisor in (2, 2, 2, 3, 3, 5, 7, 11):
        if size % divisor == 0 and size > 1:
            shape[graph.integer(0, rank - 1)] *= divisor
            size //= divisor
    shape[graph.integer(0, rank - 1)] *= size
    return shape


def reshape(graph):
    value = graph.tensor(lambda v: v.array.size > 0, dtype=graph.pick(MOVED))
    shape = factors(graph, value.array.size, graph.integer(1, 5))
    for i, size in enumerate(shape):
        if i < value.array.ndim and size == value.shape[i] and graph.chance(0.4):
            shape[i] = 0
    if graph.chance(0.4):
        shape[graph.integer(0, len(shape) - 1)] = -1
    return graph.add("Reshape", [value, graph.fresh(np.array(shape, np.int64), constant=graph.chance(0.8))], exact=True)


def squeeze(graph):
    value = graph.tensor(lambda v: 1 in v.shape, dtype=graph.pick(MOVED))
    ones = [axis for axis, size in enumerate(value.shape) if size == 1]
    axes = [axis - value.array.ndim if graph.chance(0.3) else axis for axis in ones if graph.chance(0.7)] or ones[:1]
    if graph.opset >= 13:
        return graph.add("Squeeze", [value, int64s(graph, axes)] if graph.chance(0.8) else [value], exact=True)
    return graph.add("Squeeze", [value], exact=True, **({"axes": axes} if graph.chance(0.8) else {}))


def unsqueeze(graph):
    value = graph.tensor(lambda v: v.array.ndim < 5, dtype=graph.pick(MOVED))
    extra = graph.integer(1, 2)
    rank = value.array.ndim + extra
    axes = [int(axis) - rank if graph.chance(0.3) else int(axis) for axis in graph.random.permutation(rank)[:extra]]
    if graph.opset >= 13:
        return graph.add("Unsqueeze", [value, int64s(graph, axes)], exact=True)
    return graph.add("Unsqueeze", [value], exact=True, axes=axes)


def flatten(graph):
    value = graph.tensor(dtype=graph.pick(MOVED))
    return graph.add("Flatten", [value], exact=True, axis=graph.integer(-value.array.ndim, value.array.ndim))


def expand(graph):
    value = graph.tensor(dtype=graph.pick(MOVED))
    shape = [graph.integer(1, 4) if size == 1 else graph.pick([1, size]) for size in value.shape]
    shape = [graph.integer(1, 3) for _ in range(graph.integer(0, 1))] + shape
    return graph.add("Expand", [value, int64s(graph, shape)], exact=True)


def tile(graph):
    value = graph.tensor(lambda v: v.array.ndim < 5, dtype=graph.pick(MOVED))
    repeats = [graph.pick([1, 1, 2, 3, 0] if graph.chance(0.1) else [1, 1, 2, 3]) for _ in value.shape]
    return graph.add("Tile", [value, int64s(graph, repeats)], exact=True)


def pad(graph):
    value = graph.tensor(lambda v: v.array.ndim > 0 and 0 not in v.shape, dtype=graph.pick([np.float32] * 3 + [np.int64]))
    rank = value.array.ndim
    mode = graph.pick(["constant", "constant", "edge", "reflect"] + (["wrap"] if graph.opset >= 19 else []))
    low = -1 if mode == "constant" and graph.chance(0.3) else 0
    pads = [min(graph.integer(low, 3), size - 1 if mode in ("reflect", "wrap") else 3) for size in value.shape * 2]
    inputs = [value, int64s(graph, pads)]
    if mode == "constant" and graph.chance(0.6):
        inputs.append(graph.constant(np.array(graph.integer(-3, 3), value.array.dtype)))
    if graph.opset >= 18 and graph.chance(0.3):
        axes = graph.random.permutation(rank)[: graph.integer(1, rank)].tolist()
        inputs[1] = int64s(graph, [pads[axis] for axis in axes] + [pads[axis + rank] for axis in axes])
        inputs += [None] * (3 - len(inputs)) + [int64s(graph, [axis - rank if graph.chance(0.4) else axis for axis in axes])]
    return graph.add("Pad", inputs, exact=True, mode=mode)


def gather(graph):
    value = graph.tensor(lambda v: v.array.ndim > 0 and 0 not in v.shape, dtype=graph.pick(MOVED))
    axis = axis_of(graph, value)
    size = value.shape[axis]
    indices = lambda shape: graph.fresh(np.asarray(graph.random.integers(-size, size, shape), graph.pick(INTS)))
    if graph.chance(0.3):
        shape = [graph.integer(1, extent) for extent in value.shape]
        return graph.add("GatherElements", [value, indices(shape)], exact=True, axis=axis)
    return graph.add("Gather", [value, indices(graph.dimensions(graph.integer(0, 2)))], exact=True, axis=axis)


def gather_nd(graph):
    value = graph.tensor(lambda v: 1 <= v.array.ndim and 0 not in v.shape, dtype=graph.pick(MOVED))
    batch = graph.integer(0, min(2, value.array.ndim - 1)) if graph.opset >= 12 else 0
    depth = graph.integer(1, value.array.ndim - batch)
    outer = list(value.shape[:batch]) + [graph.integer(1, 3) for _ in range(graph.integer(0 if batch else 1, 2))]
    columns = [graph.random.integers(-size, size, outer) for size in value.shape[batch : batch + depth]]
    indices = graph.fresh(np.stack(columns, axis=-1).astype(np.int64))
    return graph.add("GatherND", [value, indices], exact=True, **({"batch_dims": batch} if batch else {}))


def scatter(graph):
    value = graph.tensor(lambda v: v.array.ndim > 0 and 0 not in v.shape)
    axis = axis_of(graph, value)
    size = value.shape[axis]
    shape = [graph.integer(1, extent) for extent in value.shape]
    order = np.argsort(graph.random.random(list(value.shape)), axis=axis)  # no index twice along the axis
    indices = order[tuple(slice(0, extent) for extent in shape)].astype(np.int64)
    attributes = {"reduction": graph.pick(["none", "add", "mul"])} if graph.opset >= 16 else {}
    return graph.add("ScatterElements", [value, graph.fresh(indices), graph.fresh(graph.numbers(shape))], axis=axis,
                     **attributes)


def scatter_nd(graph):
    value = graph.tensor(lambda v: v.array.ndim > 0 and 0 not in v.shape)
    depth = graph.integer(1, value.array.ndim)
    places = int(np.prod(value.shape[:depth]))
    chosen = graph.random.permutation(places)[: graph.integer(1, min(4, places))]
    indices = np.stack(np.unravel_index(chosen, value.shape[:depth]), axis=-1).astype(np.int64)
    updates = graph.numbers((len(chosen), *value.shape[depth:]))
    attributes = {"reduction": graph.pick(["none", "add", "mul"])} if graph.opset >= 16 else {}
    return graph.add("ScatterND", [value, graph.fresh(indices), graph.fresh(updates)], **attributes)


def one_hot(graph):
    depth = graph.integer(1, 5)
    indices = graph.fresh(graph.random.integers(-depth, depth, graph.dimensions(graph.integer(0, 3))).astype(np.int64))
    values = graph.fresh(np.array([graph.integer(-2, 0), graph.integer(1, 3)], graph.pick([FLOAT, np.int64])))
    axis = graph.integer(-indices.array.ndim - 1, indices.array.ndim)
    return graph.add("OneHot", [indices, graph.fresh(np.array(depth, np.int64)), values], exact=True, axis=axis)


def shapes(graph):
    value = graph.tensor(dtype=graph.pick(MOVED))
    if graph.chance(0.3):
        return graph.add("Size", [value])
    attributes = {}
    if graph.opset >= 15 and graph.chance(0.5):
        attributes = {"start": graph.integer(-5, 4), "end": graph.integer(-5, 5)}
    (shape,) = graph.add("Shape", [value], **attributes)
    if graph.chance(0.5) and shape.array.size > 0 and not attributes:
        flat = graph.tensor(lambda v: v.array.size == value.array.size)
        if flat.array.size == value.array.size and flat.array.size > 0:
            return graph.add("Reshape", [flat, shape], exact=True)
    return None


def data_dependent(graph):
    if graph.chance(0.5):
        # Of a scalar onnxruntime gives one row, ONNX none.
        exact = lambda v: v.exact and v.array.ndim > 0
        return graph.add("NonZero", [graph.tensor(exact, dtype=graph.pick([np.bool_, np.int64]))])
    value = graph.tensor(lambda v: v.array.ndim > 0 and 0 not in v.shape)
    axis = axis_of(graph, value)
    condition = graph.fresh(graph.numbers((value.shape[axis],), np.bool_))
    return graph.add("Compress", [value, condition], exact=True, axis=axis)


def trilu(graph):
    value = graph.tensor(lambda v: v.array.ndim >= 2, dtype=graph.pick([np.float32, np.int64]))
    if graph.opset < 14:
        raise Unfit
    inputs = [value] + ([graph.fresh(np.array(graph.integer(-3, 3), np.int64))] if graph.chance(0.6) else [])
    return graph.add("Trilu", inputs, exact=True, upper=graph.integer(0, 1))


def generators(graph):
    if graph.chance(0.5):
        start, step, count = graph.integer(-3, 3), graph.pick([1, 2, -1]), graph.integer(0, 6)
        numbers = [graph.fresh(np.array(n, np.int64)) for n in (start, start + step * count, step)]
        return graph.add("Range", numbers)
    shape = graph.fresh(np.array(graph.dimensions(graph.integer(1, 3)), np.int64))
    return graph.add("ConstantOfShape", [shape])


def reverse_sequence(graph):
    value = graph.tensor(lambda v: v.array.ndim >= 2 and 0 not in v.shape)
    batch = graph.integer(0, 1)
    lengths = graph.random.integers(1, value.shape[1 - batch] + 1, value.shape[batch]).astype(np.int64)
    return graph.add("ReverseSequence", [value, graph.fresh(lengths)], exact=True, batch_axis=batch, time_axis=1 - batch)


def blocks(graph):
    rearranged = {"make": lambda _: graph.numbers((graph.integer(1, 2), 4 * graph.integer(1, 3), 2 * graph.integer(1, 3), 4))}
    value = graph.tensor(lambda v: v.shape[1] % 4 == 0, rank=(4,), **rearranged)
    if graph.chance(0.5) and value.shape[2] % 2 == 0 and value.shape[3] % 2 == 0:
        return graph.add("SpaceToDepth", [value], exact=True, blocksize=2)
    return graph.add("DepthToSpace", [value], exact=True, blocksize=2, mode=graph.pick(["DCR", "CRD"]))


MAKERS = [
    unary, unary, positive_unary, logic, binary, binary, binary, variadic, power, modulo, compare, where, clip, cast,
    reduce, reduce, arg_extreme, top_k, softmax, cumulative, concat, split, slice_, slice_, transpose, transpose, reshape,
    squeeze, unsqueeze, flatten, expand, tile, pad, gather, gather_nd, scatter, scatter_nd, one_hot, shapes, data_dependent,
    trilu, generators, reverse_sequence, blocks,
    *fuzz_layers.MAKERS, *fuzz_bodies.MAKERS,
]
