"""Run rows of the table of promises in full: ``python -m tests.torture [NAME...]``."""

import argparse
import importlib
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from . import ROWS


def main() -> int:
    """Run the chosen rows and print their figures; return how many did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(ROWS)}; default all"
    )
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    parser.add_argument(
        "--size", type=int, help="of the rows that have one; default the full figure"
    )
    parser.add_argument("--keep", action="store_true", help="leave the directories for a look")
    options = parser.parse_args()
    broken = 0
    for name in options.names or ROWS:
        module = importlib.import_module(f"{__package__}.{name}")
        directory = Path(tempfile.mkdtemp(prefix=f"torture-{name}-"))
        print(f"{name}: seed {options.seed}", flush=True)
        began = time.monotonic()
        try:
            figures = module.run(directory, seed=options.seed, size=options.size or module.FULL)
        except AssertionError as error:
            broken += 1
            print(f"{name}: BROKEN, see {directory}\n{error}", flush=True)
            continue
        for figure, value in figures.items():
            print(f"  {figure}: {value}")
        print(f"{name}: holds, {time.monotonic() - began:.0f} s", flush=True)
        if not options.keep:
            shutil.rmtree(directory, ignore_errors=True)
    return broken


if __name__ == "__main__":
    sys.exit(main())
