"""`make fuzz`: readers given what nobody should send or store, in numbers.

make fuzz                                            every target at its full count
make fuzz TARGETS=readings,commands INPUTS=100000    some of them, so many inputs each
make fuzz TARGETS=readings SEED=1 ONLY=4711          one input again, with its traceback
make fuzz TARGETS=readings INPUT=build/fuzz/x.bin    the same from a file
make fuzz TARGETS=readings ENGINE=atheris            inputs guided by the code that they reach
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.fuzz import campaign, guided
from tests.fuzz.slices import run_slice
from tests.fuzz.trial import bound_process

if TYPE_CHECKING:
    from tests.fuzz.target import Target

RESULTS: Final = "build/fuzz"


def main() -> int:
    """0: nothing failed; 1: something did; 2: the words were wrong."""
    options = _options()
    if options.engine == "atheris" and options.slice is not None:
        guided.instrument()
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - after what instruments it

    by_name = {target.name: target for target in TARGETS}
    if options.list:
        for target in TARGETS:
            sys.stdout.write(f"{target.name:24} {target.count:>9,}\n")
        return 0
    chosen = _chosen(options.targets, by_name)
    if chosen is None:
        return 2
    if options.slice is not None:
        first, end, home = int(options.slice[0]), int(options.slice[1]), Path(options.slice[2])
        bound_process()
        run = guided.run_guided if options.engine == "atheris" else run_slice
        run(chosen[0], seed=options.seed, first=first, end=end, home=home)
        return 0
    if options.input:
        return _once(chosen[0], Path(options.input).read_bytes())
    if options.only is not None:
        return _again(chosen[0], seed=options.seed, index=options.only)
    return campaign.run(
        chosen,
        seed=options.seed,
        inputs=options.inputs,
        processes=options.processes,
        engine=options.engine,
        results=Path(options.results),
        first=options.first,
        shrink_s=options.shrink_s,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--targets", default="", help="names or beginnings of names, by commas")
    parser.add_argument("--inputs", type=int, default=0, help="of each target; 0: its own count")
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--engine", choices=("plain", "atheris"), default="plain")
    parser.add_argument("--only", type=int, help="one input again, by its number")
    parser.add_argument("--input", default="", help="one input from a file")
    parser.add_argument("--results", default=RESULTS, help="where failures and tables are kept")
    parser.add_argument("--shrink-s", type=float, default=60.0, help="to make a failure smaller")
    parser.add_argument("--list", action="store_true", help="name the targets")
    parser.add_argument("--slice", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def _chosen(words: str, by_name: dict[str, Target]) -> list[Target] | None:
    """Targets by name, or by the beginning of it; all where none is named."""
    if not words:
        return list(by_name.values())
    found: dict[str, Target] = {}
    for word in words.split(","):
        exact = {word: by_name[word]} if word in by_name else {}
        more = exact or {name: t for name, t in by_name.items() if name.startswith(word)}
        if not more:
            sys.stderr.write(f"no target {word!r}; there are {', '.join(by_name)}\n")
            return None
        found |= more
    return list(found.values())


def _again(target: Target, *, seed: int, index: int) -> int:
    """One input by its number; before it those that a reader which remembers had seen."""
    first = index - index % target.span if target.span else index
    return _once(target, *(target.input_of(seed, i) for i in range(first, index + 1)))


def _once(target: Target, *data: bytes) -> int:
    bound_process()
    with tempfile.TemporaryDirectory() as scratch:
        read = target.begin(Path(scratch))
        for k, one in enumerate(data):
            newest = k == len(data) - 1
            try:
                taken = read(one)
            except target.refusals as error:
                if newest:
                    sys.stdout.write(f"refused: {type(error).__name__}: {error}\n")
            except Exception:  # noqa: BLE001 - that is what was asked for
                sys.stdout.write(f"{one[:2000]!r}\n{traceback.format_exc()}FAILED\n")
                return 1
            else:
                if newest:
                    sys.stdout.write("taken, and its promise holds\n" if taken else "refused\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
