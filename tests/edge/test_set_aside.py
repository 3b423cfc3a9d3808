"""Topics of rubbish: set aside, tried now and then, and read again when they are good."""

from __future__ import annotations

import functools
import gc
import random
import time
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from edge.caps import EDGES_MAX, ERROR_CHARS_MAX, SLOW_VALUES_MAX
from edge.errors import WireError
from edge.records import Audited, DeadLetter, MessageReceived, Note, TickDue
from edge.samples.tag_sets import TAG_SETS_MAX
from edge.settings import Source
from edge.state import TOPICS_MAX as ASSET_TOPICS_MAX
from edge.state import EngineState
from edge.storage.checkpoint import pack, unpack
from edge.wire.readings import decode_clock, decode_readings
from edge.work.set_aside import (
    FAILURES_MAX,
    LETTER_BYTES_MAX,
    LETTER_EVERY,
    PROBE_NS_MAX,
    PROBES_GOOD,
    TOPICS_MAX,
    set_aside_now,
)
from edge.work.shed import has_gap
from tests.edge.rig import START, Rig, S, settings

if TYPE_CHECKING:
    from collections.abc import Sequence

BAD: Final = b"{not json"
GOOD: Final = b'{"nonsense":1}'


class Plant(Rig):
    """The rig with a source that may go wrong; times of arrival as the test says."""

    def __init__(self) -> None:
        super().__init__(without_knowledge=True)
        self.t_ns = START

    def take(self, payload: bytes, *, topic: str = "plant/r1", after_ms: int = 10) -> None:
        """One message, so long after the one before."""
        self.t_ns += after_ms * 10**6
        self.give(
            MessageReceived(topic=topic, payload=payload, received_ns=self.t_ns), now_ns=self.t_ns
        )

    def aside(self) -> set[str]:
        """Topics that are not read."""
        return set(set_aside_now(self.engine.state))

    def count(self, name: str) -> int:
        """A counter."""
        return self.engine.counts().get(name, 0)

    def letters(self) -> list[DeadLetter]:
        """What is kept of what could not be read."""
        return [effect for effect in self.effects if isinstance(effect, DeadLetter)]


def test_a_topic_of_rubbish_is_set_aside_and_its_neighbours_are_read() -> None:
    """Counted, told once, kept in part; what it costs is one message a second."""
    plant = Plant()
    for _ in range(3_000):
        plant.take(BAD, topic="plant/bad")
        plant.take(GOOD, topic="plant/r11")
    assert plant.aside() == {"plant/bad"}
    assert plant.count("messages") == 3_000
    tried = plant.count("invalid_not_json")
    assert plant.count("set_aside") + tried == 3_000, "every message is counted once"
    assert FAILURES_MAX + 50 <= tried <= FAILURES_MAX + 70, "a minute has sixty seconds"
    told = [e for e in plant.effects if isinstance(e, Note) and e.name == "topic_set_aside"]
    assert [(note.fields["topic"], note.fields["reason"]) for note in told] == [
        ("plant/bad", "not_json")
    ]
    kept = plant.letters()
    assert len(kept) <= tried + 3_000 // LETTER_EVERY + 1
    assert {letter.reason for letter in kept} == {"not_json", "set_aside"}


def test_a_topic_that_is_mended_is_read_again_within_seconds() -> None:
    """Its good messages are lost until it has shown five; from then on all are taken."""
    plant = Plant()
    for _ in range(100):
        plant.take(BAD)
    assert plant.aside()
    for _ in range(100 * (PROBES_GOOD + 1)):
        plant.take(GOOD)
    assert not plant.aside()
    lost = plant.count("set_aside")
    plant.take(GOOD)
    assert plant.count("set_aside") == lost


def test_a_burst_in_a_backlog_costs_few_good_messages() -> None:
    """Taken within three seconds, what came in five minutes: the burst is over at once."""
    plant = Plant()
    for _ in range(30):
        plant.take(BAD)
    for _ in range(273):
        plant.take(GOOD)
    assert not plant.aside()
    assert plant.count("messages") >= 273 - 30


def test_what_came_and_was_not_read_is_no_silence_of_the_plant() -> None:
    """As after shedding; a topic that is empty is a silence as ever, and so are other assets."""
    plant = Plant()
    plant.run(60)
    plant.t_ns = START + 60 * S
    for _ in range(60):
        for _ in range(5):
            plant.take(BAD, after_ms=200)
        plant.at += 1
        plant.give(TickDue())
    assert plant.aside() == {"plant/r1"}
    assert not plant.events("r1", "comms")
    assert plant.events("r11", "comms")
    for _ in range(60):
        plant.at += 1
        plant.give(TickDue())
    assert plant.events("r1", "comms")


@pytest.mark.parametrize("good", [b'{"nonsense":1}', b'{"run":1}'], ids=["of nobody", "context"])
def test_rubbish_beside_an_asset_hides_no_silence(good: bytes) -> None:
    """On a topic that never brought a channel: it is in doubt, and its silence is told."""
    plant = Plant()
    plant.settings = settings(source=(Source(topic="plant/{asset}/#"),))
    plant.engine = plant._engine(None)
    plant.take(good, topic="plant/r1/aux")
    plant.run(60)
    plant.engine = plant._engine(unpack(pack(plant.engine.state), EngineState))
    plant.t_ns = START + 60 * S
    for _ in range(60):
        for _ in range(5):
            plant.take(BAD, topic="plant/r1/aux", after_ms=200)
        plant.at += 1
        plant.give(TickDue())
    assert plant.aside() == {"plant/r1/aux"}
    assert plant.events("r1", "comms")
    now_ns = plant.engine.now_ns
    assert has_gap(plant.engine.state.assets["r1"], begin_ns=now_ns, now_ns=now_ns)


def test_topics_of_an_asset_without_end_keep_memory_bounded() -> None:
    """Each brings a value, as under a wildcard; the newest are known."""
    plant = Plant()
    plant.settings = settings(source=(Source(topic="plant/{asset}/#"),))
    plant.engine = plant._engine(None)
    for i in range(2 * ASSET_TOPICS_MAX):
        plant.take(b'{"c0":1}', topic=f"plant/r1/x{i}")
    plant.take(b'{"c0":1}', topic="plant/r1/" + "y" * 1_000)
    known = plant.engine.state.assets["r1"].topics
    assert len(known) == ASSET_TOPICS_MAX
    assert list(known)[-1] == f"plant/r1/x{2 * ASSET_TOPICS_MAX - 1}"


def test_who_fails_again_soon_is_tried_less_often_but_always() -> None:
    """At least once a minute, so that it comes back without anybody's help."""
    plant = Plant()
    for _ in range(12):
        while not plant.aside():
            plant.take(BAD, after_ms=100)
        for _ in range(100_000):
            if not plant.aside():
                break
            plant.take(GOOD, after_ms=1_000)
        assert not plant.aside()
    (state,) = plant.engine.state.topic_errors.values()
    assert state.probe_ns == PROBE_NS_MAX


def test_few_failures_among_many_good_messages_set_nothing_aside() -> None:
    """A topic that many write to is not taken from all for one of them."""
    plant = Plant()
    for i in range(2_000):
        plant.take(BAD if i % 3 == 0 else GOOD)
    assert not plant.aside()
    assert plant.count("set_aside") == 0


def test_commands_and_the_clock_are_never_set_aside() -> None:
    """Who can send rubbish as an operator must not take the operator's voice."""
    plant = Plant()
    for _ in range(200):
        plant.take(BAD, topic="andon/s/cmd/ann/ack")
        plant.take(BAD, topic="plant/_clock")
    assert not plant.aside()
    body = msgspec.json.encode({"ts": plant.t_ns // 10**6, "alert_id": "a"})
    plant.take(body, topic="andon/s/cmd/ann/ack")
    assert plant.count("commands") == 1


def test_names_without_end_keep_memory_bounded() -> None:
    """Thousands of topics under a wildcard, long ones too: what is remembered has a cap."""
    plant = Plant()
    for i in range(2 * TOPICS_MAX):
        plant.take(BAD, topic=f"plant/x{i}")
    for i in range(50):
        plant.take(BAD, topic=f"plant/{i}" + "y" * 60_000)
        plant.take(GOOD, topic=f"plant/{i}" + "z" * 60_000)
    plant.give(TickDue())
    state = plant.engine.state
    assert len(state.topic_errors) <= TOPICS_MAX
    assert max(map(len, state.topic_errors)) <= 300
    assert max(map(len, state.noted)) <= 300
    assert len(pack(state)) < 1_500_000


@pytest.mark.not_counted
def test_tags_without_end_keep_memory_bounded() -> None:
    """New names in every message are not remembered for ever, and known ones go on being read."""
    plant = Plant()
    for i in range(60):
        tags = ",".join(f'"{i}_{k}":1' for k in range(15_000))
        plant.take(("{" + tags + "}").encode())
    aligner = plant.engine._aligner
    assert sum(len(tags) for _, tags in aligner._tag_sets.known) < 300_000
    assert len(aligner._tag_sets.known) <= TAG_SETS_MAX
    assert plant.count("unknown_tag") == 60 * 15_000


@pytest.mark.parametrize(
    "payload",
    [
        b'{"tags":["a"],"t0":1760000000000,"dt_ms":1,"v":['
        + b"[1]," * SLOW_VALUES_MAX
        + b'["x"]]}',
        b'{"tags":["a"],"ts":[' + b"1.5," * SLOW_VALUES_MAX + b"1.5"
        b'],"v":[' + b"[1]," * SLOW_VALUES_MAX + b"[1]]}",
    ],
    ids=["a text among numbers", "fractions of seconds"],
)
def test_what_is_read_one_by_one_has_a_cap_of_its_own(payload: bytes) -> None:
    """Half a second for one message, before: all others would wait."""
    with pytest.raises(WireError, match=f"expected at most {SLOW_VALUES_MAX}") as caught:
        decode_readings(payload, topic="plant/r1", asset="r1", received_ns=START)
    assert caught.value.reason == "oversize"


@pytest.mark.parametrize(
    "payload",
    [
        b"[" * (1 << 20),
        b'{"a":' * (1 << 17),
        b'{"a":' + b"9" * (1 << 19) + b"}",
        b'{"ts":{"a":"' + b"1" * (1 << 19) + b'"}}',
        b'{"ts":1e999999999,"a":1}',
        b'{"a":0.' + b"1" * (1 << 19) + b"}",
        b'{"a":1,"quality":"' + b"\xc4\xb0" * (1 << 18) + b'"}',
        b"[" + b"{}," * 300_000 + b"{}]",
        b'{"tags":[],"t0":1,"dt_ms":1,"v":[' + b"[]," * 300_000 + b"[]]}",
    ],
    ids=["lists", "objects", "digits", "time", "exponent", "decimals", "word", "empties", "rows"],
)
def test_a_bomb_within_the_caps_is_as_cheap_as_numbers(payload: bytes) -> None:
    """No more processor time than a message of as many bytes of plain numbers, thrice over."""
    assert min(_cost_s(payload) for _ in range(2)) < 3 * _usual_s()


@functools.cache
def _usual_s() -> float:
    head = b'{"tags":["a","b"],"t0":1760000000000,"dt_ms":1,"v":['
    return min(_cost_s(head + b"[1,2]," * 99_999 + b"[1,2]]}") for _ in range(3))


def _cost_s(payload: bytes) -> float:
    said = ""
    gc.disable()  # what this process holds besides is looked through by chance, not for a message
    begin_s = time.process_time()
    try:
        decode_readings(payload, topic="plant/r1", asset="r1", received_ns=START)
    except WireError as error:
        said = str(error)
    finally:
        took_s = time.process_time() - begin_s
        gc.enable()
    assert len(said) < 2 * ERROR_CHARS_MAX
    return took_s


def test_a_clock_tag_is_small() -> None:
    """A mebibyte of digits is no time."""
    with pytest.raises(WireError, match="more than 1024 B"):
        decode_clock(b'{"ts":' + b"9" * 2_000 + b"}", topic="plant/_clock")


def test_a_flickering_witness_opens_few_jobs_and_costs_little() -> None:
    """Twelve kilobytes of edges took nine seconds, and everybody waited: now twelve a minute."""
    rig = Rig()
    rig.run(60)
    first_ms = (START + 60 * S) // 10**6 + 100
    rows = ",".join("[1,0],[1,1]" for _ in range(500))
    body = f'{{"tags":["c0","cal"],"t0":{first_ms},"dt_ms":1,"v":[{rows}]}}'
    rig.send("plant/r1", body.encode())
    rig.at += 3
    rig.give(TickDue())
    opened = {run.job.job_id for run in rig.runs}
    assert len(opened) <= EDGES_MAX
    notes = [e for e in rig.effects if isinstance(e, Note) and e.name == "witness_flickers"]
    assert len(notes) == 1
    rig.run(70)
    rig.context["cal"] = 1.0
    rig.run(5)
    assert any(run.live for run in rig.runs), "a minute later work is heard again"
    assert not any(isinstance(effect, Audited) for effect in rig.effects)


def test_a_letter_holds_the_beginning_of_what_came() -> None:
    """Enough to see what it is; and how long it was."""
    plant = Plant()
    plant.take(b"[" + b"1," * 100_000)
    (letter,) = plant.letters()
    assert letter.payload == b"[" + b"1," * (LETTER_BYTES_MAX // 2 - 1) + b"1"
    assert (letter.size_bytes, letter.t_ns, letter.topic) == (200_001, plant.t_ns, "plant/r1")


STEP: Final = st.tuples(
    st.sampled_from(["plant/a", "plant/r1", "plant/b"]),
    st.booleans(),
    st.integers(0, 3_000),
    st.integers(1, 40),
)


@hypothesis_settings(max_examples=30, deadline=None)
@given(st.lists(STEP, max_size=20), st.integers(0, 10**6))
def test_it_is_decided_by_what_came_and_when(steps: Sequence[Any], seed: int) -> None:
    """The same messages, with ticks and a restart anywhere between them, give the same."""
    once, other = Plant(), Plant()
    draw = random.Random(seed)
    for topic, good, after_ms, times in steps:
        for _ in range(times):
            for plant in (once, other):
                plant.take(GOOD if good else BAD, topic=topic, after_ms=after_ms)
            if draw.random() < 0.02:
                other.give(TickDue(), now_ns=other.t_ns)
            if draw.random() < 0.01:
                other.engine = other._engine(unpack(pack(other.engine.state), EngineState))
    assert once.engine.state.topic_errors == other.engine.state.topic_errors
    counted = ("set_aside", "invalid_not_json", "messages", "topics_set_aside")
    assert [once.count(name) for name in counted] == [other.count(name) for name in counted]
    sent = sum(times for *_, times in steps)
    assert sum(once.count(name) for name in counted[:3]) == sent
