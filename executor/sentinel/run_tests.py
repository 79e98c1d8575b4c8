"""Runs the tests of one Python file in the sandbox: unittest's, and plain functions called `test...`. Needs no package.

Given to `python3 -c` with the file's path; exit code 0 all passed, 1 some did not, 5 there was none to run.
"""

import importlib.util
import sys
import unittest


def main(path: str) -> int:
    """Run the tests in the file at `path`."""
    sys.path[:0] = ["", path.rpartition("/")[0]]
    spec = importlib.util.spec_from_file_location("tests_of_the_change", path)
    if spec is None or spec.loader is None:
        return 1
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    for name, value in vars(module).items():
        if name.startswith("test") and callable(value) and not isinstance(value, type):
            suite.addTest(unittest.FunctionTestCase(value, description=name))
    if not suite.countTestCases():
        print("no test in this file")  # noqa: T201 - its output is what the finding quotes
        return 5
    return 0 if unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful() else 1


sys.exit(main(sys.argv[1]))
