"""Every number format of docs/number-formats.md: the file is what it says, and every runtime computes the same from it."""

import unittest

import codes
import formats
import metrics
import narrow_cli
import numpy as np
import onnx
import onnx.numpy_helper
import peers

# What onnxruntime 1.31 has no kernel for.
NOT_IN_ONNXRUNTIME = {"float4e2m1", "bfloat16"}
# Integer kernels round each layer; runtimes that compute such a layer in float differ by a step now and then.
MIN_SQNR_DB_BETWEEN_RUNTIMES = 30


class FormatsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.bench = formats.Workbench(narrow_cli.class_folder(cls))

    def check(self, row):
        path = self.bench.convert(row)
        onnx.checker.check_model(str(path), full_check=True)
        if row.is_half():
            self.check_halves(row, path)
        elif row.is_coded():
            self.check_codes(row, path)
        else:
            self.check_weights(row, path)
        ours = self.bench.run_ours(path)
        if row.target() == "onnxruntime" and row.weights not in NOT_IN_ONNXRUNTIME:
            theirs = peers.run_onnxruntime(path, self.bench.samples)
            self.assertGreaterEqual(metrics.sqnr_db(ours, theirs), MIN_SQNR_DB_BETWEEN_RUNTIMES)

    def check_weights(self, row, path):
        """Codes and scales against numpy."""
        storage, lowest, highest = formats.TYPES[row.weights]
        found = formats.dequantized_weights(path)
        products = {"conv", "gemm", "matmul"}
        if row.mode == "dynamic":  # products without a dequantized weight; the Gemm's is turned
            self.check_dynamic(row, path, products)
            products = set()
        self.assertEqual(found.keys(), products | {"deconv"})
        for node, (codes, scale, zero, values) in found.items():
            weight = self.bench.weights[node + "_w"]
            self.assertEqual(codes.dtype, np.dtype(storage))
            # The nearest code for these scales, clipped to the type.
            nearest = np.clip(weight / scale + zero, lowest, highest)
            if np.dtype(storage).kind in "iu" or "int" in row.weights:
                nearest = np.rint(weight / scale) + zero
                nearest = np.clip(nearest, lowest, highest)
            self.assertTrue(np.array_equal(codes.astype(np.float32), nearest.astype(storage).astype(np.float32)), node)
            if row.weights in ("int8", "uint8", "int16", "uint16"):  # nothing is clipped; float32 rounds 16 bits
                self.assertLessEqual(np.abs(values - weight).max(), np.max(scale) * 0.502, node)

    def check_codes(self, row, path):
        """Codes, scales and entries against numpy; OpenVINO decodes them as onnxruntime and we do."""
        weights = {name: weight for name, weight in self.bench.weights.items() if weight.ndim > 1}
        shapes = {name: weight.shape for name, weight in weights.items()}
        found = codes.coded_weights(path, shapes, formats.CHANNELS)
        self.assertEqual(found.keys(), weights.keys())
        for name, coded in found.items():
            weight = weights[name]
            if row.weights == "binary":
                self.check_binary(row, name, coded, weight)
                continue
            nearest, taken = codes.nearest_distance(coded, weight)
            self.assertLessEqual(np.max(taken - nearest), 1e-5, name)
            self.check_means(coded, weight, name)
            # Never worse than as many equal steps between the extremes.
            step = (weight.max() - weight.min()) / (coded.entries.shape[1] - 1)
            even = np.rint((weight - weight.min()) / step) * step + weight.min()
            self.assertLess(np.sum((coded.values() - weight) ** 2), np.sum((even - weight) ** 2), name)
        theirs = peers.run_onnxruntime(path, self.bench.samples)
        openvino = peers.run_openvino(path, self.bench.samples)
        self.assertGreaterEqual(metrics.sqnr_db(openvino, theirs), 80)
        self.assertGreaterEqual(metrics.sqnr_db(self.bench.run_ours(path), theirs), 80)

    def check_binary(self, row, name, coded, weight):
        self.assertTrue(np.array_equal(coded.codes, (weight >= 0).astype(int)), name)
        magnitude = np.abs(weight.astype(np.float64))
        if row.granularity == "per_tensor":
            self.assertAlmostEqual(float(coded.scale), float(np.mean(magnitude)), places=6)
            return
        # Elements of one scale: its mean magnitude.
        scales = np.broadcast_to(coded.scale, weight.shape)
        for scale in np.unique(scales):
            self.assertAlmostEqual(float(np.mean(magnitude[scales == scale])), float(scale), places=6)

    def check_means(self, coded, weight, name):
        """Each entry is the mean of its elements, as the best clusters have it, an element counting by its scale squared."""
        scale = np.broadcast_to(coded.scale, weight.shape).astype(np.float64)
        books = np.broadcast_to(coded.codebook, weight.shape)
        for book in range(len(coded.entries)):
            for k, entry in enumerate(coded.entries[book]):
                chosen = (coded.codes == k) & (books == book)
                if not chosen.any():
                    continue
                mean = np.sum((weight * scale)[chosen]) / np.sum((scale**2)[chosen])
                self.assertAlmostEqual(mean, float(entry), delta=2e-3 * np.abs(coded.entries).max(), msg=name)

    def check_dynamic(self, row, path, products):
        graph = onnx.load(path).graph
        constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
        makers = [node for node in graph.node if node.op_type in ("MatMulInteger", "ConvInteger")]
        self.assertEqual({node.name for node in makers}, {name + "_integer" for name in products})
        for node in makers:
            weight = self.bench.weights[node.name.replace("_integer", "_w")]
            weight = weight.T if node.name == "gemm_integer" else weight
            codes = constants[node.input[1]]
            zero = constants[node.input[3]].astype(np.float32) if len(node.input) > 3 else 0
            axes = tuple(range(1, 4)) if weight.ndim == 4 else (0,)
            largest = np.abs(weight).max(axis=axes if row.granularity == "per_channel" else None, keepdims=True)
            if weight.ndim == 4 and np.ndim(zero) == 1:
                zero = zero.reshape(-1, 1, 1, 1)
            scale = (largest.astype(np.float64) / 127).astype(np.float32)
            self.assertTrue(np.array_equal(codes.astype(np.float32), np.rint(weight / scale) + zero), node.name)

    def check_halves(self, row, path):
        """Every weight is numpy's rounding of the float one; nothing but the border stays float32."""
        graph = onnx.load(path).graph
        storage = {"float16": np.float16, "bfloat16": formats.ml_dtypes.bfloat16}[row.mode]
        found = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self.assertEqual(found.keys(), {f"{name}_{row.mode}" for name in self.bench.weights})
        for name, weight in self.bench.weights.items():
            self.assertTrue(np.array_equal(found[f"{name}_{row.mode}"], weight.astype(storage)), name)
        self.assertEqual([node.op_type for node in graph.node if node.op_type == "Cast"], ["Cast", "Cast"])


class KeptSumsTest(unittest.TestCase):
    """Rounding that keeps sums against the rule of docs/numerics.md, in numpy."""

    # What an output is a sum over, kernels first.
    SUMS = {"conv_w": [(2, 3), (1, 2, 3)], "deconv_w": [(2, 3), (0, 2, 3)], "gemm_w": [(1,)], "matmul_w": [(0,)]}

    @classmethod
    def setUpClass(cls):
        cls.bench = formats.Workbench(narrow_cli.class_folder(cls))

    @staticmethod
    def kept(weight, nearest, other, sums):
        taken, other, turned = nearest.copy(), other.copy(), np.zeros(weight.shape, bool)
        for axes in sums:
            rest = [axis for axis in range(weight.ndim) if axis not in axes]
            for place in np.ndindex(*[weight.shape[axis] for axis in rest]):
                at = [slice(None)] * weight.ndim
                for axis, index in zip(rest, place):
                    at[axis] = index
                at = tuple(at)
                w, t, o, done = (array[at].reshape(-1) for array in (weight, taken, other, turned))
                total = np.sum(t - w)
                price = ((o - w) ** 2 - (t - w) ** 2) / np.where(o == t, 1, np.abs(o - t))
                helps = (o != t) & ((o < t) == (total > 0)) & ~done
                for i in sorted(np.flatnonzero(helps), key=lambda i: (price[i], i)):
                    change = o[i] - t[i]
                    if total**2 - (total + change) ** 2 > price[i] * abs(change):
                        total += change
                        t[i], o[i], done[i] = o[i], t[i], True
                shape = taken[at].shape
                taken[at], other[at], turned[at] = t.reshape(shape), o.reshape(shape), done.reshape(shape)
        return taken

    def test_int8_weights_of_every_product(self):
        found = formats.dequantized_weights(self.bench.convert(formats.Row("weight_only", "int8"), "squant"))
        self.assertEqual({name + "_w" for name in found}, self.SUMS.keys())
        for node, (codes, scale, _, _) in found.items():
            weight, scale = self.bench.weights[node + "_w"].astype(np.float64), np.float64(scale)
            nearest = np.rint(self.bench.weights[node + "_w"] / scale.astype(np.float32)).astype(np.float64)
            side = np.clip(nearest + np.sign(weight / scale - nearest), nearest.min(), nearest.max())
            step = np.broadcast_to(scale, weight.shape)
            wanted = self.kept(weight, nearest * step, side * step, self.SUMS[node + "_w"])
            self.assertTrue(np.array_equal(codes, np.rint(wanted / step)), node)
            self.assertGreater(np.count_nonzero(codes != nearest), 0, node)


class UsualInputsTest(unittest.TestCase):
    """float16 weights against the rule of docs/numerics.md: elimination over all terms of an output at once."""

    OUTPUTS = 6  # of each weight: the others are computed the same way

    @staticmethod
    def moments(kernels, shape):
        places = np.array(list(np.ndindex(*shape))).reshape(-1, len(shape))
        distance = np.abs(places[:, None] - places[None]).sum(axis=2)
        alike = 0.5 * 0.9**distance + 0.01 * np.eye(len(places))
        return 0.5 + np.kron(np.eye(kernels), alike)

    @staticmethod
    def rounded(weight, moments, kernel):
        """`weight` [kernels * kernel], the most important kernels and elements first."""
        largest = np.abs(weight).reshape(-1, kernel).max(axis=1)
        order = sorted(range(len(weight)), key=lambda i: (-largest[i // kernel], i // kernel, -abs(weight[i]), i))
        inverse, target, result = np.linalg.inv(moments), weight.copy(), np.zeros(len(weight))
        left = np.ones(len(weight), bool)
        for i in order:
            result[i] = np.float16(target[i])
            left[i] = False
            target[left] -= (target[i] - result[i]) * inverse[left, i] / inverse[i, i]
            inverse -= np.outer(inverse[:, i], inverse[i]) / inverse[i, i]
        return result

    @staticmethod
    def follow(weight, bias):
        mean = np.sqrt(0.5) * weight.sum()
        share = np.clip(-bias * mean / (mean**2 + 0.5 * (weight**2).sum()), 0, 1)
        return np.float32(weight * (1 + share * (np.float64(np.float16(bias)) / bias - 1))).astype(np.float64)

    def test_weights_of_every_product(self):
        bench = formats.Workbench(narrow_cli.class_folder(type(self)))
        path = bench.convert(formats.Row("float16", "float16"), "squant")
        constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
        # Outputs first, then what they sum over; and the shape of a kernel.
        turns = {"conv_w": ((0, 1, 2, 3), (3, 3)), "deconv_w": ((1, 0, 2, 3), (2, 2)), "gemm_w": ((0, 1), (1,)), "matmul_w": ((1, 0), (1,))}
        for name, (axes, kernel) in turns.items():
            weights = bench.weights[name].transpose(axes)[: self.OUTPUTS].astype(np.float64)
            found = constants[name + "_float16"].transpose(axes)[: self.OUTPUTS].reshape(len(weights), -1)
            elements = int(np.prod(kernel))
            weights = weights.reshape(len(weights), -1)
            moments = self.moments(weights.shape[1] // elements, kernel)
            biases = bench.weights.get(name[:-2] + "_b")
            for output, weight in enumerate(weights):
                wanted = weight if biases is None else self.follow(weight, np.float64(biases[output]))
                self.assertTrue(np.array_equal(found[output], self.rounded(wanted, moments, elements)), (name, output))


def add_test(row):
    setattr(FormatsTest, "test_" + row.name().replace(" ", "_"), lambda self: self.check(row))


for format_row in formats.rows():
    add_test(format_row)


class TableTest(unittest.TestCase):
    def test_the_documentation_lists_these_rows(self):
        text = formats.TABLE.read_text(encoding="utf-8")
        table = text.split(formats.MARKS[0])[1].split(formats.MARKS[1])[0]
        listed = [" ".join(cell.strip() for cell in line.split("|")[1:5]) for line in table.splitlines()[2:]]
        self.assertEqual(listed, [row.name() for row in formats.rows()])


if __name__ == "__main__":
    unittest.main(verbosity=1)
