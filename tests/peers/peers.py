"""The peers: onnxruntime and OpenVINO as consumers, onnxruntime's static quantization as a competitor."""

import logging
import pathlib
import tempfile

import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import version_converter
from onnxruntime import quantization
from onnxruntime.quantization import shape_inference

INTEGER_OPS = {"QLinearConv", "ConvInteger", "QGemm", "QLinearMatMul", "MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul"}
FLOAT_OPS = {"Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul"}
QUANTIZER_OPSET = 13  # the first with per-channel QuantizeLinear; older models are converted for the peer


def float_inputs(model):
    """Graph inputs that are not initializers (old models list those too)."""
    initializers = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in initializers]


def make_session(path, optimized_path=None, optimized=True):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 2
    if optimized_path:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(optimized_path)
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run_onnxruntime(path, samples, optimized=True):
    """First output over all samples (batch axis first), as one array."""
    session = make_session(path, optimized=optimized)
    model_input = session.get_inputs()[0]
    batch = model_input.shape[0] if isinstance(model_input.shape[0], int) else 50
    pieces = [samples[i : i + batch] for i in range(0, len(samples), batch)]
    return np.concatenate([session.run(None, {model_input.name: piece})[0] for piece in pieces])


def onnxruntime_ops(path):
    """Operators of the graph that onnxruntime runs: name -> count."""
    with tempfile.TemporaryDirectory() as folder:
        optimized = pathlib.Path(folder, "optimized.onnx")
        make_session(path, optimized)
        counts = {}
        for node in onnx.load(optimized).graph.node:
            counts[node.op_type] = counts.get(node.op_type, 0) + 1
        return counts


def run_openvino(path, samples):
    core = openvino.Core()
    model = core.read_model(str(path))
    if model.inputs[0].partial_shape[0].is_dynamic:
        shape = model.inputs[0].partial_shape
        shape[0] = 1
        model.reshape({model.inputs[0]: shape})
    compiled = core.compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": 2, "INFERENCE_PRECISION_HINT": "f32"})
    return np.concatenate([compiled([samples[i : i + 1]])[0] for i in range(len(samples))])


def openvino_products(path):
    """Convolutions and matrix products of the graph that OpenVINO runs: [(name, layer type, precision)]."""
    compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    products = []
    for op in compiled.get_runtime_model().get_ops():
        info = {key: str(value.astype(str) if hasattr(value, "astype") else value) for key, value in op.get_rt_info().items()}
        if info.get("layerType") in ("Convolution", "FullyConnected", "MatMul", "Deconvolution"):
            products.append((op.get_friendly_name(), info["layerType"], info.get("runtimePrecision")))
    return products


class SampleReader(quantization.CalibrationDataReader):
    def __init__(self, name, samples):
        self.feeds = iter([{name: samples[i : i + 1]} for i in range(len(samples))])

    def get_next(self):
        return next(self.feeds, None)


def quantize_minmax(path, output, samples):
    """onnxruntime's own static quantization: MinMax, QDQ, uint8 activations, int8 weights per channel."""
    logging.disable(logging.WARNING)
    model = onnx.load(path)
    if next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")) < QUANTIZER_OPSET:
        model = version_converter.convert_version(model, QUANTIZER_OPSET)
    with tempfile.TemporaryDirectory() as folder:
        converted, prepared = pathlib.Path(folder, "converted.onnx"), pathlib.Path(folder, "prepared.onnx")
        onnx.save(model, converted)
        shape_inference.quant_pre_process(str(converted), str(prepared), skip_symbolic_shape=True)
        quantization.quantize_static(
            str(prepared),
            str(output),
            SampleReader(float_inputs(model)[0].name, samples),
            quant_format=quantization.QuantFormat.QDQ,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            per_channel=True,
            calibrate_method=quantization.CalibrationMethod.MinMax,
        )
