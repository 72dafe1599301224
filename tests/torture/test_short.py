"""The rows of the table of promises, in a form short enough for every run."""

import importlib

import pytest

from . import ROWS

SIZES = {"kept": 400}
"""Of the rows that have one; the others run in full."""


@pytest.mark.parametrize("row", ROWS)
def test_row_holds(row, tmp_path):
    module = importlib.import_module(f"{__package__}.{row}")
    assert module.run(tmp_path, seed=1, size=SIZES.get(row, module.FULL))
