"""A gateway that books where its processor time goes, a line of JSON a second.

`python -m benchmarks.speed.sampled_gateway GATEWAY_TOML OUT`
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

from benchmarks.speed.places import PLACES
from benchmarks.speed.sampler import Sampler
from edge.configuration.config import load
from edge.gateway.service import run


def main() -> int:
    """Run it; returns its exit code."""
    config, out = Path(sys.argv[1]), Path(sys.argv[2])
    sampler = Sampler(PLACES)
    sampler.start()
    threading.Thread(target=_tell, args=(sampler, out), daemon=True).start()
    return run(load(config))


def _tell(sampler: Sampler, out: Path) -> None:
    with out.open("w", encoding="utf-8") as told:
        while True:
            parts = dict(sampler.cpu_s)
            told.write(json.dumps({"total_s": sampler.total_s(), "parts": parts}) + "\n")
            told.flush()
            time.sleep(1.0)


if __name__ == "__main__":
    sys.exit(main())
