"""`python -m benchmarks.knowledge`: the knowledge base of a large plant, measured on this machine.

2,000 documents and 20,000 passages are made up, the same each time. Measured are single-document
updates, searches while another thread keeps its loop busy, look-ups of jobs, and memory of a
process with everything that a gateway loads, before and while another snapshot takes over. Prints a
table, or with --json one line. Targets are printed beside the figures; only a failure ends with 1.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from benchmarks.knowledge_folder import ASSETS, orders_table, write_folder
from edge.verdicts.proposed import Proposed
from edge.work.jobs import resolve_scope
from kb.records import Query
from kb.snapshots.build import build
from kb.snapshots.snapshot import Snapshot
from kb.snapshots.update import Updater

DAY_NS: Final = 86_400 * 10**9
NOW_NS: Final = 1_773_000_000 * 10**9
TARGETS: Final = {
    "update_s_p99": 2.0,
    "enrichment_ms_p50": 10.0,
    "enrichment_ms_p99": 50.0,
    "job_lookup_ms_p99": 1.0,
    "rss_mb_steady": 300.0,
    "rss_mb_swapping_max": 400.0,
}


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.knowledge", description=__doc__)
    parser.add_argument("--documents", type=int, default=2_000)
    parser.add_argument("--passages", type=int, default=20_000)
    parser.add_argument("--updates", type=int, default=20)
    parser.add_argument("--searches", type=int, default=300)
    parser.add_argument("--json", action="store_true", help="one line of JSON alone")
    parser.add_argument("--memory", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory is not None:
        print(json.dumps(_memory(options.memory)))
        return 0
    with tempfile.TemporaryDirectory(prefix="andon-bench-") as scratch:
        figures = _measure(Path(scratch), options)
    if options.json:
        print(json.dumps(figures))
        return 0
    for name, value in figures.items():
        target = f"   target {TARGETS[name]:g}" if name in TARGETS else ""
        print(f"{name:24} {value:>10}{target}")
    return 0


def _measure(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    source, out = folder / "texts", folder / "current"
    write_folder(source, documents=options.documents, passages=options.passages)
    begun_s = time.perf_counter()
    counts = build(source, out, now_ns=NOW_NS).counts
    figures: dict[str, float] = {
        "documents": counts.documents,
        "passages": counts.chunks,
        "build_s": _rounded(time.perf_counter() - begun_s),
    }
    figures |= _updates(source, out, options.updates)
    figures |= _cold(source, out)
    figures |= _searches(out, options.searches)
    figures |= _lookups(folder)
    said = subprocess.run(  # noqa: S603 - ourselves, for memory of its own
        [sys.executable, "-m", "benchmarks.knowledge", "--memory", str(out)],
        check=True,
        capture_output=True,
    )
    memory: dict[str, float] = json.loads(said.stdout)
    return figures | memory


def _updates(source: Path, out: Path, count: int) -> dict[str, float]:
    """Seconds from a changed document to a snapshot that finds it, in a warm process."""
    rng = random.Random(7)  # noqa: S311 - seeded, on purpose
    paths = sorted(source.rglob("m*.md"))
    took = []
    with closing(Updater(out)) as updater:
        updater.update(now_ns=NOW_NS)
        for k in range(count):
            path = rng.choice(paths)
            with path.open("a", encoding="utf-8") as file:
                file.write(f"\n## Finding {k}\n\nThe quasar{k} coupling was out of true.\n")
            begun_s = time.perf_counter()
            update = updater.update(now_ns=NOW_NS + k)
            took.append(time.perf_counter() - begun_s)
            assert update is not None
            assert update.after.counts.embedded == 1
        updater.remember()
    with Snapshot.open(out) as opened:
        query = Query(text=f"quasar{count - 1} coupling", all_assets=True)
        hits = opened.search(query, now_ns=NOW_NS)
        assert any(f"quasar{count - 1} " in hit.citation.quote for hit in hits), "searchable"
    return {"update_s_p50": _at(took, 0.5), "update_s_p99": _at(took, 0.99)}


def _cold(source: Path, out: Path) -> dict[str, float]:
    """Seconds of the whole command in a process of its own."""
    with (source / "scope.csv").open("a", encoding="utf-8") as file:
        file.write("cleaning,r1,torch,Pressure,0.5,240,240,engineer,2026-01-02T08:00:00Z\n")
    begun_s = time.perf_counter()
    command = [sys.executable, "-m", "andon", "kb", "update", "--snapshot", str(out)]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own command
    return {"update_cold_s": _rounded(time.perf_counter() - begun_s)}


def _searches(out: Path, count: int) -> dict[str, float]:
    """Milliseconds of a search for an event, beside a thread that does what a busy loop does."""
    rng = random.Random(11)  # noqa: S311 - seeded, on purpose
    stop = threading.Event()
    parts = ("wire feeder", "gas nozzle", "coolant pump", "spindle bearing", "regulator")
    signs = ("flow too low", "pressure too high", "current drops", "vibration rises")

    def busy() -> None:
        while not stop.is_set():  # half of its time, in ticks of 10 ms
            until_s = time.perf_counter() + 0.005
            while time.perf_counter() < until_s:
                sum(range(200))
            stop.wait(0.005)

    took = []
    with Snapshot.open(out) as opened:
        thread = threading.Thread(target=busy)
        thread.start()
        for _ in range(count):
            part, sign = rng.choice(parts), rng.choice(signs)
            query = Query(
                text=f"{sign}, {part}: Pressure below its usual range",
                terms=("Pressure", part, "calibration"),
                asset=rng.choice(ASSETS),
            )
            begun_s = time.perf_counter()
            opened.search(query, now_ns=NOW_NS)
            took.append((time.perf_counter() - begun_s) * 1000)
        stop.set()
        thread.join()
    return {"enrichment_ms_p50": _at(took, 0.5), "enrichment_ms_p99": _at(took, 0.99)}


def _lookups(folder: Path) -> dict[str, float]:
    """Milliseconds to find an asset's proposals and the scope of its work, of 20,000 proposals."""
    source, out = folder / "orders", folder / "orders_snapshot"
    source.mkdir()
    rng = random.Random(13)  # noqa: S311 - seeded, on purpose
    for k in range(10):
        (source / f"o{k}.csv").write_text(orders_table(rng, k * 2_000, 2_000), encoding="utf-8")
    (folder / "texts" / "scope.csv").rename(source / "scope.csv")
    build(source, out, now_ns=NOW_NS)
    with Snapshot.open(out) as opened:
        proposals, scopes = opened.proposals(), opened.scope_rows()
    proposed = Proposed(proposals)
    begun_s = time.perf_counter()
    proposed.listed("r1", now_ns=NOW_NS)
    first_ms = (time.perf_counter() - begun_s) * 1000
    took = []
    for k in range(2_000):
        asset, now_ns = rng.choice(ASSETS), NOW_NS + k * DAY_NS // 2_000
        begun_s = time.perf_counter()
        found = proposed.of_asset(asset, now_ns=now_ns)
        assert found
        kind, instrument = found[0].kind, found[0].instrument
        resolve_scope(scopes, kind=kind, asset=asset, instrument=instrument, now_ns=now_ns)
        took.append((time.perf_counter() - begun_s) * 1000)
    return {
        "proposals": len(proposals),
        "scope_rows": len(scopes),
        "job_lookup_first_ms": _rounded(first_ms),
        "job_lookup_ms_p50": _at(took, 0.5),
        "job_lookup_ms_p99": _at(took, 0.99),
    }


def _memory(out: Path) -> dict[str, float]:
    """Resident MB of a process that loaded what a gateway loads, and while another takes over."""
    import edge.gateway.app  # noqa: F401, PLC0415 - for what it brings
    from edge.gateway.telemetry import rss_mb  # noqa: PLC0415
    from edge.knowledge.known import knowledge_of  # noqa: PLC0415 - measured in a process of its own
    from edge.storage.heap import give_back  # noqa: PLC0415 - likewise

    held: list[Any] = [Snapshot.open(out)]
    held.append(knowledge_of(held[0]))
    query = Query(text="flow too low at the gas nozzle", asset="r1")
    for _ in range(20):
        held[0].search(query, now_ns=NOW_NS)
    steady = rss_mb()
    highest = [steady]
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.002):
            highest.append(rss_mb())

    thread = threading.Thread(target=watch)
    thread.start()
    for _ in range(3):  # a second and a third must not add up
        fresh: list[Any] = [Snapshot.open(out)]
        fresh.append(knowledge_of(fresh[0]))
        held[0].close()
        held, fresh = fresh, []
        give_back()  # as the gateway does
        held[0].search(query, now_ns=NOW_NS)
    stop.set()
    thread.join()
    return {
        "rss_mb_steady": _rounded(steady),
        "rss_mb_swapping_max": _rounded(max(highest)),
        "rss_mb_after_swaps": _rounded(rss_mb()),
    }


def _at(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return _rounded(ordered[min(len(ordered) - 1, int(share * len(ordered)))])


def _rounded(value: float) -> float:
    return round(value, 3)


if __name__ == "__main__":
    sys.exit(main())
