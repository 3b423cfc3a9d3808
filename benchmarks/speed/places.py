"""Which part of a gateway each module is of, so that its time can be booked there.

What follows from scores is named module by module, and so is what enriches alerts. All else counts
to the ring or to the scores, in doubt to the ring: no share of a core looks smaller than it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

CLIENT: Final = "client: socket to queue"
JOURNAL: Final = "journal"
INTAKE: Final = "decoding and aligning"
SENSORS: Final = "looks at the sensors, ring"
SCORING: Final = "scoring"
AFTER: Final = "what follows from scores"
LOOP: Final = "the loop, health, the rest"

_AFTER: Final = {
    "edge/alerts": (
        "alerts", "announce", "announce_group", "causes", "contributions", "escalation", "explain",
        "flood", "group", "inherited", "movement", "naming", "numbering", "query", "resemblance",
    ),
    "edge/knowledge": ("remembered", "retrieve"),
    "edge/samples": ("drift", "drift_columns"),  # they count scored samples
    "edge/verdicts": (
        "aftermath", "bystanders", "decide", "events", "facts", "hindsight", "lookback", "news",
        "proposed", "rulings",
    ),
    "kb/retrieval": ("cite", "embed", "index", "lexical", "rank", "search"),
    "models/fitting": ("drift", "drift_live"),
    "models/heads": ("arrays", "features", "fit", "heads", "notes"),
}  # fmt: skip
_INTAKE: Final = (
    "align", "arrays", "arrivals", "clock", "closing", "decoders", "gather", "layouts", "many",
    "own_clock", "pending", "routes", "sparkplug", "sparkplug_news", "sparkplug_nodes",
    "sparkplug_routes", "tag_sets", "timestamps", "together", "waveform_settings", "waveforms",
    "whole",
)  # fmt: skip
# Modules before the folders that they lie in: the first that fits a file counts.
_MODULES: Final = {
    **{f"{folder}/{name}.py": AFTER for folder, names in _AFTER.items() for name in names},
    **{f"edge/samples/{name}.py": INTAKE for name in _INTAKE},
    "edge/samples/scoring.py": SCORING,
    "edge/__init__.py": LOOP,
    "edge/asset.py": SENSORS,  # its slow path, from samples to events: in doubt to the ring
    "edge/batches.py": INTAKE,
    "edge/caps.py": LOOP,
    "edge/desk.py": LOOP,
    "edge/engine.py": LOOP,
    "edge/errors.py": LOOP,
    "edge/handover.py": LOOP,
    "edge/logs.py": LOOP,
    "edge/records.py": LOOP,
    "edge/settings.py": LOOP,
    "edge/spread.py": LOOP,
    "edge/state.py": LOOP,
    "edge/takeover.py": LOOP,
    "edge/copying.py": LOOP,  # states for checkpoints
    "edge/taking.py": SENSORS,  # between samples and scores: likewise
    "edge/trust.py": LOOP,
    "models/__init__.py": LOOP,
    "models/asked.py": SCORING,
    "models/detector.py": SCORING,
    "models/detector_imported.py": SCORING,
    "models/detector_tabled.py": SCORING,
    "models/detector_var.py": SCORING,
    "models/errors.py": LOOP,
    "models/imported_loading.py": SCORING,
    "models/judge.py": SCORING,
    "models/product_calls.py": SCORING,
    "models/samples.py": LOOP,
    "models/sliding.py": SCORING,
    "models/stream_calls.py": SCORING,
    "models/window_calls.py": SCORING,
    "models/window_ring.py": SCORING,
}
_FOLDERS: Final = {
    "benchmarks/speed/": LOOP,
    "edge/alerts/": LOOP,  # who asks for attention is asked at every tick
    "edge/assembly/": LOOP,
    "edge/assessment/": LOOP,
    "edge/audit/": LOOP,
    "edge/boxes/": LOOP,
    "edge/brokers/": CLIENT,
    "edge/bundles/": LOOP,
    "edge/checks/": LOOP,
    "edge/commissioning/": LOOP,
    "edge/configuration/": LOOP,
    "edge/discovery/": LOOP,  # a process of its own, as are page and reports
    "edge/doctor/": LOOP,
    "edge/gateway/": LOOP,
    "edge/imports/": LOOP,  # likewise
    "edge/knowledge/": LOOP,
    "edge/labels/": LOOP,
    "edge/outputs/": LOOP,
    "edge/page/": LOOP,
    "edge/recordings/": LOOP,
    "edge/replays/": LOOP,
    "edge/rewiring/": LOOP,  # as discovery
    "edge/reports/": LOOP,
    "edge/samples/": SENSORS,
    "edge/storage/": JOURNAL,
    "edge/tuning/": LOOP,
    "edge/verdicts/": LOOP,
    "edge/wire/": INTAKE,
    "edge/work/": LOOP,  # jobs and commands follow from orders, signals and people
    "models/bench/": LOOP,
    "models/bundles/": LOOP,
    "models/features/": INTAKE,  # of waveforms
    "models/fitting/": SENSORS,  # looks at sensors, modes, seasons: before a score
    "models/foreign/": SCORING,
    "models/graphs/": SCORING,
    "models/heads/": LOOP,
    "models/steady/": SCORING,
    "kb/": LOOP,
}
EXPLICIT: Final = _MODULES | _FOLDERS
_HERE: Final = Path(__file__).parents[2]  # so that no folder above of such a name is taken for ours
# The innermost file that has one of these pieces names the part; what nobody placed is no score.
PLACES: Final = {
    **{f"{_HERE}/{piece}": part for piece, part in EXPLICIT.items()},
    **{f"{_HERE}/{package}/": LOOP for package in ("edge", "models")},
    "/paho/mqtt/": CLIENT,
}
