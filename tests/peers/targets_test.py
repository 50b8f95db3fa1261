"""Targets, file formats and operators of com.microsoft: what each file is, and what those who read it compute."""

import json
import unittest

import metrics
import models
import narrow_cli
import numpy as np
import onnx
import onnx.numpy_helper
import onnxruntime
import peers

LEVELS = {
    "on": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "off": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
DATA = narrow_cli.ROOT / "tests" / "data"
BLOCK_OPS = {"MatMulNBits", "GatherBlockQuantized"}


def run(path, feeds, level="on"):
    """All outputs over a list of feeds, on axis 0."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 2
    options.graph_optimization_level = LEVELS[level]
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    runs = [session.run(None, feed) for feed in feeds]
    return [np.concatenate(parts) for parts in zip(*runs, strict=True)]


def op_types(path):
    return [node.op_type for node in onnx.load(path).graph.node]


class GlyphsTargetsTest(unittest.TestCase):
    """The small model of tests/data for each target and format."""

    @classmethod
    def setUpClass(cls):
        cls.folder = narrow_cli.class_folder(cls)
        pixels = np.load(DATA / "glyphs_eval.npy")[:200].astype(np.float32)
        # A fifth of a grey level beside the ties of x / 127.5 - 1; see glyphs_test.py.
        cls.values = np.ascontiguousarray(((pixels + 0.2) / np.float32(127.5) - 1).transpose(0, 3, 1, 2))
        cls.data = cls.folder / "values.npy"
        np.save(cls.data, cls.values)
        cls.reference = peers.run_onnxruntime(DATA / "glyphs.onnx", cls.values)

    def convert(self, name, *sets):
        output = self.folder / f"{name}.onnx"
        settings = [part for setting in sets for part in ("--set", setting)]
        narrow_cli.quantize(DATA / "glyphs.onnx", output, DATA / "glyphs_calib.npy", DATA / "glyphs.json", "--no-speed",
                            "--plan-out", self.folder / f"{name}.plan.json", "--report", self.folder / f"{name}.report.json",
                            "--quiet", "--recovery", "none", *settings)
        onnx.checker.check_model(str(output), full_check=True)
        return output

    def ours(self, path, data=None):
        result = path.with_suffix(".npz")
        narrow_cli.run_narrow("run", path, "--data", data or self.data, "-o", result, "--runtime", "integer", "--quiet")
        with np.load(result) as arrays:
            return arrays[arrays.files[0]]

    def feeds(self):
        return [{"image": self.values}]

    def test_a_plan_gives_the_same_file_in_every_form(self):
        for name, sets in {"tensorrt": ["target=tensorrt"], "qop": ["format=qoperator", "integer_io=all"]}.items():
            path = self.convert(name, *sets)
            again = self.folder / f"{name}.again.onnx"
            narrow_cli.run_narrow("quantize", DATA / "glyphs.onnx", "-o", again, "--plan",
                                  self.folder / f"{name}.plan.json", "--quiet", "--no-speed")
            self.assertEqual(path.read_bytes(), again.read_bytes(), name)

    def test_qoperator_computes_what_qdq_computes(self):
        qdq, qop = self.convert("qdq"), self.convert("qoperator", "format=qoperator")
        ops = op_types(qop)
        for real in ("Conv", "Gemm", "Add", "MatMul", "AveragePool", "GlobalAveragePool"):
            self.assertNotIn(real, ops)
        self.assertIn("QLinearConv", ops)
        self.assertEqual(ops.count("QuantizeLinear"), 1, "of the input")
        fused = run(qdq, self.feeds())[0]
        for level in LEVELS:
            self.assertTrue(np.array_equal(run(qop, self.feeds(), level)[0], fused), level)
        self.assertTrue(np.array_equal(self.ours(qop), self.ours(qdq)))

    def test_qoperator_for_no_runtime_in_particular_has_operators_of_onnx_only(self):
        path = self.convert("generic", "target=generic", "format=qoperator")
        self.assertEqual({node.domain for node in onnx.load(path).graph.node}, {""})
        self.assertIn("QLinearConv", op_types(path))
        self.assertGreaterEqual(metrics.sqnr_db(run(path, self.feeds(), "off")[0], self.ours(path)), 30)

    def test_integer_inputs_and_outputs(self):
        qdq, path = self.convert("qdq"), self.convert("io", "integer_io=all")
        model = onnx.load(path)
        told = json.loads(next(entry.value for entry in model.metadata_props if entry.key == "narrow.integer_io"))
        self.assertEqual(set(told), {"image", "logits"})
        plan = json.loads((self.folder / "io.plan.json").read_text())
        values = {value["value"]: value for value in plan["values"]}
        for name, params in told.items():
            self.assertEqual(params, {key: values[name][key] for key in ("type", "scale", "zero_point")})
        x = told["image"]
        codes = np.clip(np.rint(self.values / np.float32(x["scale"])) + x["zero_point"], 0, 255).astype(np.uint8)
        result = run(path, [{"image": codes}])[0]
        self.assertEqual(result.dtype, np.uint8)
        y = told["logits"]
        real = (result.astype(np.float32) - y["zero_point"]) * np.float32(y["scale"])
        self.assertLessEqual(np.abs(real - run(qdq, self.feeds())[0]).max(), np.float32(y["scale"]) * 0.51)
        data = self.folder / "codes.npy"
        np.save(data, codes)
        self.assertEqual(self.ours(path, data).dtype, np.uint8)
        self.assertLessEqual(np.abs(self.ours(path, data).astype(int) - result.astype(int)).max(), 1)
        notes = json.loads((self.folder / "io.report.json").read_text())["notes"]
        self.assertTrue(any(note.startswith("'image' is uint8 in the file, scale ") for note in notes), notes)

    def test_openvino_multiplies_integers(self):
        path = self.convert("openvino", "target=openvino")
        products = peers.openvino_products(path)
        self.assertTrue(products)
        self.assertEqual({precision for _, _, precision in products}, {"u8"})
        self.assertGreaterEqual(metrics.sqnr_db(peers.run_openvino(path, self.values), self.ours(path)), 25)

    def test_tensorrt_files_have_what_its_documentation_asks_for(self):
        """Never run: see docs/number-formats.md for the sources of these rules."""
        path = self.convert("tensorrt", "target=tensorrt")
        graph = onnx.load(path).graph
        constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
        makers = {output: node for node in graph.node for output in node.output}
        readers = {}
        for node in graph.node:
            for name in node.input:
                readers.setdefault(name, []).append(node)
        for node in graph.node:
            if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
                zero_point = constants[node.input[2]]
                self.assertEqual(zero_point.dtype, np.int8, node.name)
                self.assertFalse(zero_point.any(), node.name)
            if node.op_type == "QuantizeLinear":
                self.assertEqual([each.op_type for each in readers[node.output[0]]], ["DequantizeLinear"])
                self.assertEqual(len(readers[readers[node.output[0]][0].output[0]]), 1, "a pair has one reader")
            if node.op_type in ("Conv", "Gemm"):
                for name in node.input[:2]:
                    self.assertEqual(makers[name].op_type, "DequantizeLinear", node.name)
                self.assertEqual(constants[node.input[2]].dtype, np.float32)
                behind = {each.op_type for each in readers.get(node.output[0], [])}
                self.assertFalse(behind & {"QuantizeLinear"} and len(behind) > 1, "quantized inside a chain")
            if node.op_type == "Relu":
                self.assertNotEqual(makers[node.input[0]].op_type, "DequantizeLinear", "it fuses with its product")
        self.assertEqual(onnx.load(path).opset_import[0].version,
                         onnx.load(DATA / "glyphs.onnx").opset_import[0].version)
        # Not optimized: onnxruntime is not the reader, and its fusions of such files round elsewhere.
        self.assertGreaterEqual(metrics.sqnr_db(run(path, self.feeds(), "off")[0], self.ours(path)), 30)
        layers = json.loads((self.folder / "tensorrt.plan.json").read_text())["layers"]
        self.assertTrue(any("tensorrt takes no uint8 activations" in layer.get("adapted", []) for layer in layers))


class BlockOperatorsTest(unittest.TestCase):
    """MatMulNBits and GatherBlockQuantized hold the numbers that DequantizeLinear would."""

    @classmethod
    def setUpClass(cls):
        cls.folder = narrow_cli.class_folder(cls)
        random = np.random.default_rng(3)

        def weight(name, *shape):
            return onnx.numpy_helper.from_array(random.standard_normal(shape).astype(np.float32), name)

        nodes = [
            onnx.helper.make_node("Gather", ["table", "ids"], ["e"], "gather"),
            onnx.helper.make_node("MatMul", ["e", "w"], ["h"], "matmul"),
            onnx.helper.make_node("ReduceMean", ["h"], ["m"], "mean", axes=[1], keepdims=0),
            onnx.helper.make_node("Gemm", ["m", "v", "b"], ["y"], "gemm", transB=1),
        ]
        graph = onnx.helper.make_graph(
            nodes, "blocks",
            [onnx.helper.make_tensor_value_info("ids", onnx.TensorProto.INT64, ["n", 5])],
            [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 7])],
            [weight("table", 100, 48), weight("w", 48, 40), weight("v", 7, 40), weight("b", 7)],
        )
        cls.model = cls.folder / "blocks.onnx"
        onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=7), cls.model)
        cls.ids = random.integers(0, 100, (20, 5))
        cls.data = cls.folder / "ids.npy"
        np.save(cls.data, cls.ids)

    def convert(self, *sets):
        output = self.folder / "made.onnx"
        settings = [part for setting in ("mode=weight_only", *sets) for part in ("--set", setting)]
        narrow_cli.run_narrow("quantize", self.model, "-o", output, "--no-speed", "--quiet", *settings)
        onnx.checker.check_model(str(output))
        return output

    def test_they_compute_what_standard_operators_compute(self):
        for kind in ("int4", "uint4", "int8", "uint8", "int2", "uint2"):
            for symmetric in ("true", "false"):
                with self.subTest(weights=kind, symmetric=symmetric):
                    settings = [f"weights.type={kind}", f"weights.symmetric={symmetric}", "weights.block=16"]
                    # Behind DequantizeLinear, 2 bits in blocks of 16 are misread by onnxruntime's fusion: for no one.
                    standard = run(self.convert(*settings, "target=generic"), [{"ids": self.ids}], "off")[0]
                    path = self.convert(*settings, "weights.operators=com.microsoft")
                    wanted = BLOCK_OPS if kind.endswith("4") else {"MatMulNBits"}
                    self.assertEqual(BLOCK_OPS & set(op_types(path)), wanted)
                    self.assertEqual(op_types(path).count("MatMulNBits"), 2)
                    for level in LEVELS:
                        np.testing.assert_allclose(run(path, [{"ids": self.ids}], level)[0], standard, rtol=1e-4, atol=1e-4)
                    result = self.folder / "ours.npz"
                    narrow_cli.run_narrow("run", path, "--data", self.data, "-o", result, "--quiet")
                    np.testing.assert_allclose(np.load(result)["y"], standard, rtol=1e-4, atol=1e-4)

    def test_openvino_reads_narrow_tables(self):
        """With a scale for each column it reads beyond them."""
        for kind in ("int4", "uint4", "int8"):
            with self.subTest(weights=kind):
                # Products with stored weights round what they read in OpenVINO.
                rules = json.dumps([{"match": {"op": op}, "keep": "float32"} for op in ("MatMul", "Gemm")])
                path = self.convert(f"weights={kind}", "target=openvino", f"rules={rules}")
                expected = run(path, [{"ids": self.ids}], "off")[0]
                np.testing.assert_allclose(peers.run_openvino(path, self.ids), expected, rtol=1e-3, atol=1e-3)

    def test_the_opset_is_not_raised_for_codes_in_bytes(self):
        self.assertEqual(onnx.load(self.convert("weights=int8", "weights.block=16", "weights.operators=com.microsoft",
                                                "rules=[{\"match\": {\"op\": \"Gather\"}, \"keep\": \"float32\"}]")
                                   ).opset_import[0].version, 13)


class TableTargetsTest(unittest.TestCase):
    """A table, reduced over the tokens, in front of a product on integers: OpenVINO moves scales through the reduction."""

    def test_openvino_reads_reduced_tables(self):
        folder = narrow_cli.class_folder(type(self))
        draw = np.random.default_rng(6)
        # Features of very different sizes: a scale that lands on its neighbour is seen.
        table = draw.standard_normal((200, 64)) * np.abs(draw.standard_normal(64))
        weights = {"t": table.astype(np.float32), "w": draw.standard_normal((64, 32)).astype(np.float32)}
        ids = draw.integers(0, 200, (8, 4, 12))
        np.save(folder / "ids.npy", ids)
        for op in ("ReduceMean", "ReduceSum"):
            for product in ("MatMul", "Gemm"):
                for kind, mode in (("int8", "static"), ("int16", "static"), ("int8", "weight_only")):
                    with self.subTest(op=op, product=product, weights=kind, mode=mode):
                        path = folder / f"{op}.{product}.onnx"
                        axes = {"inputs": ["e", "axes"]} if op == "ReduceSum" else {"inputs": ["e"], "axes": [1]}
                        nodes = [onnx.helper.make_node("Gather", ["t", "ids"], ["e"]),
                                 onnx.helper.make_node(op, outputs=["m"], keepdims=0, **axes),
                                 onnx.helper.make_node(product, ["m", "w"], ["y"])]
                        constants = [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()]
                        constants.append(onnx.numpy_helper.from_array(np.array([1]), "axes"))
                        graph = onnx.helper.make_graph(
                            nodes, "g", [onnx.helper.make_tensor_value_info("ids", onnx.TensorProto.INT64, [4, 12])],
                            [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [4, 32])], constants)
                        onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8),
                                  path)
                        quantized = folder / f"{op}.{product}.{kind}.onnx"
                        # The table alone is only stored, whatever the product beside it is.
                        rules = [{"match": {"op": "Gather"}, "mode": mode, "weights": kind}]
                        narrow_cli.run_narrow("quantize", path, "-o", quantized, "--data", folder / "ids.npy", "--set",
                                              "target=openvino", "--set", f"rules={json.dumps(rules)}", "--no-speed", "--quiet")
                        wanted = run(path, [{"ids": each} for each in ids])[0]
                        compiled = peers.openvino.Core().compile_model(str(quantized), "CPU",
                                                                       {"INFERENCE_PRECISION_HINT": "f32"})
                        got = np.concatenate([compiled([each])[0] for each in ids])
                        self.assertGreater(metrics.sqnr_db(got, wanted), 30)


class GatesTargetsTest(unittest.TestCase):
    """Recurrent layers behind a product: where activations are quantized, OpenVINO takes constant gates only."""

    def test_openvino_reads_files_for_it(self):
        folder = narrow_cli.class_folder(type(self))
        draw = np.random.default_rng(5)
        values = draw.standard_normal((20, 5, 1, 16)).astype(np.float32)
        np.save(folder / "x.npy", values)
        for op, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1)):
            shapes = {"w0": (16, 16), "W": (1, gates * 32, 16), "R": (1, gates * 32, 32)}
            weights = [onnx.numpy_helper.from_array((draw.standard_normal(shape) * 0.2).astype(np.float32), name)
                       for name, shape in shapes.items()]
            nodes = [onnx.helper.make_node("MatMul", ["x", "w0"], ["a"]), onnx.helper.make_node("Relu", ["a"], ["r"]),
                     onnx.helper.make_node("MatMul", ["r", "w0"], ["b"]),
                     onnx.helper.make_node(op, ["b", "W", "R"], ["y"], hidden_size=32)]
            graph = onnx.helper.make_graph(
                nodes, "g", [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [5, 1, 16])],
                [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [5, 1, 1, 32])], weights)
            path = folder / f"{op}.onnx"
            onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8), path)
            quantized = folder / f"{op}.int8.onnx"
            narrow_cli.run_narrow("quantize", path, "-o", quantized, "--data", folder / "x.npy", "--set", "target=openvino",
                                  "--no-speed", "--quiet")
            self.assertIn("QuantizeLinear", op_types(quantized))
            wanted = run(path, [{"x": value} for value in values])[0]
            compiled = peers.openvino.Core().compile_model(str(quantized), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
            got = np.concatenate([compiled([value])[0] for value in values])
            self.assertGreater(metrics.sqnr_db(got, wanted), 25, op)


@unittest.skipUnless(models.find_data(), "real models are not here (NARROW_DATA)")
class RealModelsTest(unittest.TestCase):
    """What targets promise, on convolution models."""

    NAMES = ("cifar10-resnet20", "mlperftiny_kws_dscnn")

    @classmethod
    def setUpClass(cls):
        cls.folder = narrow_cli.class_folder(cls)
        cls.root = models.find_data()
        cls.samples = {}
        for name in cls.NAMES:
            model = next(each for each in models.MODELS if each.name == name)
            samples = models.load_samples(model, cls.root)
            data = cls.folder / f"{name}.npy"
            np.save(data, samples.values[samples.calibration])
            cls.samples[name] = (data, samples.values[samples.evaluation][:100], model.input)

    def convert(self, name, *sets):
        output = self.folder / f"{name}.onnx"
        settings = [part for setting in sets for part in ("--set", setting)]
        narrow_cli.run_narrow("quantize", self.root / "models" / f"{name}.onnx", "-o", output, "--data",
                              self.samples[name][0], "--no-speed", "--quiet", "--recovery", "none", *settings)
        return output

    def test_openvino_multiplies_bytes_in_every_product(self):
        for name in self.NAMES:
            products = peers.openvino_products(self.convert(name, "target=openvino"))
            self.assertLessEqual({precision for _, _, precision in products}, {"u8", "i8"}, name)

    def test_qoperator_computes_what_qdq_computes(self):
        for name in self.NAMES:
            _, values, model_input = self.samples[name]
            feeds = [{model_input: values[i : i + 1]} for i in range(len(values))]
            fused = run(self.convert(name), feeds)[0]
            path = self.convert(name, "format=qoperator")
            for level in LEVELS:
                self.assertTrue(np.array_equal(run(path, feeds, level)[0], fused), (name, level))

    def test_avx2_computes_the_same_with_and_without_vnni(self):
        for name in self.NAMES:
            path = self.convert(name, "target=x86-avx2")
            held = self.folder / f"{name}.held.npy"
            np.save(held, self.samples[name][1])
            report = self.folder / "report.json"
            narrow_cli.run_narrow("validate", self.root / "models" / f"{name}.onnx", path, "--data", held, "--isa", "avx2",
                                  "--check-kernels", "20", "--no-speed", "--quiet", "--report", report)
            checks = json.loads(report.read_text())["validation"]["checks"]
            self.assertTrue(checks)
            self.assertEqual(sum(check["beyond_one"] for check in checks), 0, name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
