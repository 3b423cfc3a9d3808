"""Run seeds `a:b`, b not included, in several processes; a failure prints the line that repeats it.

The last line is `N passed, M failed`; the exit code is 1 when any failed. A process that dies fails
the seeds that ran, and a new one goes on with the next.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter, deque
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.sim_gateway.life import Outcome, live

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future


def seeds(text: str) -> range:
    """`8127:8128`. Raises argparse.ArgumentTypeError."""
    first, colon, last = text.partition(":")
    if not (colon and first.isdigit() and last.isdigit() and int(first) < int(last)):
        raise argparse.ArgumentTypeError(f"{text!r}: expected FIRST:END, such as 0:500")
    return range(int(first), int(last))


def processes(text: str) -> int:
    """At least one. Raises argparse.ArgumentTypeError."""
    if not (text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number of processes, such as 2")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run them; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim_gateway", description=__doc__)
    parser.add_argument("seeds", type=seeds, help="FIRST:END; END is not run")
    parser.add_argument("--processes", type=processes, default=os.cpu_count() or 1)
    parser.add_argument("--trace", action="store_true", help="what happened, of those that fail")
    options = parser.parse_args(arguments)
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


def _outcomes(wanted: range, processes: int) -> Iterator[Outcome]:
    """Of each seed, in the order in which they end.

    Each worker is given one seed at a time, so that those are known which one ran as it died.
    """
    left = deque(wanted)
    while left:
        running: dict[Future[Outcome], int] = {}
        context = multiprocessing.get_context("fork")
        with (
            suppress(BrokenProcessPool),  # of one that cannot be given more
            ProcessPoolExecutor(processes, mp_context=context) as pool,
        ):
            while left or running:
                while left and len(running) < processes:
                    running[pool.submit(live, left[0])] = left[0]
                    left.popleft()
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                if any(map(_broke, done)):
                    break
                for one in done:
                    yield _outcome(one, running.pop(one))
        yield from _died(running)


def _broke(one: Future[Outcome]) -> bool:
    return isinstance(one.exception(), BrokenProcessPool)


def _outcome(one: Future[Outcome], seed: int) -> Outcome:
    error = one.exception()
    return one.result() if error is None else Outcome(seed, f"it ended with {error!r}", "")


def _died(running: dict[Future[Outcome], int]) -> Iterator[Outcome]:
    """With one worker the others end; what one of them had done by then counts."""
    lost = [seed for one, seed in running.items() if _broke(one)]
    for one, seed in running.items():
        if seed in lost:
            beside = ", ".join(str(other) for other in lost if other != seed)
            told = f", or of seed {beside}, which ran beside it" if beside else ""
            yield Outcome(seed, f"the process of this seed died{told}", "")
        else:
            yield _outcome(one, seed)


if __name__ == "__main__":
    sys.exit(main())
