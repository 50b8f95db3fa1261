"""Tests of scripts/count_tests.py on results written for each case."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "count_tests.py"
PASSED_CASE = '<testcase name="{0}" status="run"><system-out>{1}</system-out></testcase>'
FAILED_CASE = '<testcase name="{0}" status="fail"><failure message=""/><system-out>{1}</system-out></testcase>'
SKIPPED_CASE = '<testcase name="{0}" status="notrun"><skipped message="SKIP_RETURN_CODE=77"/><system-out>{1}</system-out></testcase>'

GTEST_GOOD = "[==========] 12 tests from 3 test suites ran. (3 ms total)\n[  PASSED  ] 12 tests.\n"
GTEST_MIXED = """[  FAILED  ] Conv.Strides (1 ms)
[==========] 5 tests from 1 test suite ran. (3 ms total)
[  PASSED  ] 3 tests.
[  SKIPPED ] 1 test, listed below:
[  SKIPPED ] Conv.Vnni
[  FAILED  ] 1 test, listed below:
[  FAILED  ] Conv.Strides
"""
UNITTEST_MIXED = """test_a (__main__.T.test_a) ... ok
test_b (__main__.T.test_b) ... FAIL
test_c (__main__.T.test_c) ... skipped 'no data'
Ran 3 tests in 0.1s
"""


class CountTestsTest(unittest.TestCase):
    def count(self, cases, checks=()):
        """Returns (exit code, last line, all lines)."""
        with tempfile.TemporaryDirectory() as folder:
            text = "".join(case.format(name, output) for case, name, output in cases)
            pathlib.Path(folder, "release.xml").write_text(f"<testsuite>{text}</testsuite>", encoding="utf-8")
            for name, verdict in checks:
                pathlib.Path(folder, f"{name}.check").write_text(verdict + "\n", encoding="utf-8")
            run = subprocess.run([sys.executable, str(SCRIPT), folder], capture_output=True, text=True, check=False)
            lines = run.stdout.splitlines()
            return run.returncode, lines[-1], [line.strip() for line in lines]

    def test_each_test_of_a_program_counts(self):
        code, last, _ = self.count([(PASSED_CASE, "exec", GTEST_GOOD), (PASSED_CASE, "install", "moved")], [("tidy", "passed")])
        self.assertEqual((code, last), (0, "14 passed, 0 failed, 0 skipped"))

    def test_failed_and_skipped_are_named(self):
        code, last, lines = self.count([(FAILED_CASE, "exec", GTEST_MIXED)])
        self.assertEqual((code, last), (1, "3 passed, 1 failed, 1 skipped"))
        self.assertIn("release: exec: Conv.Strides", lines)
        self.assertIn("release: exec: Conv.Vnni", lines)

    def test_unittest_output(self):
        code, last, lines = self.count([(FAILED_CASE, "peers", UNITTEST_MIXED)])
        self.assertEqual((code, last), (1, "1 passed, 1 failed, 1 skipped"))
        self.assertIn("release: peers: test_c", lines)

    def test_crash_is_one_failure(self):
        code, last, _ = self.count([(FAILED_CASE, "exec", "Segmentation fault")])
        self.assertEqual((code, last), (1, "0 passed, 1 failed, 0 skipped"))

    def test_crash_after_the_tests_is_a_failure(self):
        code, last, lines = self.count([(FAILED_CASE, "exec", GTEST_GOOD)])
        self.assertEqual((code, last), (1, "11 passed, 1 failed, 0 skipped"))
        self.assertIn("release: exec", lines)

    def test_skipped_entry(self):
        code, last, _ = self.count([(SKIPPED_CASE, "peers", "skipped: no venv"), (PASSED_CASE, "a", "")])
        self.assertEqual((code, last), (0, "1 passed, 0 failed, 1 skipped"))

    def test_failed_check(self):
        code, last, _ = self.count([(PASSED_CASE, "a", "")], [("format", "failed")])
        self.assertEqual((code, last), (1, "1 passed, 1 failed, 0 skipped"))

    def test_nothing_ran(self):
        self.assertEqual(self.count([])[0], 1)


if __name__ == "__main__":
    unittest.main()
