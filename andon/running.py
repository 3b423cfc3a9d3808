"""The gateway from its configuration to its exit code; imports nothing that a start can spare."""

from __future__ import annotations

import gc
import os
import sys
from functools import partial
from pathlib import Path


def run_gateway(config: Path, *, log_level: str, log_json: bool) -> int:
    """Run until SIGTERM or Ctrl-C. Returns the exit code.

    Raises AndonError, ModelError or KnowledgeError where it cannot begin.
    """
    # Before linear algebra is loaded. Threads of its pool wait for the next product by turning in a
    # loop: a busy gateway takes three times its processor time with them, and is no sooner done.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    gc.disable()  # what is loaded stays; the gateway turns it on again once it has begun
    try:
        from edge.bundles.store import store_of
        from edge.configuration.config import load, need_bundle
        from edge.gateway.service import run

        settings = load(config)
        if settings.model.bundle:  # else it begins with nothing, and learns
            need_bundle(settings.path(settings.model.bundle))
            if aside := store_of(settings).set_aside():
                sys.stderr.write(f"{aside}; `andon check {config}` opens both\n")
        again = partial(load, config)
        return run(settings, log_level=log_level, log_json=log_json, read=again)
    finally:
        gc.enable()


def plain_run(arguments: list[str]) -> Path | None:
    """The file of `run FILE`, as supervisors start a gateway; None of anything else.

    Typer reads everything else. To load it, and what it validates options with, takes a start a
    tenth of a second.
    """
    if len(arguments) != 2 or arguments[0] != "run" or arguments[1].startswith("-"):
        return None
    file = Path(arguments[1])
    return file if file.is_file() else None
