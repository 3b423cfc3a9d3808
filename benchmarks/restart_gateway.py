"""A gateway that notes when it came how far; `python -m benchmarks.restart` starts it.

`python -m benchmarks.restart_gateway CONFIG OUT.json BEGIN_S`: the command `andon run CONFIG`, with
the time in seconds since BEGIN_S at which each step of its start was through.
"""

from __future__ import annotations

import functools
import gc
import json
import runpy
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import andon  # noqa: F401 - first, as the command does

gc.disable()  # as the command does before it loads the rest

import edge.engine  # noqa: E402 - behind it
from edge.brokers.link import Link  # noqa: E402 - likewise
from edge.gateway import app, durable  # noqa: E402 - likewise

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Run, and write the timeline with the first new score."""
    config, out, begin = sys.argv[1:]
    told: dict[str, float] = {}

    def note(name: str) -> None:
        told.setdefault(name, time.time() - float(begin))
        told.setdefault(f"processor_{name}", time.process_time())

    note("imported")

    def noting(holder: Any, method: str, name: str, *, before: bool = False) -> None:  # noqa: ANN401
        real: Callable[..., Any] = getattr(holder, method)

        @functools.wraps(real)
        def step(*args: Any, **more: Any) -> Any:  # noqa: ANN401
            if before:
                note(name)
            result = real(*args, **more)
            note(name)
            return result

        setattr(holder, method, step)

    noting(app.Gateway, "__init__", "opened")
    noting(app.Gateway, "_restore", "restored")
    noting(app.Gateway, "_loop", "loop", before=True)
    drain = Link.drain

    def drained(self: Link, *args: Any) -> Any:  # noqa: ANN401
        messages = drain(self, *args)
        if messages:
            note("heard")
        return messages

    setattr(Link, "drain", drained)  # noqa: B010 - patched
    restore, score = getattr(durable, "restore"), getattr(edge.taking, "score_rows")  # noqa: B009 - imported there

    def restored(*args: Any, **more: Any) -> Any:  # noqa: ANN401
        result = restore(*args, **more)
        told["stimuli"] = result.stimuli
        told["from_checkpoint"] = float(result.from_checkpoint)
        return result

    def scored(requests: Any, **more: Any) -> Any:  # noqa: ANN401
        result = score(requests, **more)
        if (requests or more.get("stacks")) and "heard" in told and "scored" not in told:
            note("scored")
            told["processor_s"] = time.process_time()
            Path(out).with_suffix(".tmp").write_text(json.dumps(told), encoding="utf-8")
            Path(out).with_suffix(".tmp").replace(out)
        return result

    setattr(durable, "restore", restored)  # noqa: B010 - likewise
    setattr(edge.taking, "score_rows", scored)  # noqa: B010
    sys.argv = ["andon", "run", config]
    runpy.run_module("andon", run_name="__main__", alter_sys=True)  # `python -m andon run CONFIG`


if __name__ == "__main__":
    main()
