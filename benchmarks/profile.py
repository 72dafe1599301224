"""Where the time of a task goes: ``python -m benchmarks.profile [PEER]``.

Three views of ``enqueue`` in a web worker and of the run in a spooler: the processor time of one
task, for this project by module and function too, and its system calls. Processor time hardly tells
a busy machine from a quiet one, so two of these can be compared where two rates could not.
"""

import argparse
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from . import machine, report
from .field import PEERS, peer
from .instance import MEMORY, Instance, running
from .measure import warm_up
from .processes import clean_up_on_sigterm, cpu_seconds, frozen

_PATIENCE = 120.0

_SHOWN = 15
"""Functions in the table of each side."""

_CALL = re.compile(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", re.MULTILINE)
"""A line of ``strace -c``: share, seconds, microseconds a call, calls, errors, name."""


def system_calls(instance: Instance, size: int) -> str:
    """Return the table of the system calls of one ``enqueue`` and of one run."""
    workers, expected = instance.workers, instance.board.count + size
    with frozen(workers):
        trace = _Trace([instance.call("pid")])
        instance.call("enqueue", size)
        enqueued = trace.end()
        trace = _Trace(workers)
    instance.board.wait(expected, _PATIENCE)
    run = trace.end()
    rows = [
        [name, f"{enqueued[name] / size:.2f}", f"{run[name] / size:.2f}"]
        for name, count in (enqueued | run).most_common()
        if count >= size / 100
    ]
    total = ["all", f"{enqueued.total() / size:.2f}", f"{run.total() / size:.2f}"]
    return report.table(["system calls of one task", "enqueue", "run"], [*rows, total])


class _Trace:
    """strace, attached to some processes and all their threads."""

    def __init__(self, pids: list[int]) -> None:
        program = shutil.which("strace")
        if program is None:
            sys.exit("strace is not installed. Try: apt-get install strace")
        attached = [option for pid in pids for option in ("-p", str(pid))]
        self._tracer = subprocess.Popen(
            [program, "-c", "-f", *attached], stderr=subprocess.PIPE, text=True
        )
        assert self._tracer.stderr
        for _ in pids:
            self._tracer.stderr.readline()  # it says so for each process it is attached to

    def end(self) -> Counter[str]:
        """Detach, and return how many calls there were of each name."""
        self._tracer.send_signal(signal.SIGINT)
        _, said = self._tracer.communicate(timeout=_PATIENCE)
        calls = {name: int(count) for count, name in _CALL.findall(said) if name != "total"}
        return Counter(calls)


def processor_time(instance: Instance, size: int) -> str:
    """Return the table of the processor time of one ``enqueue`` and of one run."""
    producer, workers = [instance.call("pid")], instance.workers
    expected = instance.board.count + size
    with frozen(workers):
        before_enqueue, before_run = cpu_seconds(producer), cpu_seconds(workers)
        instance.call("enqueue", size)
        enqueue = cpu_seconds(producer) - before_enqueue
    instance.board.wait(expected, _PATIENCE, 0.01)
    run = cpu_seconds(workers) - before_run
    cells = [f"{seconds / size * 1e6:.1f}" for seconds in (enqueue, run)]
    return report.table(["processor time of one task", "enqueue", "run"], [["µs", *cells]])


def layers(instance: Instance, size: int) -> Iterator[str]:
    """Yield tables of the processor time of one ``enqueue`` and of one run, by module and function."""
    seen_enqueueing, seen_running = (instance.directory / name for name in ("in", "out"))
    producer, workers = [instance.call("pid")], instance.workers
    with frozen(workers):
        instance.call("enqueue_sampling", None)
        before = cpu_seconds(producer)
        instance.call("start_sampling")
        instance.call("enqueue", size)
        instance.call("stop_sampling", str(seen_enqueueing))
        yield _share("enqueue", seen_enqueueing, (cpu_seconds(producer) - before) / size)
        instance.call("enqueue_sampling", str(seen_running))
        before = cpu_seconds(workers)
    while not seen_running.exists():
        time.sleep(0.01)
    yield _share("run", seen_running, (cpu_seconds(workers) - before) / size)


def _share(side: str, path: Path, seconds: float) -> str:
    """Return a table that divides the ``seconds`` of one task as the samples fell."""
    functions: Counter[str] = Counter(json.loads(path.read_text()))
    unit = seconds * 1e6 / functions.total()
    modules: Counter[str] = Counter()
    for function, count in functions.items():
        modules[function.partition(":")[0]] += count
    shares = [
        ("all", functions.total()),
        *((f"**{module}**", count) for module, count in modules.most_common()),
        *functions.most_common(_SHOWN),
    ]
    return report.table(
        [f"{side}, processor time of one task", "µs"],
        ([name, f"{count * unit:.1f}"] for name, count in shares),
    )


def main() -> None:
    """Profile one peer and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    names = [peer.name for peer in PEERS if peer.worker is None]
    parser.add_argument("peer", nargs="?", choices=names, default="spooler")
    parser.add_argument("--size", type=int, default=20_000, help="tasks")
    parser.add_argument("--directory", type=Path, default=MEMORY, help="default in memory")
    options = parser.parse_args()
    clean_up_on_sigterm()
    chosen = peer(options.peer)
    place = f"{options.directory} ({machine.file_system(options.directory)})"
    print(f"{chosen.title}, {place}, load {machine.load():.2f}\n")
    # Without threads a request is answered in the main thread, the only one to hear of a timer.
    with running(chosen, options.directory, ini={"threads": None, "enable-threads": None}) as it:
        warm_up(it, _PATIENCE)
        print(processor_time(it, options.size))
        if chosen.module == "spooler":
            print("\n".join(layers(it, options.size)))
        print(system_calls(it, options.size // 10))


if __name__ == "__main__":
    main()
