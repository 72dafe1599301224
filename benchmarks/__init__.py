"""This project beside its peers, measured in one run: ``python -m benchmarks``, or ``make bench``.

Also ``python -m benchmarks.scale`` (what large numbers cost), ``python -m benchmarks.profile``
(where the time of a task goes) and ``python -m benchmarks.soak`` (hours of mixed load).

A peer is three things: an entry in ``field`` says how it is started, a module in ``peers`` has its
one task, and ``calls`` is what any of its producers can be asked to do. Nothing that measures knows
one peer from another.
"""
