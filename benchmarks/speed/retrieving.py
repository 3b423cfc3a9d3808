"""How long a question to the knowledge base takes, beside a loop that ticks."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.knowledge import NOW_NS
from benchmarks.knowledge_folder import ASSETS, write_folder
from benchmarks.speed.figure import Figure
from edge.knowledge.retrieve import Retriever
from edge.records import RetrievalDone, Retrieve
from kb.records import Query
from kb.snapshots.build import build
from kb.snapshots.snapshot import Snapshot

if TYPE_CHECKING:
    from pathlib import Path


RETRIEVAL: Final = "retrieval_p99"
ASKED: Final = 300
TICK_S: Final = 0.01
_PARTS: Final = ("wire feeder", "gas nozzle", "coolant pump", "spindle bearing", "regulator")
_SIGNS: Final = ("flow too low", "pressure too high", "current drops", "vibration rises")


def retrieval_p99(folder: Path, *, snapshot: Path | None = None, passages: int = 20_000) -> Figure:
    """Questions one after another; snapshot: one that was built before, of so many passages."""
    if snapshot is None:
        write_folder(folder / "texts", documents=passages // 10, passages=passages)
        snapshot = folder / "current"
        build(folder / "texts", snapshot, now_ns=NOW_NS)
    answered, came = list[RetrievalDone](), threading.Event()

    def answer(done: RetrievalDone) -> None:
        answered.append(done)
        came.set()

    def asked(query: Query) -> float:
        begun_s = time.perf_counter()
        came.clear()
        retriever.ask(Retrieve(alert_id="a", query=query, deadline_ms=10_000), now_ns=NOW_NS)
        came.wait()
        return (time.perf_counter() - begun_s) * 1e3

    with Snapshot.open(snapshot) as opened:
        retriever = Retriever(opened, answer)
        for query in _questions(20):  # tables of the process: tokens, stems, frequencies
            asked(query)
        loop = _Loop()
        quiet = loop.during(lambda: time.sleep(3.0))
        asks = _questions(ASKED + 20)[20:]
        took: list[float] = []
        busy = loop.during(lambda: took.extend(asked(query) for query in asks))
        again = [asked(query) for query in asks[-50:]]
        told = retriever.told()
        retriever.stop()
    assert told.cached >= len(again), "the newest answers are remembered"
    p50, p99 = np.percentile(took, (50, 99)).tolist()
    cached = float(np.percentile(again, 99))
    note = (
        f"p50 {p50:.1f} ms, {told.searches} searches of {passages:,} passages; remembered answers"
        f" p99 {cached:.2f} ms; a 100 Hz loop in the same process is late p99 {busy[0]:.2f},"
        f" p99.9 {busy[1]:.2f} ms meanwhile, {quiet[0]:.2f} and {quiet[1]:.2f} without"
    )
    return Figure(
        id=RETRIEVAL,
        figure=p99,
        unit="ms",
        ratio=cached / p99,
        against="the same, searched",
        note=note,
    )


def _questions(count: int) -> list[Query]:
    """Of events, none twice."""
    rng = random.Random(11)  # noqa: S311 - seeded, on purpose
    return [
        Query(
            text=f"process anomaly: {rng.choice(_SIGNS)}, {rng.choice(_PARTS)} {n}; cause, what to"
            " check first",
            terms=("Pressure", rng.choice(_PARTS), "calibration"),
            asset=rng.choice(ASSETS),
            limit=6,
        )
        for n in range(count)
    ]


class _Loop:
    """Looks every 10 ms how late it is, in a thread beside what is done."""

    def during(self, work: object) -> tuple[float, float]:
        """p99 and p99.9 while something is done, ms."""
        late_ms: list[float] = []
        stop = threading.Event()

        def tick() -> None:
            due_s = time.monotonic()
            while not stop.is_set():
                due_s = max(due_s + TICK_S, time.monotonic())
                time.sleep(max(0.0, due_s - time.monotonic()))
                late_ms.append((time.monotonic() - due_s) * 1e3)

        thread = threading.Thread(target=tick)
        thread.start()
        assert callable(work)
        work()
        stop.set()
        thread.join()
        p99, p999 = np.percentile(late_ms, (99, 99.9)).tolist()
        return p99, p999
