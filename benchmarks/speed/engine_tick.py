"""What a tick of the engine costs: closed samples of many assets to ring, scores and events.

    python -m benchmarks.speed.engine_tick [--assets 1000]

Nothing happens in these samples, as nearly always. Beside them stands the same engine that takes
its assets one by one, and how many functions a quiet tick calls and how much it leaves behind,
which no busy machine changes.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.many_assets import BLOCK_ROWS, FIRST_NS, bundle_of
from benchmarks.plant import Load, signals
from benchmarks.speed.figure import Figure
from benchmarks.speed.interleaved import pinned
from edge.batches import Sheaf
from edge.engine import Engine
from edge.settings import GatewaySettings
from models.bundles.rows import without
from models.detector import detectors_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from models.bundles.bundle import Bundle

CHANNELS: Final = 8
WARM_ROWS: Final = 384  # behind which every asset has a score, and its sensors a first look
TICKS: Final = 96  # three times all that comes once in so many samples
CALLS_MAX: Final = 600  # Python functions of a quiet tick, however many assets there are
BLOCKS_MAX: Final = 50  # of memory that a quiet tick leaves behind
PERIOD_MS: Final = 10  # ticks at 100 Hz
PERIOD_NS: Final = PERIOD_MS * 10**6


class Ticking:
    """An engine in mid-life, and ticks for it. n: samples of each asset a tick."""

    def __init__(self, bundle: Bundle, *, together: bool = True) -> None:
        detectors = tuple(_Counted(one) for one in detectors_of(bundle))
        self.detectors = detectors
        self.engine = Engine(
            GatewaySettings(site="bench"),
            bundle=bundle,
            detectors=detectors,
            derive=lambda row, keep: without(bundle, row, keep),
            together=together,
        )
        self.names = tuple(model.asset for model in bundle.assets)
        self.now_ns = FIRST_NS
        few = Load(assets=16, channels=CHANNELS, period_ms=PERIOD_MS, rows=1, batch_rows=1)
        self._values = signals(few, rows=2_000, training=False).astype(np.float32)
        self._of = np.arange(len(self.names)) % 16
        self._at = 0
        for _ in range(WARM_ROWS // BLOCK_ROWS):
            self.tick(self.sheaf(BLOCK_ROWS))

    def sheaf(self, n: int) -> Sheaf:
        """The next n samples of every asset."""
        if self._at + n > self._values.shape[1]:
            self._at = 0
        values = self._values[:, self._at : self._at + n][self._of]
        t_ns = self.now_ns + PERIOD_NS * (1 + np.arange(n))
        self._at, self.now_ns = self._at + n, int(t_ns[-1])
        shape = len(self.names), n
        every = np.broadcast_to(t_ns, shape).copy()
        return Sheaf(assets=self.names, t_ns=every, values=values, running=np.ones(shape, bool))

    def tick(self, sheaf: Sheaf) -> None:
        """Take closed samples, and what time alone brings."""
        for step in self.engine._annunciator.in_step([sheaf]):  # noqa: SLF001 - a part of a tick
            self.engine._taking.take(step)  # noqa: SLF001 - likewise
        self.idle()

    def idle(self) -> None:
        """What a tick does in which nothing closed."""
        self.engine._settle_time(self.now_ns)  # noqa: SLF001 - likewise
        self.engine._desk.effects.clear()  # noqa: SLF001 - likewise

    def spent_s(self, n: int, ticks: int) -> np.ndarray:
        """CPU seconds of so many ticks (ticks,) of n samples each."""
        spent = []
        for sheaf in [self.sheaf(n) for _ in range(ticks)]:
            begun = time.thread_time()
            self.tick(sheaf)
            spent.append(time.thread_time() - begun)
        return np.array(spent)


class _Counted:
    """A detector that counts its calls and the time in them."""

    def __init__(self, detector: Any) -> None:  # noqa: ANN401 - any of them
        self._detector = detector
        self.calls, self.spent_s = 0, 0.0

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as the detector has it
        return getattr(self._detector, name)

    def score(self, *given: Any) -> Any:  # noqa: ANN401 - likewise
        """As the detector does."""
        begun = time.thread_time()
        told = self._detector.score(*given)
        self.calls, self.spent_s = self.calls + 1, self.spent_s + time.thread_time() - begun
        return told


def bundle_for(assets: int) -> Bundle:
    """A bundle of so many assets."""
    return bundle_of(
        Load(assets=assets, channels=CHANNELS, period_ms=PERIOD_MS, rows=1, batch_rows=1)
    )


def figures(assets: int = 1_000) -> Iterator[Figure]:
    """All figures of the engine's tick."""
    bundle = bundle_for(assets)
    many, alone = Ticking(bundle), Ticking(bundle, together=False)
    spent: dict[tuple[int, bool], list[np.ndarray]] = {}
    for _ in range(3):  # in turn, so that a busy machine slows both
        for n, ticks in ((1, TICKS), (16, TICKS // 16)):
            spent.setdefault((n, True), []).append(many.spent_s(n, ticks))
            spent.setdefault((n, False), []).append(alone.spent_s(n, max(ticks // 12, 2)))
    for n in 1, 16:
        own, other = (np.concatenate(spent[n, way]) for way in (True, False))
        mean_s = float(own.mean())
        yield Figure(
            id=f"engine_{assets}_assets_hop_{n}",
            figure=assets * CHANNELS * n / mean_s / 1e6,
            unit="M values/s",
            ratio=float(other.mean() / own.mean()),
            against="the same engine, asset by asset",
            note=f"{mean_s / assets / n * 1e6:.2f} us an asset and sample, median tick"
            f" {np.median(own) * 1e3:.2f} ms, longest {own.max() * 1e3:.1f} ms",
            at_least=10.0 if n == 1 else None,
        )
    yield from _shares(many, assets)
    yield from counts(assets, bundle)


def _shares(many: Ticking, assets: int) -> Iterator[Figure]:
    before_s = sum(one.spent_s for one in many.detectors)
    spent_s = many.spent_s(1, TICKS).sum()
    within_s = sum(one.spent_s for one in many.detectors) - before_s
    yield Figure(
        id=f"engine_{assets}_assets_detector_share",
        figure=float(100.0 * within_s / spent_s),
        unit="% of a tick",
        ratio=float(within_s / spent_s),
        against="the whole tick",
    )
    idle = []
    for _ in range(200):
        many.now_ns += PERIOD_NS // 100
        begun = time.thread_time()
        many.idle()
        idle.append(time.thread_time() - begun)
    median_ms = float(np.median(idle)) * 1e3
    yield Figure(
        id=f"engine_{assets}_assets_idle_tick",
        figure=median_ms,
        unit="ms",
        at_most=0.5,
    )


def counts(assets: int, bundle: Bundle | None = None) -> Iterator[Figure]:
    """What no machine changes: calls of graphs and of functions, and what a tick leaves behind."""
    many = Ticking(bundle or bundle_for(assets))
    many.spent_s(
        1, 32
    )  # so that no sample below ends a block; with every other one some looks come
    before = sum(one.calls for one in many.detectors)
    calls, left = zip(*(_traced(many) for _ in range(8)), strict=True)
    graphs = (sum(one.calls for one in many.detectors) - before) / 8
    name = f"engine_{assets}_assets"
    functions, blocks = float(np.median(calls)), float(np.median(left))
    for named, figure, at_most in (
        (f"{name}_graph_calls", graphs, 1.0),
        (f"{name}_calls", functions, float(CALLS_MAX)),
        (f"{name}_blocks_left", blocks, float(BLOCKS_MAX)),
    ):
        yield Figure(id=named, figure=figure, unit="a tick", at_most=at_most)


def _traced(many: Ticking) -> tuple[int, int]:
    """Python functions that a tick calls, and blocks of memory that are there behind it."""
    calls = 0

    def count(_frame: FrameType, event: str, _given: object) -> None:
        nonlocal calls
        calls += event == "call"

    sheaf = many.sheaf(1)
    before = sys.getallocatedblocks()
    sys.setprofile(count)
    try:
        many.tick(sheaf)
    finally:
        sys.setprofile(None)
    return calls, sys.getallocatedblocks() - before


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=int, default=1_000)
    given = parser.parse_args()
    with pinned():
        for one in figures(given.assets):
            reached = {None: "", True: "reached", False: "NOT REACHED"}[one.reached]
            ratio = "" if np.isnan(one.ratio) else f" {one.ratio:.1f} x {one.against}"
            sys.stdout.write(f"{one.id} {one.figure:.6g} {one.unit}{ratio} {reached} {one.note}\n")


if __name__ == "__main__":
    main()
