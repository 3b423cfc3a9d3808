"""Run seeds `a:b`, b not included, in several processes; a failure prints the line that repeats it.

The last line is `N passed, M failed`; the exit code is 1 when any failed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter

from tests.sim_gateway.life import Outcome, live


def seeds(text: str) -> range:
    """`8127:8128`. Raises argparse.ArgumentTypeError."""
    first, colon, last = text.partition(":")
    if not (colon and first.isdigit() and last.isdigit() and int(first) < int(last)):
        raise argparse.ArgumentTypeError(f"{text!r}: expected FIRST:END, such as 0:500")
    return range(int(first), int(last))


def main() -> int:
    """Run them; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim_gateway", description=__doc__)
    parser.add_argument("seeds", type=seeds, help="FIRST:END; END is not run")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--trace", action="store_true", help="what happened, of those that fail")
    options = parser.parse_args()
    begin_s, seen, failed = time.monotonic(), Counter[str](), 0
    for outcome in _outcomes(options.seeds, options.processes):
        seen.update(outcome.seen)
        if outcome.problem:
            failed += 1
            seed = outcome.seed
            print(f"seed {seed}: {outcome.problem[:600]}")
            print(f"  make sim SEEDS={seed}:{seed + 1}", flush=True)
            if options.trace:
                print("\n".join(f"    {line}" for line in outcome.trace))
    reached = ", ".join(f"{count} {name}" for name, count in sorted(seen.items()))
    print(f"{reached}; {time.monotonic() - begin_s:.0f} s")
    print(f"{len(options.seeds) - failed} passed, {failed} failed")
    return 1 if failed else 0


def _outcomes(
    wanted: range, processes: int
) -> map[Outcome] | multiprocessing.pool.IMapIterator[Outcome]:
    if processes == 1 or len(wanted) < 4:
        return map(live, wanted)
    pool = multiprocessing.get_context("fork").Pool(processes)
    return pool.imap(live, wanted, chunksize=4)


if __name__ == "__main__":
    sys.exit(main())
