#!/usr/bin/env python3
"""Makes the glyph test case: a small trained CNN, calibration images, labelled evaluation images.

Everything is drawn and trained here, so the repository carries no outside data. See README.md for
the files it writes. Run with Python 3.11 and these versions:

    pip install torch==2.15.0 onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6
"""

import argparse
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from torch import nn

SIZE = 32
TRAIN_SEED, CALIB_SEED, EVAL_SEED, UNBALANCE_SEED = 1, 2, 3, 4
CALIB_COUNT, EVAL_COUNT = 200, 500
BATCH, STEPS = 128, 1500

# ---------------------------------------------------------------------------------------------
# Glyphs: each class is a list of strokes in the square [-1, 1], y down; a stroke is a list of points.


def line(*points):
    return np.array(points, dtype=np.float32)


def arc(cx, cy, radius, start, stop, steps=12):
    angle = np.radians(np.linspace(start, stop, steps + 1))
    return np.stack([cx + radius * np.cos(angle), cy + radius * np.sin(angle)], axis=1).astype(np.float32)


def spiral(turns, steps=22):
    t = np.linspace(0.12, 1.0, steps + 1)
    angle = 2 * np.pi * turns * t
    return np.stack([0.85 * t * np.cos(angle), 0.85 * t * np.sin(angle)], axis=1).astype(np.float32)


# Most classes have a near twin (ring/gap/bar, plus/times, wave/zigzag ...): between twins the margin
# is small, so an error in a few activations shows up as a changed class.
GLYPHS = {
    "ring": [arc(0, 0, 0.8, 0, 360, 18)],
    "gap": [arc(0, 0, 0.8, 35, 325, 15)],
    "bar": [arc(0, 0, 0.8, 0, 360, 18), line((-0.8, 0), (0.8, 0))],
    "spiral": [spiral(1.6)],
    "square": [line((-0.75, -0.75), (0.75, -0.75), (0.75, 0.75), (-0.75, 0.75), (-0.75, -0.75))],
    "house": [line((-0.7, 0.8), (-0.7, -0.2), (0, -0.85), (0.7, -0.2), (0.7, 0.8), (-0.7, 0.8))],
    "triangle": [line((0, -0.85), (0.8, 0.7), (-0.8, 0.7), (0, -0.85))],
    "hourglass": [line((-0.7, -0.8), (0.7, -0.8), (-0.7, 0.8), (0.7, 0.8), (-0.7, -0.8))],
    "plus": [line((-0.85, 0), (0.85, 0)), line((0, -0.85), (0, 0.85))],
    "times": [line((-0.7, -0.7), (0.7, 0.7)), line((-0.7, 0.7), (0.7, -0.7))],
    "zigzag": [line((-0.7, -0.8), (0.7, -0.8), (-0.7, 0.8), (0.7, 0.8))],
    "wave": [arc(0, -0.42, 0.42, -20, -270, 9), arc(0, 0.42, 0.42, -90, 160, 9)],
    "eight": [arc(0, -0.42, 0.42, 0, 360, 12), arc(0, 0.42, 0.42, 0, 360, 12)],
    "hook": [line((0.4, -0.85), (0.4, 0.3)), arc(-0.1, 0.3, 0.5, 0, 180, 9)],
    "arrow": [line((0, 0.85), (0, -0.85)), line((-0.55, -0.25), (0, -0.85), (0.55, -0.25))],
    "fork": [line((0, 0.85), (0, -0.05)), line((-0.6, -0.85), (0, -0.05), (0.6, -0.85))],
}
CLASSES = list(GLYPHS)


def segment_table():
    """[class, segment, 4] start and end points; short glyphs repeat a segment, which changes nothing."""
    per_class = [
        np.concatenate([np.concatenate([stroke[:-1], stroke[1:]], axis=1) for stroke in strokes])
        for strokes in GLYPHS.values()
    ]
    longest = max(len(segments) for segments in per_class)
    return np.stack([np.resize(segments, (longest, 4)) for segments in per_class])


SEGMENTS = segment_table()

# ---------------------------------------------------------------------------------------------
# Renderer: all samples of a batch at once, [sample, pixel] arrays.


def uniform(rng, low, high, *shape):
    return rng.uniform(low, high, shape).astype(np.float32)


def pixel_grid():
    axis = (np.arange(SIZE, dtype=np.float32) + 0.5) / (SIZE / 2) - 1
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return x.reshape(1, -1), y.reshape(1, -1)


def warp(rng, n, x, y):
    """Pixel -> glyph coordinates. Warping the pixels bends straight strokes too, without splitting them."""
    tilt_x, tilt_y = uniform(rng, -0.2, 0.2, 2, n, 1)
    depth = 1 + tilt_x * x + tilt_y * y
    x, y = (x - uniform(rng, -0.22, 0.22, n, 1)) / depth, (y - uniform(rng, -0.22, 0.22, n, 1)) / depth

    angle, shear = uniform(rng, -0.38, 0.38, n, 1), uniform(rng, -0.3, 0.3, n, 1)
    scale_x, scale_y = uniform(rng, 1.1, 1.9, 2, n, 1)
    x, y = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    x, y = scale_x * (x + shear * y), scale_y * y

    strength = uniform(rng, 0.0, 0.13, 2, n, 1)
    phase, frequency = uniform(rng, 0, 2 * np.pi, 2, n, 1), uniform(rng, 2.0, 4.0, 2, n, 1)
    return x + strength[0] * np.sin(frequency[0] * y + phase[0]), y + strength[1] * np.sin(frequency[1] * x + phase[1])


def distance_to_segments(x, y, segments):
    """Distance of every pixel to the nearest of its sample's segments [sample, segment, 4]."""
    nearest = np.full((len(segments), SIZE * SIZE), np.inf, dtype=np.float32)
    for s in range(segments.shape[1]):  # one segment at a time keeps the arrays inside the cache
        ax, ay, bx, by = (segments[:, s, i : i + 1] for i in range(4))
        dx, dy = bx - ax, by - ay
        along = np.clip(((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy), 0, 1)
        np.minimum(nearest, (x - ax - along * dx) ** 2 + (y - ay - along * dy) ** 2, out=nearest)
    return np.sqrt(nearest)


def ink(distance, half_width, softness):
    return np.clip((half_width - distance) / softness + 0.5, 0, 1)


def clutter(rng, n, x, y, count):
    """Short strokes of the same kind of ink as the glyph, anywhere in the picture."""
    start, angle = uniform(rng, -1, 1, n, count, 2), uniform(rng, 0, 2 * np.pi, n, count, 1)
    reach = uniform(rng, 0.1, 0.5, n, count, 1) * np.concatenate([np.cos(angle), np.sin(angle)], axis=2)
    distance = distance_to_segments(x, y, np.concatenate([start, start + reach], axis=2))
    return ink(distance, uniform(rng, 0.02, 0.06, n, 1), 0.08) * uniform(rng, 0.3, 0.9, n, 1)


def background(rng, n, x, y):
    slope_x, slope_y = uniform(rng, -0.2, 0.2, 2, n, 1)
    ripple, phase = uniform(rng, 0, 0.08, n, 1), uniform(rng, 0, 2 * np.pi, n, 1)
    direction, pitch = uniform(rng, 0, np.pi, n, 1), uniform(rng, 2, 9, n, 1)
    wave = np.sin(pitch * (np.cos(direction) * x + np.sin(direction) * y) + phase)
    return uniform(rng, 0.3, 0.7, n, 1) + slope_x * x + slope_y * y + ripple * wave


def render(rng, labels):
    """uint8 images [n, 32, 32, 1] of the given classes."""
    n = len(labels)
    x, y = pixel_grid()
    glyph_x, glyph_y = warp(rng, n, x, y)
    distance = distance_to_segments(glyph_x, glyph_y, SEGMENTS[labels])
    mask = ink(distance, uniform(rng, 0.05, 0.16, n, 1), uniform(rng, 0.1, 0.25, n, 1))
    mask = np.maximum(mask, clutter(rng, n, x, y, count=4))

    polarity = rng.choice(np.array([-1, 1], dtype=np.float32), (n, 1))
    image = background(rng, n, x, y) + polarity * uniform(rng, 0.12, 0.6, n, 1) * mask
    image += uniform(rng, 0.02, 0.13, n, 1) * rng.standard_normal(image.shape, dtype=np.float32)
    return np.clip(np.rint(image * 255), 0, 255).astype(np.uint8).reshape(n, SIZE, SIZE, 1)


def make_set(seed, count):
    """Classes as equal in number as the count allows, in random order."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % len(CLASSES)).astype(np.int64)
    return render(rng, labels), labels


def preprocess(images):
    """What glyphs.json asks of narrow: NHWC bytes -> NCHW floats in [-1, 1]."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(127.5) - 1)


# ---------------------------------------------------------------------------------------------
# Network: every module can run (forward) and write itself as ONNX nodes (emit), side by side, so
# that the file holds exactly the nodes listed here, unfolded BatchNormalization included.


@dataclass
class GraphWriter:
    nodes: list = field(default_factory=list)
    initializers: dict = field(default_factory=dict)

    def constant(self, name, value):
        self.initializers.setdefault(name, numpy_helper.from_array(np.asarray(value), name))
        return name

    def weights(self, prefix, module, *names):
        return [self.constant(f"{prefix}.{name}", getattr(module, name).detach().numpy()) for name in names]

    def node(self, op, path, inputs, output=None, **attributes):
        name = "/" + path.replace(".", "/")
        output = output or f"{name}_output"
        self.nodes.append(helper.make_node(op, inputs, [output], name=name, **attributes))
        return output


class ConvBn(nn.Module):
    """Conv, BatchNormalization and an activation: None, "relu" or "relu6"."""

    def __init__(self, inputs, outputs, kernel, activation, stride=1, groups=1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.activation = activation

    def forward(self, x):
        x = self.bn(self.conv(x))
        return {None: lambda v: v, "relu": torch.relu, "relu6": nn.functional.relu6}[self.activation](x)

    def emit(self, graph, path, x):
        conv, pad = self.conv, self.conv.padding[0]
        x = graph.node(
            "Conv", f"{path}.conv", [x, *graph.weights(f"{path}.conv", conv, "weight")],
            kernel_shape=conv.kernel_size, strides=conv.stride, pads=[pad] * 4, dilations=[1, 1], group=conv.groups,
        )
        statistics = graph.weights(f"{path}.bn", self.bn, "weight", "bias", "running_mean", "running_var")
        x = graph.node("BatchNormalization", f"{path}.bn", [x, *statistics], epsilon=self.bn.eps)
        if self.activation == "relu":
            x = graph.node("Relu", f"{path}.relu", [x])
        if self.activation == "relu6":
            bounds = [graph.constant("relu6.min", np.float32(0)), graph.constant("relu6.max", np.float32(6))]
            x = graph.node("Clip", f"{path}.relu6", [x, *bounds])
        return x


class Separable(nn.Module):
    """MobileNetV1 block: depthwise 3x3, then 1x1."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.depthwise = ConvBn(inputs, inputs, 3, "relu6", stride, groups=inputs)
        self.pointwise = ConvBn(inputs, outputs, 1, "relu6")

    def forward(self, x):
        return self.pointwise(self.depthwise(x))

    def emit(self, graph, path, x):
        return self.pointwise.emit(graph, f"{path}.pointwise", self.depthwise.emit(graph, f"{path}.depthwise", x))


class Residual(nn.Module):
    """ResNet basic block: Relu after the Add."""

    def __init__(self, channels):
        super().__init__()
        self.first = ConvBn(channels, channels, 3, "relu")
        self.second = ConvBn(channels, channels, 3, None)

    def forward(self, x):
        return torch.relu(x + self.second(self.first(x)))

    def emit(self, graph, path, x):
        y = self.second.emit(graph, f"{path}.second", self.first.emit(graph, f"{path}.first", x))
        return graph.node("Relu", f"{path}.relu", [graph.node("Add", f"{path}.add", [x, y])])


class InvertedResidual(nn.Module):
    """MobileNetV2 block: wide depthwise between two 1x1, no activation after the Add."""

    def __init__(self, channels, wide):
        super().__init__()
        self.expand = ConvBn(channels, wide, 1, "relu6")
        self.depthwise = ConvBn(wide, wide, 3, "relu6", groups=wide)
        self.project = ConvBn(wide, channels, 1, None)

    def forward(self, x):
        return x + self.project(self.depthwise(self.expand(x)))

    def emit(self, graph, path, x):
        y = self.expand.emit(graph, f"{path}.expand", x)
        y = self.depthwise.emit(graph, f"{path}.depthwise", y)
        return graph.node("Add", f"{path}.add", [x, self.project.emit(graph, f"{path}.project", y)])


class GlyphNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = ConvBn(1, 16, 3, "relu")
        self.block1 = Separable(16, 32, stride=1)
        self.block2 = Residual(32)
        self.block3 = Separable(32, 64, stride=2)
        self.block4 = InvertedResidual(64, 160)
        self.head = ConvBn(64, 128, 1, "relu")
        self.classifier = nn.Linear(128, len(CLASSES))

    def forward(self, x):
        x = nn.functional.max_pool2d(self.stem(x), 2)
        x = self.head(self.block4(self.block3(self.block2(self.block1(x)))))
        return self.classifier(x.mean(dim=(2, 3)))

    def emit(self, graph, x):
        x = self.stem.emit(graph, "stem", x)
        x = graph.node("MaxPool", "stem.pool", [x], kernel_shape=[2, 2], strides=[2, 2])
        for name in ("block1", "block2", "block3", "block4", "head"):
            x = getattr(self, name).emit(graph, name, x)
        x = graph.node("GlobalAveragePool", "head.pool", [x])
        x = graph.node("Flatten", "head.flatten", [x], axis=1)
        weights = graph.weights("classifier", self.classifier, "weight", "bias")
        graph.node("Gemm", "classifier", [x, *weights], output="logits", transB=1)


def train(steps):
    torch.manual_seed(TRAIN_SEED)
    rng = np.random.default_rng(TRAIN_SEED)
    net = GlyphNet().train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=4e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=steps)
    for step in range(1, steps + 1):
        labels = rng.integers(0, len(CLASSES), BATCH)
        logits = net(torch.from_numpy(preprocess(render(rng, labels))))
        loss = nn.functional.cross_entropy(logits, torch.from_numpy(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            hit = (logits.argmax(1).numpy() == labels).mean()
            print(f"step {step:5d}  loss {loss.item():.3f}  batch top-1 {hit:.3f}", flush=True)
    return net.eval()


def unbalance(net, octaves=3):
    """Multiplies channels by 2^-3 .. 2^3 before a Relu and divides by the same after it.

    So small a net trains to evenly scaled channels, and plain MinMax int8 cost it nothing. Large
    trained nets, MobileNets above all, are not so kind. Relu, MaxPool and the mean let a positive factor
    through and powers of two round nothing, so the float results stay the same; only quantizing gets
    harder. This is what cross-layer equalization undoes.
    """
    rng = np.random.default_rng(UNBALANCE_SEED)
    pairs = [
        (net.stem.bn, net.block1.depthwise.conv.weight, (-1, 1, 1, 1)),
        (net.block2.first.bn, net.block2.second.conv.weight, (1, -1, 1, 1)),
        (net.head.bn, net.classifier.weight, (1, -1)),
    ]
    with torch.no_grad():
        for bn, next_weight, channel_shape in pairs:
            factor = torch.from_numpy(2.0 ** rng.integers(-octaves, octaves + 1, bn.num_features)).float()
            bn.weight *= factor
            bn.bias *= factor
            next_weight /= factor.reshape(channel_shape)


def to_onnx(net):
    graph = GraphWriter()
    net.emit(graph, "image")
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, SIZE, SIZE])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", len(CLASSES)])
    body = helper.make_graph(graph.nodes, "glyphs", [image], [logits], list(graph.initializers.values()))
    model = helper.make_model(
        body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8,
        producer_name="make_glyphs.py", producer_version="1", doc_string="Classifies 32x32 drawn glyphs.",
    )
    # A converter must carry these through unchanged.
    helper.set_model_props(model, {"task": "classification", "classes": ",".join(CLASSES), "license": "same as narrow"})
    onnx.checker.check_model(model, full_check=True)
    return model


# ---------------------------------------------------------------------------------------------
# Self-check with onnxruntime.


class Calibration(CalibrationDataReader):
    def __init__(self, images, batch=50):
        self.batches = iter([{"image": preprocess(images[i : i + batch])} for i in range(0, len(images), batch)])

    def get_next(self):
        return next(self.batches, None)


def run(path, images):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"image": preprocess(images)})[0]


def top1(path, images, labels):
    return (run(path, images).argmax(1) == labels).mean()


def ort_minmax(model_path, calibration, work, per_channel=True):
    """onnxruntime's own MinMax quantization; its basic optimizations fold BatchNormalization first."""
    folded, quantized = work / "folded.onnx", work / "quantized.onnx"
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(folded)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    ort.InferenceSession(str(model_path), options, providers=["CPUExecutionProvider"])
    quantize_static(
        str(folded), str(quantized), Calibration(calibration), quant_format=QuantFormat.QDQ, per_channel=per_channel,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod.MinMax,
    )
    return quantized


def main():
    parser = argparse.ArgumentParser(description="Make the glyph model and its data.")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent, help="folder to write to")
    parser.add_argument("--steps", type=int, default=STEPS, help="training steps")
    arguments = parser.parse_args()

    # One thread: the order of float additions, and so the file, does not depend on the machine's cores.
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)

    calibration, _ = make_set(CALIB_SEED, CALIB_COUNT)
    images, labels = make_set(EVAL_SEED, EVAL_COUNT)
    np.save(arguments.out / "glyphs_calib.npy", calibration)
    np.save(arguments.out / "glyphs_eval.npy", images)
    np.save(arguments.out / "glyphs_eval_labels.npy", labels)

    net = train(arguments.steps)
    with torch.no_grad():
        expected = net(torch.from_numpy(preprocess(images))).numpy()
    unbalance(net)
    path = arguments.out / "glyphs.onnx"
    onnx.save(to_onnx(net), path)

    np.testing.assert_allclose(run(path, images), expected, rtol=1e-3, atol=1e-3)
    print(f"parameters          {sum(p.numel() for p in net.parameters())}")
    print(f"float top-1         {top1(path, images, labels):.3f}")
    with tempfile.TemporaryDirectory() as work:
        for per_channel, name in ((True, "per channel"), (False, "per tensor")):
            quantized = ort_minmax(path, calibration, Path(work), per_channel)
            print(f"ORT MinMax top-1    {top1(quantized, images, labels):.3f}  {name}")


if __name__ == "__main__":
    main()
