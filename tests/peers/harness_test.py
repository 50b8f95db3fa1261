"""The comparison's own parts: metrics and preprocessing on values worked out by hand."""

import os
import pathlib
import signal
import stat
import tempfile
import unittest
from unittest import mock

import fuzz_cases
import fuzz_graph
import metrics
import models
import numpy as np


class MetricsTest(unittest.TestCase):
    def test_sqnr(self):
        reference = np.array([[3.0, 4.0], [0.0, 0.0]])
        # 25 of signal, 0.25 of noise: 20 dB
        self.assertAlmostEqual(metrics.sqnr_db(reference + np.array([[0.5, 0], [0, 0]]), reference), 20.0)
        self.assertEqual(metrics.sqnr_db(reference, reference), float("inf"))

    def test_top1_and_agreement(self):
        outputs = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
        self.assertEqual(metrics.top1(outputs, np.array([1, 0, 0, 0])), 75.0)
        self.assertEqual(metrics.agreement(outputs, outputs[::-1]), 0.0)


class PreprocessingTest(unittest.TestCase):
    def test_values_of_one_pixel(self):
        pixels = np.array([[[[10, 20, 30]]]], np.uint8)
        model = models.RealModel("m", "x", "cifar10", color="BGR", mean=(1.0, 2.0, 3.0), std=(1.0, 2.0, 4.0))
        # BGR: (30 - 1) / 1, (20 - 2) / 2, (10 - 3) / 4
        np.testing.assert_array_equal(models.to_model_values(model, pixels)[0, :, 0, 0], [29, 9, 1.75])

    def test_calibration_samples_are_spread(self):
        np.testing.assert_array_equal(models.spread(10, 4), [0, 3, 6, 9])
        np.testing.assert_array_equal(models.spread(3, 100), [0, 1, 2])

    def test_log_mel_of_a_tone(self):
        time = np.arange(16000) / 16000
        features = models.log_mel(np.sin(2 * np.pi * 1000 * time))
        self.assertEqual(features.shape[1], 640)
        # 1000 Hz is 1000.0 mel of 2840.0 at 8000 Hz: filter 1000 / 2840 * 129 - 1 = 44.4 is the loudest.
        self.assertIn(int(features[0, :128].argmax()), (44, 45))


class FuzzCasesTest(unittest.TestCase):
    """A crash costs one graph, whoever dies."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)

    def test_onnxruntime_dies(self):
        real = fuzz_graph.run_onnxruntime

        def run(model, feed):
            if model.graph.name == "fuzz_4":  # what one graph's own model is called
                os.kill(os.getpid(), signal.SIGFPE)
            return real(model, feed)

        with mock.patch.object(fuzz_graph, "run_onnxruntime", run):
            deaths = fuzz_cases.write_cases(self.root, range(1, 9))
        self.assertEqual(deaths, ["4: onnxruntime died of SIGFPE; left out"])
        self.assertFalse((self.root / "4").exists())
        self.assertTrue(any((self.root / str(seed)).exists() for seed in range(5, 9)))

    def test_narrow_dies(self):
        for name in ("1", "2", "3"):
            (self.root / "cases" / name).mkdir(parents=True)
        fake = self.root / "exec_test"
        fake.write_text(
            '#!/bin/sh\nfor f in "$NARROW_OPERATOR_CASES"/*; do\n'
            '[ "${f##*/}" = 2 ] && kill -SEGV $$\ntouch "$f/actual_0.pb"\ndone\n'
        )
        fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
        with mock.patch.dict(os.environ, NARROW_EXEC_TEST=str(fake)):
            log = fuzz_cases.run_narrow(self.root / "cases", ["1", "2", "3"])
        self.assertIn('narrow died of SIGSEGV\n"2"', log)
        self.assertNotIn('"3"', log)
        self.assertTrue((self.root / "cases" / "3" / "actual_0.pb").exists())


if __name__ == "__main__":
    unittest.main(verbosity=2)
