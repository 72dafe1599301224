"""Add up the JUnit reports of all test runs: python totals.py FOLDER. The last line is the sum.

Fails where a test failed, where none ran, and in CI where one was skipped.
"""

import os
import sys
from pathlib import Path
from xml.etree import ElementTree


def main(folder: Path) -> int:
    """Print what did not pass and the totals; return the exit code."""
    passed, failed, skipped = 0, [], []
    for report in sorted(folder.glob("*.xml")):
        for case in ElementTree.parse(report).iter("testcase"):
            name = f"{report.stem}: {case.get('classname')}.{case.get('name')}"
            left_out = case.find("skipped")
            if case.find("failure") is not None or case.find("error") is not None:
                failed.append(name)
            elif left_out is not None and left_out.get("type") != "pytest.xfail":
                skipped.append(f"{name}: {left_out.get('message')}")
            else:
                passed += 1
    for word, names in (("Failed", failed), ("Skipped", skipped)):
        for name in names:
            print(f"{word}: {name}")
    if in_ci() and skipped:
        print("Nothing may be skipped in CI: install what the tests above miss.")
    print(f"{passed} passed, {len(failed)} failed, {len(skipped)} skipped")
    return int(bool(failed) or not passed or (in_ci() and bool(skipped)))


def in_ci() -> bool:
    """Tell whether everything that a test can need must be there."""
    return os.environ.get("CI") == "true"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
