"""Tests of scripts/check_includes.py on small trees made for each case."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "check_includes.py"

GOOD_TREE = {
    "lib/base/CMakeLists.txt": "narrow_library(base SOURCES error.cc)  # not gone.cc\n",
    "lib/base/error.h": "#include <string>\n",
    "lib/base/error.cc": '#include "lib/base/error.h"\n',
    "lib/onednn/CMakeLists.txt": "narrow_library(onednn\n  SOURCES kernels/conv.cc)\n",
    "lib/onednn/conv.h": '#include "lib/base/error.h"\n',
    "lib/onednn/kernels/conv.cc": '#include <oneapi/dnnl/dnnl.hpp>\n#include "lib/onednn/conv.h"\n',
    "tests/base/CMakeLists.txt": "narrow_test(base SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/error_test.cc)\n",
    "tests/base/error_test.cc": '#include "hwy/highway.h"\n#include "lib/base/error.h"\n',
}


class CheckIncludesTest(unittest.TestCase):
    def check(self, changes):
        """Runs the script on GOOD_TREE with `changes`; returns (exit code, violations)."""
        with tempfile.TemporaryDirectory() as root:
            for path, text in (GOOD_TREE | changes).items():
                file = pathlib.Path(root, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
            run = subprocess.run([sys.executable, str(SCRIPT), root], capture_output=True, text=True, check=False)
            return run.returncode, run.stdout.splitlines()

    def test_good_tree_passes(self):
        self.assertEqual(self.check({}), (0, []))

    def test_include_against_the_table(self):
        code, lines = self.check({"lib/base/file.h": '// first\n#include "lib/onednn/conv.h"\n'})
        self.assertEqual(code, 1)
        self.assertIn("lib/base/file.h:2: lib/base may not include lib/onednn (lib/onednn/conv.h)", lines)

    def test_circle_is_named(self):
        _, lines = self.check({"lib/base/file.h": '#include "lib/onednn/conv.h"\n'})
        self.assertIn("circle in the includes: lib/base -> lib/onednn -> lib/base", lines)

    def test_onednn_headers_stay_in_their_folder(self):
        for header in ("<dnnl.hpp>", '"oneapi/dnnl/dnnl.h"', "<dnnl_version.h>"):
            with self.subTest(header=header):
                code, lines = self.check({"tests/base/kernel.h": f"#include {header}\n"})
                self.assertEqual((code, len(lines)), (1, 1))
                self.assertIn("only lib/onednn may include oneDNN", lines[0])

    def test_nobody_includes_apps_or_tests(self):
        for target in ("apps/cli.h", "tests/support/model_text.h"):
            with self.subTest(target=target):
                code, lines = self.check({target: "", "lib/base/file.h": f'#include "{target}"\n'})
                self.assertEqual(code, 1)
                self.assertIn("may not include", lines[0])

    def test_tests_may_include_apps(self):
        self.assertEqual(self.check({"apps/cli.h": "", "tests/apps/x.h": '#include "apps/cli.h"\n'}), (0, []))

    def test_include_of_missing_file(self):
        self.assertEqual(
            self.check({"apps/cli.h": '#include "lib/base/gone.h"\n'}),
            (1, ["apps/cli.h:1: lib/base/gone.h does not exist"]),
        )

    def test_include_from_own_folder(self):
        code, lines = self.check({"lib/base/file.h": '#include "error.h"\n'})
        self.assertEqual((code, lines), (1, ['lib/base/file.h:1: "error.h" is not written from the repository root']))

    def test_folder_without_row(self):
        code, lines = self.check({"lib/new/x.h": '#include "lib/base/error.h"\n'})
        self.assertEqual((code, lines), (1, ["lib/new/x.h:1: folder lib/new has no row in scripts/check_includes.py"]))

    def test_source_not_listed(self):
        code, lines = self.check({"lib/base/file.cc": ""})
        self.assertEqual((code, lines), (1, ["lib/base/file.cc: not listed in any CMakeLists.txt"]))

    def test_listed_source_missing(self):
        code, lines = self.check({"calib/CMakeLists.txt": "narrow_library(calib SOURCES readers/npy.cc)\n"})
        self.assertEqual((code, lines), (1, ["calib/CMakeLists.txt: readers/npy.cc does not exist"]))


if __name__ == "__main__":
    unittest.main()
