"""One part of the benchmark in a process of its own.

`python -m benchmarks.speed.part MODULE OUT [--quick]`: what it measured is written to OUT.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import msgspec

from benchmarks.speed.figure import Measured
from benchmarks.speed.parts import PARTS


def measured(module: str, *, quick: bool) -> Measured:
    """All that a module of this package has to tell."""
    found = importlib.import_module(f"benchmarks.speed.{module}")
    if hasattr(found, "measure"):
        known = found.measure(quick=quick)
        told = known if isinstance(known, Measured) else Measured(figures=known)
    else:
        less = {one.module: dict(one.quick) for one in PARTS}.get(module, {})
        told = Measured(figures=list(found.figures(**less if quick else {})))
    if hasattr(found, "plots"):
        told.curves = found.plots(quick=quick)
    if hasattr(found, "shares"):
        told.shares = found.shares(quick=quick)
    return told


def main() -> None:
    """Measure what the command line names."""
    module, out, *options = sys.argv[1:]
    told = measured(module, quick="--quick" in options)
    # keeps NaN, as JSON does not; the hook is for numpy's numbers
    Path(out).write_bytes(msgspec.msgpack.encode(told, enc_hook=float))


if __name__ == "__main__":
    main()
