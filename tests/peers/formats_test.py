"""Every number format of docs/number-formats.md: the file is what it says, and every runtime computes the same from it."""

import tempfile
import unittest

import formats
import metrics
import narrow_cli
import numpy as np
import onnx
import peers

# What onnxruntime 1.31 has no kernel for.
NOT_IN_ONNXRUNTIME = {"float4e2m1"}
# Integer kernels round each layer; runtimes that compute such a layer in float differ by a step now and then.
MIN_SQNR_DB_BETWEEN_RUNTIMES = 30


class FormatsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.bench = formats.Workbench(folder.name)

    def check(self, row):
        path = self.bench.convert(row)
        onnx.checker.check_model(str(path), full_check=True)
        self.check_weights(row, path)
        ours = self.bench.run_ours(path)
        if row.target() == "onnxruntime" and row.weights not in NOT_IN_ONNXRUNTIME:
            theirs = peers.run_onnxruntime(path, self.bench.samples)
            self.assertGreaterEqual(metrics.sqnr_db(ours, theirs), MIN_SQNR_DB_BETWEEN_RUNTIMES)

    def check_weights(self, row, path):
        """Codes and scales against numpy."""
        storage, lowest, highest = formats.TYPES[row.weights]
        found = formats.dequantized_weights(path)
        self.assertEqual(found.keys(), {"conv", "deconv", "gemm", "matmul"})
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
