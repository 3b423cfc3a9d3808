"""All of SKAB valve1 through the command line and a real mosquitto; prints how many were found.

`python -m tests.broker.skab_all [DIRECTORY]`, by default below ANDON_DATA or ../shared/data.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from edge.recordings.recording import read_table
from simulator.broker import Mosquitto
from tests.broker.gateways import GatewayProcess, Subscriber, finished, online

FIT_ROWS: Final = 400
SPEED: Final = "1000"  # plant seconds a second
CONFIG: Final = """\
site = "skab"
clock = "plant"

[model]
bundle = "bundle"
"""


SPARKPLUG: Final = """\
[[source]]
topic = "spBv1.0/plant/+/gw/{asset}"
format = "sparkplug"
"""


def run_file(
    source: Path, folder: Path, *, port: int, sparkplug: bool = False
) -> list[dict[str, Any]]:
    """Fit on the first rows, run a gateway, replay the rest; as Sparkplug B, if that is asked for.

    Returns the newest revision of every event that began to ring inside the labelled interval.
    """
    folder.mkdir(parents=True)
    _andon("fit", str(source), "-o", str(folder / "bundle"), "--rows", f"0:{FIT_ROWS}")
    (folder / "gateway.toml").write_text(
        CONFIG + (SPARKPLUG if sparkplug else ""), encoding="utf-8"
    )
    table = read_table(source, mapping=None, rows=(FIT_ROWS, None), asset="")
    gateway = GatewayProcess(folder / "gateway.toml", port=port, state=folder / "state")
    with gateway, Subscriber(port, folder / "heard", "andon/#") as heard:
        gateway.start()
        online(heard, gateway)
        replay = ["replay", str(source), "--rows", f"{FIT_ROWS}:", "--speed", SPEED]
        if sparkplug:
            replay += ["--shape", "sparkplug", "--topic", "spBv1.0/plant/+/gw/{asset}"]
        _andon(*replay, "--port", str(port))
        finished(heard, int(table.t_ns[-1]))
        gateway.stop()
        events = [message.body for message in heard.of("event")]
        rang = {
            (m.body["id"], m.body["count"], m.body["ts_ms"])
            for m in heard.of("alert")
            if m.body.get("active") and m.body["track"] == "process"
        }
    first: dict[tuple[str, int], int] = {}
    for event in events:
        key = (event["id"], event["count"], event["ts_ms"])
        if key in rang:
            first.setdefault(key[:2], event["ts_ms"])
    assert table.truth is not None
    inside = {
        key
        for key, ts_ms in first.items()
        if any(f.begin_ns <= ts_ms * 1_000_000 < f.end_ns for f in table.truth.faults)
    }
    newest = {(event["id"], event["count"]): event for event in events}
    return [event for key, event in newest.items() if key in inside]


def _andon(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "andon", *arguments], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, f"andon {' '.join(arguments)}: {done.stderr[-500:]}"


def main() -> int:
    """Run every file and print the count; exit code 1 below 14 of 16."""
    default = Path(os.environ.get("ANDON_DATA", "../shared/data")) / "skab" / "valve1"
    sources = sorted(Path(sys.argv[1] if len(sys.argv) > 1 else default).glob("*.csv"))
    found = 0
    for source in sources:
        with tempfile.TemporaryDirectory() as scratch, Mosquitto() as broker:
            inside = run_file(source, Path(scratch) / source.stem, port=broker.port)
        found += bool(inside)
        tops = [event["top_channel"] for event in inside]
        sys.stdout.write(f"{source.name}: {len(inside)} alerts inside {tops}\n")
    sys.stdout.write(f"{found} of {len(sources)} files\n")
    return int(found < np.ceil(len(sources) * 14 / 16))


if __name__ == "__main__":
    sys.exit(main())
