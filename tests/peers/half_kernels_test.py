"""float16 files run in onnxruntime where its own float16 kernels or fusions do not; each in a process of its own."""

import itertools
import json
import subprocess
import sys
import unittest

import metrics
import narrow_cli
import numpy as np
import onnx
import onnx.helper
import onnx.numpy_helper
import onnxruntime

FLOAT, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
RUN = """
import sys, numpy, onnxruntime
with numpy.load(sys.argv[2]) as feeds:
    session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
    numpy.save(sys.argv[3], session.run(None, dict(feeds))[0])
"""


class HalfKernelsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = narrow_cli.class_folder(cls)
        cls.draw = np.random.default_rng(7)

    def check(self, nodes, feeds, constants, decisions):
        inputs = [onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
                  for name, value in feeds.items()]
        tensors = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
        graph = onnx.helper.make_graph(nodes, "g", inputs, [onnx.helper.make_tensor_value_info("y", FLOAT, None)], tensors)
        path, half, result = (self.folder / name for name in ("model.onnx", "half.onnx", "result.npy"))
        onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8), path)
        narrow_cli.run_narrow("quantize", path, "-o", half, "--set", "mode=float16", "--no-speed", "--quiet",
                              "--plan-out", self.folder / "plan.json")
        np.savez(self.folder / "feeds.npz", **feeds)
        done = subprocess.run([sys.executable, "-c", RUN, half, self.folder / "feeds.npz", result], capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr.decode()[-500:])
        wanted = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, feeds)[0]
        self.assertGreater(metrics.sqnr_db(np.load(result), wanted), 50)
        layers = json.loads((self.folder / "plan.json").read_text())["layers"]
        self.assertLessEqual(decisions.items(), {layer["op"]: layer["decision"] for layer in layers}.items())

    def test_scatters(self):
        for op, reduction in itertools.product(("ScatterND", "ScatterElements"), ("none", "add", "mul", "max", "min")):
            with self.subTest(op=op, reduction=reduction):
                shape = (2, 3) if op == "ScatterND" else (2, 2)
                index = np.array([[0], [3]]) if op == "ScatterND" else np.array([[0, 1], [3, 2]])
                feeds = {"x": self.draw.random((4, 3), np.float32) + 1, "u": self.draw.random(shape, np.float32) + 1}
                stays = reduction in ("add", "mul") or (op == "ScatterND" and reduction != "none")
                nodes = [onnx.helper.make_node("Relu", ["x"], ["r"]),
                         onnx.helper.make_node(op, ["r", "i", "u"], ["s"], reduction=reduction),
                         onnx.helper.make_node("MatMul", ["s", "w"], ["y"])]
                self.check(nodes, feeds, {"i": index, "w": self.draw.random((3, 2), np.float32)}, {op: "float32" if stays else "float16"})

    def test_transposes_in_front_of_products(self):
        for shape in ((4, 5, 6), (3, 5, 4, 6)):
            for perm in itertools.permutations(range(len(shape))):
                if perm[-2] != 0 and perm[-1] != 0:
                    continue
                others = [axis for axis in perm if axis != 0]
                for left, scaled in itertools.product((True, False), repeat=2):
                    with self.subTest(perm=perm, left=left, scaled=scaled):
                        turned = [shape[axis] for axis in perm]
                        weight = (turned[-1], 8) if left else (8, turned[-2])
                        nodes = [onnx.helper.make_node("Transpose", ["x"], ["t"], perm=perm)]
                        if scaled:
                            nodes.append(onnx.helper.make_node("Mul", ["t", "two"], ["s"]))
                        value = "s" if scaled else "t"
                        nodes.append(onnx.helper.make_node("MatMul", [value, "w"] if left else ["w", value], ["y"]))
                        feeds = {"x": self.draw.standard_normal(shape).astype(np.float32)}
                        constants = {"w": self.draw.standard_normal(weight).astype(np.float32), "two": np.array(2, np.float32)}
                        self.check(nodes, feeds, constants if scaled else {"w": constants["w"]},
                                   {"Transpose": "float32" if others == sorted(others) else "float16", "MatMul": "float16"})


if __name__ == "__main__":
    unittest.main(verbosity=2)
