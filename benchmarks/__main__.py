"""Measure this project beside its peers: ``python -m benchmarks``."""

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import machine, report
from .field import PEERS, Peer
from .instance import MEMORY, Failure, running
from .measure import measure, shuffled
from .processes import clean_up_on_sigterm
from .services import STARTERS, Missing

SIZE = 10_000
ROUNDS = 3


def main() -> int:
    """Run the comparison; return 1 where something is missing or failed."""
    options = _options()
    clean_up_on_sigterm()
    peers = [peer for peer in PEERS if not options.names or peer.name in options.names]
    missing = _missing(peers)
    for name, reason in missing.items():
        print(f"MISSING {name}: {reason}", file=sys.stderr)
    if missing and not options.allow_missing:
        print("Nothing was measured; --allow-missing measures the others.", file=sys.stderr)
        return 1
    run = _run([peer for peer in peers if peer.name not in missing], options)
    run["missing"] = missing
    print("\n".join([report.machine(run), report.setups(run), report.comparison(run)]))
    for name, reason in missing.items():
        print(f"Not measured: {name}: {reason}")
    if options.json:
        options.json.write_text(json.dumps(run, indent=1) + "\n")
    if run["failures"]:
        print("; ".join(["Not every round was measured", *run["failures"]]))
        return 1
    if options.publish:
        report.publish(run)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [peer.name for peer in PEERS]
    parser.add_argument("names", nargs="*", metavar="PEER", help=f"of {', '.join(names)}; or all")
    parser.add_argument("--size", type=int, default=SIZE, help="tasks that wait")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument(
        "--seconds",
        type=float,
        default=10,
        help="for each step of a peer; what is not done by then counts as far as it came",
    )
    parser.add_argument(
        "--directory",
        type=Path,
        default=MEMORY if MEMORY.is_dir() else Path(tempfile.gettempdir()),
        help="where spools and SQLite databases are made; default in memory",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--publish", action="store_true", help="renew the documentation's figures")
    parser.add_argument("--allow-missing", action="store_true", help="do without what is missing")
    options = parser.parse_args()
    if unknown := set(options.names) - set(names):
        parser.error(f"no such peer: {', '.join(sorted(unknown))}")
    if options.publish and (options.names or options.allow_missing):
        parser.error("--publish measures all peers")
    return options


def _missing(peers: Sequence[Peer]) -> dict[str, str]:
    """Return why a peer cannot be measured, by its name."""
    found = {}
    with tempfile.TemporaryDirectory() as directory:
        for peer in peers:
            try:
                machine.versions(peer)
                for service in peer.services:
                    with STARTERS[service](Path(directory)):
                        pass
            except Missing as error:
                found[peer.name] = str(error)
    return found


def _run(peers: Sequence[Peer], options: argparse.Namespace) -> dict[str, Any]:
    """Measure the peers in rounds, each round all of them, in an order of its own."""
    services = {service for peer in peers for service in peer.services}
    facts, load = machine.facts(options.directory, services), machine.load()
    figures: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    failures = []
    for number in range(options.rounds):
        for peer in shuffled(peers, number):
            began = time.monotonic()
            try:
                with running(peer, options.directory) as instance:
                    found = measure(instance, options.size, options.seconds)
            except Failure as error:
                failures.append(str(error))
                print(f"FAILED {error}", file=sys.stderr, flush=True)
                continue
            for name, value in found.items():
                figures[peer.name][name].append(value)
            print(
                f"round {number + 1} {peer.title}: {time.monotonic() - began:.0f} s",
                file=sys.stderr,
                flush=True,
            )
    return {
        "machine": facts,
        "load": load,
        "size": options.size,
        "rounds": options.rounds,
        "failures": failures,
        "peers": [
            {
                "name": peer.name,
                "title": peer.title,
                "versions": machine.versions(peer),
                "setup": peer.setup,
                "figures": figures[peer.name],
            }
            for peer in peers
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
