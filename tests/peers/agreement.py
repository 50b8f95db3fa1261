"""How far our integer runtime is from onnxruntime on the same quantized file, tensor by tensor."""

import dataclasses

import narrow_cli
import numpy as np
import onnx
import peers

FED = "/fed"  # ends the name of a graph input that stands for a quantized tensor


@dataclasses.dataclass
class Difference:
    """Elements of integer tensors that two runtimes computed, by how many steps they differ."""

    elements: int = 0
    unequal: int = 0
    beyond_one: int = 0
    most: int = 0

    def add(self, ours, theirs):
        if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
            raise AssertionError(f"{ours.dtype} {ours.shape} against {theirs.dtype} {theirs.shape}")
        steps = np.abs(ours.astype(np.int32) - theirs.astype(np.int32))
        self.elements += steps.size
        self.unequal += int(np.count_nonzero(steps))
        self.beyond_one += int(np.count_nonzero(steps > 1))
        self.most = max(self.most, int(steps.max(initial=0)))

    def identical(self):
        """Percent of elements that are equal."""
        return 100.0 * (1 - self.unequal / self.elements)

    def within_one(self):
        """Percent of elements that differ by at most one step."""
        return 100.0 * (1 - self.beyond_one / self.elements)

    def __str__(self):
        return f"identical {self.identical():.4f} %, within one {self.within_one():.4f} %, at most {self.most}"


def quantized_values(model):
    """Names of the integer tensors that the graph computes."""
    return [node.output[0] for node in model.graph.node if node.op_type == "QuantizeLinear"]


def in_onnx_domain(model):
    """A copy whose QuantizeLinear and DequantizeLinear are ONNX's own: shape inference knows no others."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            node.domain = ""
    return copy


def with_quantized_outputs(model):
    """A copy whose graph outputs include every quantized tensor."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    infos = {value.name: value for value in onnx.shape_inference.infer_shapes(in_onnx_domain(model)).graph.value_info}
    copy.graph.output.extend(infos[name] for name in quantized_values(model))
    return copy


def with_layers_apart(model):
    """A copy of with_quantized_outputs() in which each layer reads quantized tensors from graph inputs, named with FED,
    instead of from the layer before: no difference reaches a second layer."""
    copy = with_quantized_outputs(model)
    infos = {value.name: value for value in copy.graph.output}
    values = set(quantized_values(model))
    fed = set()
    for node in copy.graph.node:
        for index, name in enumerate(node.input):
            if name in values:
                node.input[index] = name + FED
                fed.add(name)
    for name in sorted(fed):
        value = copy.graph.input.add()
        value.CopyFrom(infos[name])
        value.name = name + FED
    return copy


def constant_bytes(model):
    """(bytes of the integer constants with their scales and zero points, the float bytes they stand for, channels) and
    the names of float constants that are neither a scale nor a single number."""
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    counted, scales = set(), set()
    replaced = channels = 0
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            scales.add(node.input[1])
        if node.op_type != "DequantizeLinear" or node.input[0] not in arrays:
            continue
        counted.update(node.input)
        replaced += 4 * arrays[node.input[0]].size
        if arrays[node.input[0]].dtype != np.int32:
            channels += arrays[node.input[1]].size
    left = [n for n, a in arrays.items() if a.dtype == np.float32 and a.size > 1 and n not in scales]
    return (sum(arrays[name].nbytes for name in counted), replaced, channels), left


def has_fma():
    """Whether the CPU is an x86-64 one with AVX2 and FMA."""
    with open("/proc/cpuinfo", encoding="utf-8") as text:
        flags = text.read().split()
    return "avx2" in flags and "fma" in flags


def binary_model(operation, data_type, shapes, count):
    """`count` results y0, y1, ... of one operation on a and b, each with its own parameters."""
    generator = np.random.default_rng(count)
    limits = np.iinfo(data_type)
    element = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(data_type))
    graph = onnx.GraphProto(name="pairs")
    for name, shape in zip("ab", shapes, strict=True):
        graph.input.append(onnx.helper.make_tensor_value_info(name, element, shape))
    for i in range(count):
        for name in "aby":
            scale = np.float32(np.exp(generator.uniform(-5, 0)) * (30 if name == "y" and operation == "Mul" else 1))
            zero_point = generator.integers(limits.min, limits.max + 1, dtype=data_type)
            graph.initializer.append(onnx.numpy_helper.from_array(np.array(scale), f"{name}{i}_scale"))
            graph.initializer.append(onnx.numpy_helper.from_array(np.array(zero_point), f"{name}{i}_zero"))
        for name in "ab":
            parameters = [name, f"{name}{i}_scale", f"{name}{i}_zero"]
            graph.node.append(onnx.helper.make_node("DequantizeLinear", parameters, [f"{name}{i}_real"]))
        graph.node.append(onnx.helper.make_node(operation, [f"a{i}_real", f"b{i}_real"], [f"y{i}_real"]))
        parameters = [f"y{i}_real", f"y{i}_scale", f"y{i}_zero"]
        graph.node.append(onnx.helper.make_node("QuantizeLinear", parameters, [f"y{i}"]))
        shape = np.broadcast_shapes(*shapes)
        graph.output.append(onnx.helper.make_tensor_value_info(f"y{i}", element, shape))
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)


def run_onnxruntime(path, values):
    """Every output over the samples, one sample at a time: name -> array."""
    session = peers.make_session(path)
    name = session.get_inputs()[0].name
    outputs = [output.name for output in session.get_outputs()]
    runs = [session.run(outputs, {name: values[i : i + 1]}) for i in range(len(values))]
    return {output: np.concatenate([run[i] for run in runs]) for i, output in enumerate(outputs)}


def run_ours(path, feeds, folder):
    """Every output of narrow's integer runtime over feeds (name -> samples on axis 0): name -> array."""
    data, outputs = folder / "feeds.npz", folder / "outputs.npz"
    np.savez(data, **feeds)
    narrow_cli.run_narrow("run", path, "--data", data, "-o", outputs, "--runtime", "integer", "--quiet")
    with np.load(outputs) as arrays:
        return dict(arrays)


def compare_tensors(model, ours, theirs):
    """name of a quantized tensor -> Difference."""
    differences = {}
    for name in quantized_values(model):
        differences[name] = Difference()
        differences[name].add(ours[name], theirs[name])
    return differences


def total(differences):
    result = Difference()
    for each in differences.values():
        result.elements += each.elements
        result.unequal += each.unequal
        result.beyond_one += each.beyond_one
        result.most = max(result.most, each.most)
    return result
