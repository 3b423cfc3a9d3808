"""Make a failing input smaller, in a process of its own: `python -m tests.fuzz.again`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.fuzz.shrink import smallest
from tests.fuzz.targets import TARGETS
from tests.fuzz.trial import Trial, bound_process


def main() -> None:
    """Words: the target's name, the file of the input, the key of its failure."""
    name, path, key = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    target = next(one for one in TARGETS if one.name == name)
    bound_process()
    with tempfile.TemporaryDirectory() as scratch:
        trial = Trial(target, Path(scratch))
        best = path.read_bytes()

        def fails(data: bytes) -> bool:
            nonlocal best
            failure = trial.run(data)
            same = failure is not None and failure.key == key
            if same and len(data) <= len(best):
                best = data
                path.write_bytes(data)  # so that what was found stands if time is up
            return same

        if fails(best):
            path.write_bytes(smallest(best, fails))


if __name__ == "__main__":
    main()
