"""The promises under fire: a real uWSGI, and everything that can happen to it.

Each row of the table of promises is a module with ``run(directory, seed=, size=)``, which raises
AssertionError where the promise does not hold and returns the figures it measured. ``python -m
tests.torture`` runs them in full; pytest runs each in a short form.
"""

ROWS = ["kept", "crash", "timing", "deploy", "hostile", "cron", "soak", "admin"]
