"""The rows of the table of promises, in a form short enough for every run."""

import importlib

import pytest

from . import ROWS

SIZES = {
    "kept": 400,
    "crash": 1,
    "timing": 1000,
    "deploy": 1,
    "hostile": 120,
    "cron": 12,
    "soak": 15,
    "admin": 2000,
}
"""How much of each row fits into every run."""


@pytest.mark.parametrize("row", ROWS)
def test_row_holds(row, tmp_path):
    module = importlib.import_module(f"{__package__}.{row}")
    assert module.run(tmp_path, seed=1, size=SIZES[row])
