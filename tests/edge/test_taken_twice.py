"""What a broker sends again past everything that knows its id is still taken once by the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from edge.records import MessageReceived, TextTold
from edge.storage.checkpoint import pack
from tests.edge.rig import Rig, settings

if TYPE_CHECKING:
    from collections.abc import Sequence


def again(rig: Rig, sent: Sequence[tuple[int, Any]]) -> None:
    """The same messages once more, with DUP."""
    for _, stimulus in list(sent):
        if isinstance(stimulus, MessageReceived):
            rig.give(msgspec.structs.replace(stimulus, dup=True))


def twin() -> tuple[Rig, Rig]:
    """Two rigs that lived alike."""
    return Rig(), Rig()


@pytest.mark.parametrize("seconds", [1, 5, 20])
def test_samples_and_context_edges_that_come_again_change_nothing(seconds: int) -> None:
    """By asset and time: what is closed is late, what waits a duplicate, an edge opens one job."""
    once, twice = twin()
    for rig in (once, twice):
        rig.run(100)
        rig.context["cal"] = 1.0
        before = len(rig.sent)
        rig.run(seconds, {"c1": 9.0})
        if rig is twice:
            again(rig, rig.sent[before:])
        rig.context["cal"] = 0.0
        rig.run(60)
    assert [run.job.job_id for run in twice.runs] == [run.job.job_id for run in once.runs]
    assert len(once.runs) == 1
    assert twice.said() == once.said()
    assert twice.audited() == once.audited()
    state = pack(once.engine.state.ring), pack(once.engine.state.rows)
    assert (pack(twice.engine.state.ring), pack(twice.engine.state.rows)) == state
    counts = twice.engine.counts()
    assert counts.get("late", 0) + counts.get("duplicate", 0) >= 4 * seconds


def test_a_command_that_comes_again_does_no_more_than_the_first() -> None:
    """A shelving is not longer, a job not a second one, and an acknowledgement stays one."""
    once, twice = twin()
    for rig in (once, twice):
        rig.run(100)
        rig.run(30, {"c0": 14.0})
        begin = len(rig.sent)
        rig.command("ack", asset="r1", track="process")
        rig.command("shelve", asset="r1", track="process", minutes=10, reason="noise")
        rig.command("job", asset="r1", kind="calibration", instrument="x", minutes=5)
        if rig is twice:
            again(rig, rig.sent[begin:])
        rig.run(30)
    alerts = [rig.engine.state.assets["r1"].alerts["process"] for rig in (once, twice)]
    assert alerts[0].alert_id == alerts[1].alert_id
    assert len(twice.runs) == len(once.runs)
    assert len(twice.engine.state.assets["r1"].silences) == len(
        once.engine.state.assets["r1"].silences
    )


def test_a_text_that_comes_again_is_the_same_line() -> None:
    """The notebook knows a line by what it says, who and when: it is noted once."""
    rig = Rig(conf=settings(texts=True))
    rig.run(20)
    begin = len(rig.sent)
    rig.command("text", asset="r1", text="calibrated x")
    again(rig, rig.sent[begin:])
    told = [effect for effect in rig.effects if isinstance(effect, TextTold)]
    assert len(set(map(repr, told))) <= 1
