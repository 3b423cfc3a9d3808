"""Not durable: what cannot be audited is not suppressed, and nothing said then is said again."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edge.records import JournalHole, ShellFault
from edge.state import EngineState
from edge.storage.checkpoint import pack, unpack
from edge.storage.restore import not_as_published
from edge.wire.topics import Topics
from tests.edge.rig import Rig, S, knowledge, scope, settings
from tests.edge.test_rulings import at_work, failed

LEAP = 1 << 20
CONF = settings(engine={"clear_samples": 5})
FULL = ShellFault(name="not_durable", detail="the disk is full", leap=LEAP)
WORKS = ShellFault(name="not_durable", detail="it is over", active=False)


def hole(**change: Any) -> JournalHole:  # noqa: ANN401
    """A minute without a journal."""
    one = JournalHole(from_ns=1, to_ns=60 * S, stimuli=77, because="the disk is full", leap=LEAP)
    return msgspec.structs.replace(one, **change)


def keys(rig: Rig) -> list[tuple[str, str, int]]:
    """Topic, id and revision of all that was said durably."""
    found = [m for m in rig.published if m.key is not None]
    return [(m.topic, *m.key) for m in found if m.key is not None]


def test_a_suppression_rings_when_it_cannot_be_audited_any_more() -> None:
    """At once, with that reason, under the same id."""
    rig = at_work(Rig())
    rig.run(20, {"c1": 6})
    assert rig.said() == ["suppressed"]
    rig.give(FULL)
    assert rig.said() == ["suppressed", "ALERT"]
    assert failed(rig.events()[-1]) == {"durable"}
    assert rig.events()[0]["id"] == rig.events()[-1]["id"]
    assert rig.events()[-1]["revision"] > LEAP


def test_nothing_is_suppressed_while_it_lasts_and_again_when_it_is_over() -> None:
    """The job is open all the time."""
    rig = at_work(Rig(conf=CONF, known=knowledge(scopes=[scope(duration_s_max=3000)])))
    rig.give(FULL)
    rig.run(10, {"c1": 8})
    rig.run(80)
    assert rig.said()[0] == "ALERT"
    assert failed(rig.events()[0]) == {"durable"}
    rig.give(WORKS)
    rig.run(10, {"c1": 8})
    assert rig.said()[-1] == "suppressed"


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("job", {"action": "check_in", "asset": "r1", "kind": "calibration", "instrument": "x"}),
        ("shelve", {"asset": "r1", "minutes": 5, "reason": "noise"}),
        ("oos", {"asset": "r1", "minutes": 5, "reason": "noise"}),
        ("confirm", {"proposal_id": "wo-1"}),
        ("job", {"action": "extend", "asset": "r1", "kind": "calibration", "minutes": 5}),
        ("text", {"asset": "r1", "text": "calibrated", "kind": "log"}),
    ],
)
def test_what_opens_work_or_silences_is_refused_with_the_reason(
    name: str, body: dict[str, Any]
) -> None:
    """It belongs into the trail, which nobody can write; that it was tried waits for it."""
    rig = Rig()
    rig.run(5)
    rig.give(FULL)
    answer = rig.command(name, **body)
    assert not answer["done"]
    assert "not durable: the disk is full" in answer["detail"]
    assert rig.engine.counts()["invalid_command_not_durable"] == 1
    assert set(rig.audited()) <= {"command_refused"}
    assert not rig.runs


def test_what_ends_work_or_acknowledges_is_carried_out() -> None:
    """It only makes louder, or says that somebody has looked."""
    rig = at_work(Rig())
    rig.give(FULL)
    rig.run(10, {"c1": 8})
    assert rig.command("ack", alert_id=rig.events()[0]["id"], reason="seen")["done"]
    ended = rig.command("job", action="cancel", asset="r1", kind="calibration", instrument="x")
    assert ended["done"]


def restored(rig: Rig) -> Rig:
    """What a process that was killed leaves behind: a state from before."""
    return Rig(state=unpack(pack(rig.engine.state), EngineState))


def test_what_was_said_in_a_hole_is_never_said_again_by_who_knows_nothing_of_it() -> None:
    """A process dies not durable; the next one decides the same and other samples from before."""
    rig = Rig(conf=CONF)
    rig.run(300)
    rig.run(10, {"c1": 8})  # one alert from before
    before = unpack(pack(rig.engine.state), EngineState)
    lives = []
    for life, leap in enumerate((0, LEAP, LEAP + 12_345, 0)):
        again = Rig(conf=CONF, state=unpack(pack(before), EngineState))
        again.at = rig.at
        if leap:
            again.give(msgspec.structs.replace(FULL, leap=leap))
        again.run(80, {"c2": life / 10})
        again.run(10, {"c1": 8})
        again.run(10, {"c1": 20, "c3": 12})
        lives.append(set(keys(again)))
    assert all(lives)
    assert not lives[1] & (lives[0] | lives[2])
    assert not lives[2] & (lives[0] | lives[1])
    assert lives[0] & lives[3], "two that were not told would collide: the test can fail"


def test_who_crosses_a_hole_in_a_replay_goes_on_behind_it() -> None:
    """It did not live through it: what is kept quiet rings, and revisions lie beyond."""
    rig = at_work(Rig())
    rig.run(20, {"c1": 6})
    rig.give(hole())
    assert rig.said() == ["suppressed", "ALERT"]
    assert rig.events()[-1]["revision"] > 2 * LEAP
    assert rig.engine.counts()["stimuli_not_journaled"] == 77
    rig.give(WORKS)
    assert not rig.engine.state.not_durable
    assert not rig.engine.state.leap


def test_who_lived_through_a_hole_leaps_once() -> None:
    """The journal is told of it when it is over; revisions go on where they are."""
    rig = Rig(conf=CONF)
    rig.run(300)
    rig.run(10, {"c1": 8})
    rig.give(FULL)
    rig.give(FULL)  # again, as when another part has lapsed
    rig.give(msgspec.structs.replace(FULL, leap=0))  # or another fault has ended
    rig.run(80)
    rig.give(hole())
    rig.give(WORKS)
    revisions = [event["revision"] for event in rig.events()]
    assert revisions == sorted(set(revisions))
    assert LEAP < revisions[-1] < LEAP + 10
    rig.run(10, {"c1": 8})
    assert rig.events()[-1]["count"] == 2, "it waits for an acknowledgement: its id goes on"
    assert LEAP < rig.events()[-1]["revision"] < LEAP + 10


def test_an_id_of_which_nothing_is_said_in_a_lapse_counts_on_by_one() -> None:
    """Lapses that come and go do not move what stands."""
    rig = Rig(conf=CONF)
    rig.run(300)
    rig.run(10, {"c1": 8})
    before = rig.events()[-1]["revision"]
    for leap in (LEAP, LEAP + 1, LEAP + 2):
        rig.give(msgspec.structs.replace(FULL, leap=leap))
        rig.give(WORKS)
    rig.run(80)
    assert [one["revision"] for one in rig.events()][-1] == before + 1


def test_who_comes_behind_a_process_that_was_not_durable_leaps_further() -> None:
    """What that one has said stands nowhere: neither its numbers nor lower ones are said again."""
    rig = Rig(conf=CONF)
    rig.run(300)
    rig.run(10, {"c1": 8})
    rig.give(FULL)
    again = Rig(conf=CONF, state=unpack(pack(rig.engine.state), EngineState))
    again.at = rig.at
    again.give(msgspec.structs.replace(FULL, leap=LEAP + 77))
    again.give(WORKS)
    again.run(80)
    assert again.events()[-1]["revision"] > 2 * LEAP


@pytest.mark.parametrize("crosses", [False, True])
def test_what_has_only_leapt_is_not_said_again_after_a_restart(crosses: bool) -> None:  # noqa: FBT001
    """What stands says what the engine says; only what was said otherwise gets a later revision."""
    rig = Rig(conf=CONF)
    rig.run(300)
    rig.run(10, {"c1": 8})
    topic = "andon/s/alert/r1/process"
    stands = [m.key for m in rig.published if m.topic == topic][-1]
    assert stands is not None
    rig.give(hole() if crosses else FULL)

    def otherwise(newest: tuple[str, int]) -> int:
        found = not_as_published(
            rig.engine,
            {topic: newest}.get,
            lambda _topic, _id: 0,
            topics=Topics("andon", "s"),
            contested=(),
        )
        return len(found)

    assert otherwise(stands) == 0
    assert otherwise((stands[0], stands[1] + LEAP + 3)) == 1, "said in the hole"


def test_a_new_id_after_a_hole_begins_anew() -> None:
    """What is durable needs no leap."""
    rig = Rig()
    rig.run(300)
    rig.give(FULL)
    rig.give(WORKS)
    rig.run(10, {"c1": 8})
    assert rig.events()[0]["revision"] == 1


def test_the_fault_is_told_on_the_system_topic_and_again_when_it_is_over() -> None:
    """With its reason."""
    rig = Rig()
    rig.give(FULL)
    rig.give(WORKS)
    told = [msgspec.json.decode(m.payload) for m in rig.published]
    system = [(t["active"], t["name"], t["message"]) for t in told if t.get("name")]
    assert system == [(1, "not_durable", "the disk is full"), (0, "not_durable", "it is over")]


def test_a_checkpoint_keeps_that_it_is_not_durable() -> None:
    """Where only the trail fails the journal goes on, and so do checkpoints."""
    rig = at_work(Rig())
    rig.give(FULL)
    again = restored(rig)
    again.at = rig.at
    again.context = rig.context
    again.run(10, {"c1": 8})
    assert again.said()[0] == "ALERT"
    assert failed(again.events()[0]) == {"durable"}
