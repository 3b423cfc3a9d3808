"""A bundle with a graph that this version did not make runs first in a process of its own.

onnxruntime believes a graph: bounds that contradict each other end the process, a loop whose steps
are computed may never end. What falls so falls in a child with bounded time and memory, and the
bundle is refused; a gateway goes on with the bundle that it has. The child loads the bundle and
runs its self-tests, all that loading does. Each bundle is tried once a process, by its hash.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Final

from models.errors import ModelError

PROCESSOR_S_MAX: Final = 30
WAIT_S_MAX: Final = 60.0  # on a machine that is busy with other work
MEMORY_MAX: Final = 1 << 30  # a small bundle takes 0.13 GiB
KEPT: Final = 64  # bundles that are known to survive
ROOT: Final = Path(__file__).resolve().parents[2]
SAID_CHARS_MAX: Final = 300


@lru_cache(maxsize=KEPT)
def survive(path: Path, sha256: str) -> None:
    """Load a bundle of this hash in a child. Raises ModelError where the child does not live."""
    words = [sys.executable, "-P", "-m", "models.bundles.trial", str(path)]
    words.append(str(PROCESSOR_S_MAX))
    found = os.environ.get("PYTHONPATH")
    places = os.pathsep.join([str(ROOT), *([found] if found else [])])
    try:
        child = subprocess.run(  # noqa: S603 - our own command
            words,
            env={**os.environ, "PYTHONPATH": places, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=WAIT_S_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ModelError(_fell(path, f"it did not end within {WAIT_S_MAX:g} s")) from None
    except OSError as error:
        raise ModelError(f"{path}: no process to try it in: {error.strerror}") from error
    said = child.stdout.decode(errors="replace").strip()
    if child.returncode == 1:
        raise ModelError(said or f"{path} cannot be loaded")
    if child.returncode != 0:
        heard = child.stderr.decode(errors="replace").strip()[-SAID_CHARS_MAX:]
        raise ModelError(_fell(path, f"it ended with {child.returncode}: {heard}"))
    if said != sha256:
        raise ModelError(f"{path} was changed while it was read; copy the bundle again")


def _fell(path: Path, how: str) -> str:
    return (
        f"{path} has a graph that this version did not make, and the process that tried it fell:"
        f" {how}; fit or import it again"
    )


def main() -> int:
    """0: it loads, and its hash is on stdout; 1: it does not, and why is there."""
    from models.bundles.store import load_here  # noqa: PLC0415 - it imports this module

    with suppress(OSError, ValueError):  # where none may be set, the parent's patience is left
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[2]), int(sys.argv[2])))
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_MAX, MEMORY_MAX))
    try:
        sys.stdout.write(load_here(Path(sys.argv[1])).sha256)
    except ModelError as error:
        sys.stdout.write(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
