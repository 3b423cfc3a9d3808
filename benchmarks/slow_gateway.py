"""A gateway that is slow on purpose, so that overload needs no fast publisher.

`python -m benchmarks.slow_gateway GATEWAY_TOML MICROSECONDS`: so long every message of the plant
takes more. It sleeps meanwhile, so that its capacity does not depend on what else runs here.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edge.configuration.config import load
from edge.engine import Engine
from edge.gateway.service import run
from edge.records import MessageReceived

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.records import Effect, Stimulus

_HANDLE = Engine.handle_group


def main() -> int:
    """Run it; returns its exit code."""
    config, delay_s = Path(sys.argv[1]), int(sys.argv[2]) / 1e6

    def slowed(self: Engine, stimuli: Iterable[Stimulus], *, now_ns: int) -> tuple[Effect, ...]:
        given = list(stimuli)
        for stimulus in given:
            if isinstance(stimulus, MessageReceived) and stimulus.topic.startswith("plant/"):
                time.sleep(delay_s)
        return _HANDLE(self, given, now_ns=now_ns)

    Engine.handle_group = slowed  # type: ignore[method-assign]
    return run(load(config))


if __name__ == "__main__":
    sys.exit(main())
