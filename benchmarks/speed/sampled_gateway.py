"""A gateway that books where its processor time goes, a line of JSON a second.

`python -m benchmarks.speed.sampled_gateway GATEWAY_TOML OUT`
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Final

from benchmarks.speed.sampler import Sampler
from edge.configuration.config import load
from edge.gateway.service import run

CLIENT: Final = "client: socket to queue"
JOURNAL: Final = "journal"
INTAKE: Final = "decoding and aligning"
SENSORS: Final = "looks at the sensors, ring"
SCORING: Final = "scoring"
AFTER: Final = "what follows from scores"
LOOP: Final = "the loop, health, the rest"
# The innermost file that has one of these pieces names the part; the first that fits a file counts.
PLACES: Final = {
    "benchmarks/speed/": LOOP,
    "paho/mqtt/": CLIENT,
    "edge/brokers/": CLIENT,
    "edge/storage/": JOURNAL,
    "edge/gateway/": LOOP,
    "edge/samples/scoring": SCORING,
    "edge/samples/drift": AFTER,
    "models/": SCORING,
    "edge/wire/": INTAKE,
    "edge/batches": INTAKE,
    "edge/samples/align": INTAKE,
    "edge/samples/arrivals": INTAKE,
    "edge/samples/clock": INTAKE,
    "edge/samples/own_clock": INTAKE,
    "edge/samples/closing": INTAKE,
    "edge/samples/gather": INTAKE,
    "edge/samples/pending": INTAKE,
    "edge/samples/timestamps": INTAKE,
    "edge/samples/": SENSORS,
    "edge/alerts/": AFTER,
    "edge/verdicts/": AFTER,
    "edge/work/": AFTER,
    "edge/asset.py": AFTER,
    "edge/engine.py": AFTER,
    "edge/": AFTER,
}


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
