"""A checkpoint copied in slices, with stimuli between them, is the one of its place to the bit."""

from __future__ import annotations

import os
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import pytest

from edge.records import MessageReceived, RetrievalDone, Shed, Stimulus
from edge.samples import gather, pending, together
from edge.settings import CommissioningSettings, GatewaySettings
from edge.storage.apart import Copied
from edge.storage.checkpoint import Checkpoint, Packed, Packer, pack
from edge.storage.journal import Position
from edge.work.commission import TOLD_NS
from tests.edge import plant_of_many
from tests.edge.plant_of_many import ASSETS, ROWS, Both, counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.copying import Copying
    from edge.samples.pending import AssetAlign
    from edge.state import EngineState

SEEDS: Final = range(int(os.environ.get("COPYING_SEEDS", "2")))
SLICES: Final = (1, 1, 2, 3, 5)
NOWHERE: Final = Path("nowhere")


def at_once(packer: Packer, state: EngineState, offset: int) -> Packed:
    """All of a checkpoint, as it is now."""
    return packer.packed(Checkpoint(position=Position(1, offset), fingerprint="f", state=state))


def bytes_of(made: Packed) -> tuple[bytes, ...]:
    """All that is written of it."""
    return made.head, made.state(), made.part() if made.part else b"", made.link()


class InSlices(Both):
    """One engine is copied in slices, the other at once; they remember the same."""

    def __init__(self, seed: int) -> None:
        self.copies: list[tuple[Packed, Copying, tuple[bytes, ...]]] = []
        self.fresh()
        self.compared = self.between = self.offset = 0
        super().__init__(seed)

    def fresh(self) -> None:
        """A process begins."""
        self.packers = Packer(NOWHERE), Packer(NOWHERE)
        self.copies.clear()

    def give(self, stimulus: Stimulus) -> None:
        """Now and then a checkpoint begins, and goes on a little behind each stimulus."""
        if not self.copies and self.chance.random() < 0.1:
            self.begin()
        super().give(stimulus)
        for made, copying, expected in self.copies:
            self.between += copying.left > 0
            if self.chance.random() < 0.2:
                copying.more(int(self.chance.choice(SLICES)))
            if not copying.left:
                assert bytes_of(made) == expected, f"at {self.at}, behind {stimulus}"
                self.compared += 1
        self.copies = [one for one in self.copies if one[1].left]

    def begin(self) -> None:
        """A checkpoint of where both stand."""
        self.offset += 1
        mine, other = self.engines
        expected = bytes_of(at_once(self.packers[1], other.state, self.offset))
        at, copied = Position(1, self.offset), Copied()
        copying, state = mine.copied(copied.keep)
        outline = Checkpoint(position=at, fingerprint="f", state=state)
        self.copies.append((self.packers[0].begun(outline, copied), copying, expected))

    def restart(self) -> None:
        """What was not copied by then is lost with its process."""
        self.fresh()
        super().restart()

    def answer(self) -> None:
        """The documents answer about an alert."""
        open_ = [one.alert_id for one in self.engines[1].alerts() if one.alert_id]
        if open_:
            which = str(self.chance.choice(open_))
            self.give(RetrievalDone(alert_id=which, hits=(), reason=""))

    def rubbish(self) -> None:
        """A topic brings what cannot be read until it is set aside, or values of a new name."""
        name = str(self.chance.choice(ASSETS))
        for _ in range(30):
            self.give(self._sent(f"plant/{name}", b"{"))
        body = msgspec.json.encode({"ts": self.now_ns // 10**6, "c0": 1.0})
        self.give(self._sent(f"plant/{name}/{self.at}", body))

    def _sent(self, topic: str, payload: bytes) -> Stimulus:
        return MessageReceived(topic=topic, payload=payload, received_ns=self.now_ns)

    def step(self) -> None:
        """Also what the gateway hears beside the plant."""
        if self.chance.random() < 0.1:
            self.answer()
        if self.chance.random() < 0.02:
            self.rubbish()
        super().step()


def with_learners(settings: GatewaySettings) -> GatewaySettings:
    """Some assets are not in service yet."""
    return msgspec.structs.replace(
        settings, commissioning=CommissioningSettings(assets=("t1", "t2", "a4"))
    )


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.not_counted
def test_in_slices_or_at_once_a_checkpoint_is_the_same(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Head, state, histories and states of the assets, whatever happens to whom meanwhile."""
    usual = plant_of_many.settings
    monkeypatch.setattr(plant_of_many, "settings", lambda: with_learners(usual()))
    monkeypatch.setattr(gather, "TOGETHER_MIN", (0, 16)[seed % 2])
    both = InSlices(seed)
    counted(both, monkeypatch)
    while both.at < ROWS // 2:
        both.step()
    assert both.compared > 10
    assert both.between > 10 * both.compared
    assert both.together > 0.1 * ROWS * len(ASSETS)


def shed(both: Both) -> None:
    """Messages were given up."""
    Both.give(both, Shed(messages={"": 3}))


def wait(both: Both) -> None:
    """Nobody sends anything until progress is told, and nobody is silent for too long."""
    for engine in both.engines:
        engine.commissioning.settle(both.now_ns + TOLD_NS, due=True)
        engine._desk.effects.clear()


@pytest.mark.parametrize("happens", [shed, wait])
def test_who_is_changed_from_aside_is_copied_before(
    happens: Callable[[Both], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages that were given up; what time alone says of an asset that is not in service."""
    usual = plant_of_many.settings
    monkeypatch.setattr(plant_of_many, "settings", lambda: with_learners(usual()))
    both = InSlices(0)
    while both.at < 60:
        Both.step(both)
    before = pack(both.engines[1].state.assets)
    both.begin()
    happens(both)
    assert pack(both.engines[1].state.assets) != before
    ((made, copying, expected),) = both.copies
    copying.finish()
    assert bytes_of(made) == expected


def test_what_is_copied_is_nobodys_once_it_is_all() -> None:
    """A checkpoint of a thousand assets would stay in memory until the next one otherwise."""
    both = InSlices(0)
    while both.at < 20:
        Both.step(both)
    copied = Copied()
    seen, (copying, _) = weakref.ref(copied), both.engines[0].copied(copied.keep)
    copying.finish()
    assert copied.made(sorted(both.engines[0].state.assets)), "all are there"
    del copied
    assert seen() is None
    copied = Copied()
    seen, (copying, _) = weakref.ref(copied), both.engines[0].copied(copied.keep)
    copying.more(1)
    copying.stop()
    del copied
    assert seen() is None


def test_what_waits_to_be_aligned_is_put_together_by_who_writes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The loop copies a few arrays of all assets, and asks no state of alignment for its own."""
    monkeypatch.setattr(gather, "TOGETHER_MIN", 0)
    both = InSlices(0)
    while both.at < 60:
        Both.step(both)
    engine, made = both.engines[0], list[str]()
    usual = pending.AssetAlign

    def counted_one(**fields: object) -> AssetAlign:
        made.append("one")
        return usual(**fields)  # type: ignore[arg-type]

    monkeypatch.setattr(together, "AssetAlign", counted_one)
    here = int((~engine._aligner._together.own).sum())
    assert here > 0
    before = {name: one.t_ns for name, one in engine._state.align.assets.items()}
    both.begin()
    ((begun, copying, expected),) = both.copies
    assert not made
    assert all(one.t_ns is before[name] for name, one in engine._state.align.assets.items())
    copying.finish()
    assert bytes_of(begun) == expected
    assert len(made) == here
