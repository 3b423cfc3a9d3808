"""A run and its replay: other snapshots, texts, audited words, and a restart in the middle."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import msgspec
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from edge.records import Audited, Publish, SnapshotSwapped, TextTold
from tests.edge.rig import START, Rig, S, knowledge, order, scope, settings

if TYPE_CHECKING:
    from edge.desk import Knowledge
    from edge.records import Effect, Stimulus

NEXT = "next"


def known(sha256: str) -> Knowledge:
    """The first snapshot, and the one that withdraws a row of it and brings another order."""
    second = order(proposal_id="wo-2", valid_to_ns=START + 460 * S)
    if sha256 == NEXT:
        rows = [scope(), scope(scope_id="s2", channels=(), recorded_at_ns=START + 440 * S)]
        return knowledge(proposals=[order(), second], scopes=rows, sha256=NEXT)
    return knowledge(proposals=[order(), second])


def rig() -> Rig:
    """A gateway that takes texts."""
    made = Rig(known=known(""), conf=settings(texts=True))
    made.swapped[NEXT] = known(NEXT)
    return made


@functools.cache
def lived() -> tuple[tuple[tuple[int, Stimulus], ...], tuple[Effect, ...]]:
    """What was taken and what left: work, a shelf, a text, another snapshot, a fault."""
    one = rig()
    one.run(310)
    one.run(40, {"c1": 6})
    line = {"ts": one.now_ns // 10**6, "asset": "r1", "text": "calibrated x, done by six"}
    assert one.command("text", **line)["done"]
    assert one.command("shelve", asset="r1", minutes=1, reason="tip change")["done"]
    one.run(20, {"c1": 6})
    one.give(SnapshotSwapped(snapshot_sha256=NEXT))
    one.run(130, {"c1": 6})
    one.run(60)
    return tuple(one.sent), tuple(one.effects)


def test_a_replay_of_what_was_taken_says_the_same() -> None:
    """Every effect, byte by byte; and the run had all of it."""
    sent, effects = lived()
    again = rig()
    for now_ns, stimulus in sent:
        again.give(stimulus, now_ns=now_ns)
    assert again.effects == list(effects)
    assert sum(isinstance(effect, TextTold) for effect in effects) == 1
    audited = [effect.what for effect in effects if isinstance(effect, Audited)]
    assert set(audited) == {"suppressed", "shelved", "rang_again", "unshelved"}
    assert len(audited) == len({msgspec.json.encode(e) for e in effects if isinstance(e, Audited)})


@bounded(max_examples=6, deadline=None)
@given(share=st.floats(0.5, 1.0, exclude_max=True))
def test_a_restart_anywhere_in_it_says_the_same(share: float) -> None:
    """Before and after the text, the shelf and the other snapshot."""
    sent, effects = lived()
    again = rig()
    place = int(share * len(sent))
    for i, (now_ns, stimulus) in enumerate(sent):
        if i == place:
            again.known = known(again.engine.state.orders_of)
            again.restart()
        again.give(stimulus, now_ns=now_ns)

    def lasting(found: list[Effect]) -> list[Effect]:
        return [e for e in found if isinstance(e, Publish | Audited | TextTold)]

    assert lasting(again.effects) == lasting(list(effects))
