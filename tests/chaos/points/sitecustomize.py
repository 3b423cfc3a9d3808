"""Loaded by a gateway under chaos as it begins: ends it with SIGKILL at the n-th call of something.

`ANDON_CHAOS_POINT` is `module:name:when:n` with when one of before, after and half. `half` is of a
write: half of the bytes are written first, as when the power fails in it.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from functools import reduce
from typing import Any

NO_POINT = 99  # exit code


def arm(point: str) -> None:
    """Have the n-th call of a function end this process."""
    module_name, name, when, count = point.split(":")
    module = importlib.import_module(module_name)
    *path, last = name.split(".")
    owner: Any = reduce(getattr, path, module)
    function = getattr(owner, last)
    left = int(count)

    def end() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def wrapped(*args: Any, **more: Any) -> Any:  # noqa: ANN401 - whatever it wraps
        nonlocal left
        left -= 1
        if left == 0 and when == "half":
            _, file, data = args
            file.write(data[: len(data) // 2])  # a torn write
        if left == 0 and when != "after":
            end()
        done = function(*args, **more)
        if left == 0:
            end()
        return done

    setattr(owner, last, wrapped)


if "run" in sys.argv and os.environ.get("ANDON_CHAOS_POINT"):
    try:
        arm(os.environ["ANDON_CHAOS_POINT"])
    except (AttributeError, ImportError) as error:
        sys.stderr.write(f"the place of a kill is gone: {error}\n")
        os._exit(NO_POINT)
