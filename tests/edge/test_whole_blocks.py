"""Whole blocks closed together are closed as each on its own, to the bit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest

from edge.batches import Readings
from edge.samples.align import Aligner
from edge.samples.pending import AlignState
from edge.storage.checkpoint import pack, unpack
from tests.edge.test_aligned_together import SETTINGS, S, layout, same

if TYPE_CHECKING:
    from edge.batches import Sheaf
    from edge.samples.pending import AssetAlign
    from edge.samples.whole import Block

KINDS: Final = {
    "rows": {"channels": 3, "grid": False},
    "grid": {"channels": 3, "grid": True},
    "narrow": {"channels": 1, "grid": False},
    "told": {"channels": 2, "grid": True, "context": 2},
    "held": {"channels": 3, "grid": True, "held": (1,)},
}
LAYOUTS: Final = tuple(
    layout(f"{kind} {i}", **of)  # type: ignore[arg-type] # as its arguments are
    for kind, of in KINDS.items()
    for i in range(6)
)
STEP: Final = S // 4
NEVER_FUTURE_NS: Final = 2**62


@dataclass(slots=True)
class Twins:
    """The same blocks to one that closes them together, and one that closes each on its own."""

    joined: Aligner = field(default_factory=lambda: Aligner(LAYOUTS, SETTINGS, state=AlignState()))
    alone: Aligner = field(default_factory=lambda: Aligner(LAYOUTS, SETTINGS, state=AlignState()))
    samples: int = 0

    def __post_init__(self) -> None:
        self._part()

    def _part(self) -> None:
        self.alone._whole._columns = [None] * len(LAYOUTS)

    def push(self, block: Readings, *, future_ns: int = NEVER_FUTURE_NS, retain: bool) -> None:
        """One message to both."""
        for one in (self.joined, self.alone):
            one.push(block, future_ns=future_ns, retain=retain)

    def tick(self, now_ns: int, *, final: bool = False) -> None:
        """Both close the same."""
        left, right = (one.close(now_ns=now_ns, final=final) for one in (self.joined, self.alone))
        assert [one.asset for one in left] == [one.asset for one in right]
        for one, other in zip(left, right, strict=True):
            same(one, other)
            self.samples += len(one.t_ns)

    def check(self) -> None:
        """Both remember and count the same."""
        left, right = self.joined.state, self.alone.state
        assert dict(sorted(left.counts.items())) == dict(sorted(right.counts.items()))
        for name in left.assets:
            assert pack(left.assets[name]) == pack(right.assets[name]), name

    def restart(self) -> None:
        """Both go on from a checkpoint."""
        self.joined, self.alone = (
            Aligner(LAYOUTS, SETTINGS, state=unpack(pack(one.state), AlignState))
            for one in (self.joined, self.alone)
        )
        self._part()


def block_of(number: int, t_ns: np.ndarray, values: np.ndarray) -> Readings:
    """A message of every column."""
    one = LAYOUTS[number]
    return Readings(asset=one.asset, tags=tuple(one.columns), t_ns=t_ns, values=values)


def usual(rng: np.random.Generator, number: int, begin_ns: int, rows: int) -> Readings:
    """Rows of an asset from then on, each a step of its layout behind the one before."""
    one = LAYOUTS[number]
    step_ns = S if one.grid else STEP
    t_ns = begin_ns + step_ns * np.arange(rows, dtype=np.int64)
    return block_of(number, t_ns, rng.normal(size=(rows, one.width)))


def spoilt(rng: np.random.Generator, block: Readings) -> Readings:
    """The same with something odd about it."""
    t_ns, values, tags = block.t_ns.copy(), block.values.copy(), block.tags
    at = int(rng.integers(len(t_ns)))
    match rng.integers(8):
        case 0:
            values[at, 0] = np.nan
        case 1:
            values[at, -1] = 1e39
        case 2:
            t_ns[at:] += 3 * S  # a gap
        case 3:
            t_ns[at] = t_ns[at - 1]
        case 4:
            t_ns -= 5 * S  # late
        case 5:
            t_ns = t_ns[::-1].copy()
        case 6:
            tags, values = tags[1:], values[:, 1:]
        case _:
            t_ns[at:] += 1
    return Readings(asset=block.asset, tags=tags, t_ns=t_ns, values=values)


@pytest.mark.parametrize("odd", [0.0, 0.15, 0.6])
@pytest.mark.parametrize("seed", range(4))
def test_blocks_together_or_each_on_its_own_are_the_same(seed: int, odd: float) -> None:
    """Whatever is odd about some of them, with ticks, checkpoints and single rows in between."""
    rng, twins, now_ns = np.random.default_rng(seed), Twins(), 1000 * S + seed
    together = 0
    real = twins.joined._whole._closed

    def counted(*args: object, **more: object) -> Sheaf:
        nonlocal together
        found = real(*args, **more)  # type: ignore[arg-type]
        together += found.t_ns.size
        return found

    twins.joined._whole._closed = counted  # type: ignore[method-assign]
    for turn in range(12):
        rows = int(rng.integers(2, 6))
        for number in rng.permutation(len(LAYOUTS)).tolist():
            block = usual(rng, number, now_ns, rows)
            strange = rng.random() < odd
            if strange:
                block = spoilt(rng, block)
            future_ns = now_ns + 2 * S if strange and rng.random() < 0.3 else NEVER_FUTURE_NS
            twins.push(block, future_ns=future_ns, retain=strange and rng.random() < 0.2)
            if rng.random() < odd / 4:
                twins.push(usual(rng, number, now_ns + 9 * S, 1), retain=False)
            if rng.random() < odd / 10:
                twins.check()
        now_ns += rows * S
        twins.tick(now_ns - int(rng.integers(0, rows * S)))
        twins.check()
        twins.tick(now_ns)
        if turn == 8:
            twins.restart()
    twins.tick(now_ns, final=True)
    twins.check()
    if not odd:
        assert together > 0.4 * twins.samples, "rows, grid and narrow, up to the restart"


def test_blocks_of_many_assets_are_closed_in_a_few_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the last row of each, where it has waited long enough; none goes its own way."""
    many = [layout(f"m{i}", channels=8, grid=False) for i in range(40)]
    aligner, calls = Aligner(many, SETTINGS, state=AlignState()), 0

    def counted(*args: object, **more: object) -> object:
        nonlocal calls
        calls += 1
        return real(*args, **more)  # type: ignore[arg-type]

    real = aligner._whole._closed
    aligner._whole._closed = counted  # type: ignore[method-assign, assignment]
    monkeypatch.setattr(aligner, "_push_block", alone)
    monkeypatch.setattr(aligner, "_close", alone)
    for turn in range(3):
        for one in many:
            t_ns = (1000 + 100 * turn) * S + STEP * np.arange(100, dtype=np.int64)
            values = np.full((100, 8), float(turn))
            aligner.push(
                Readings(asset=one.asset, tags=tuple(one.columns), t_ns=t_ns, values=values),
                future_ns=NEVER_FUTURE_NS,
            )
        taken = [len(one.t_ns) for one in aligner.close(now_ns=(1025 + 100 * turn) * S)]
        last = [len(one.t_ns) for one in aligner.close(now_ns=(1050 + 100 * turn) * S)]
        assert (taken, last) == ([99] * 40, [1] * 40)
    assert calls == 6


def alone(*_: AssetAlign | Block, **__: object) -> None:
    """Nobody is to come here."""
    raise AssertionError("each on its own")


def test_what_waits_keeps_no_rows_of_others() -> None:
    """A silent asset holds its last row, not the blocks of all."""
    many = [layout(f"m{i}", channels=8, grid=False) for i in range(20)]
    aligner = Aligner(many, SETTINGS, state=AlignState())
    for one in many:
        t_ns = 1000 * S + STEP * np.arange(400, dtype=np.int64)
        block = Readings(
            asset=one.asset, tags=tuple(one.columns), t_ns=t_ns, values=np.ones((400, 8))
        )
        aligner.push(block, future_ns=NEVER_FUTURE_NS)
    aligner.close(now_ns=1000 * S)
    held = aligner.state.assets["m3"].values
    assert held.shape == (1, 8)
    assert held.base is not None
    assert held.base.nbytes <= 20 * 8 * 8
