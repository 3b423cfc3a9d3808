"""A group of messages does what its messages do one after another, each read the long way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from unittest import mock

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.caps import PAYLOAD_BYTES_MAX
from edge.records import MessageReceived, TickDue
from edge.samples import arrivals, gather, routes
from edge.samples.arrivals import Arrivals
from edge.storage.checkpoint import pack
from edge.wire import quick
from edge.wire.readings import decode_readings
from tests.edge.rig import START, Rig, S, settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.records import Effect, Stimulus
    from edge.state import EngineState

TOPICS: Final = (
    *["plant/r1"] * 8,
    *["plant/r11"] * 4,
    "plant/r9",
    "plant/_clock",
    "elsewhere/r1",
    "andon/s/cmd/ann/ack",
    "andon/s/cmd/x",
)
TAGS: Final = ("c0", "c1", "c2", "c3", "run", "cal", "nobody")
MS: Final = 10**6
NUMBERS: Final = ("1", "-0", "2.5", "1e300", "-7", "12345678901234567890123", "0.1", "null")
ODD: Final = ('"text"', "true", "[1]", "1e999", "{}", "NaN", '"' + "x" * 300 + '"')


def stamp_of(t_ns: int, kind: int) -> str:
    """A time as senders tell it."""
    kinds = (
        f"{t_ns // MS}",
        f"{t_ns // MS}",
        f"{t_ns // MS}",
        f"{t_ns}",
        f"{t_ns / 1e9:.3f}",
        '"2025-10-09T08:53:20.25+00:00"',
        "true",
        '"yesterday"',
        "9000000000000",  # the last time that there is,
        "9000000000001",  # and others behind it
        "9300000000000",
        "99999999999999",
    )
    return kinds[kind]


@st.composite
def bodies(draw: st.DrawFn, t_ns: int) -> bytes:
    """A payload, mostly good."""
    number = st.sampled_from(NUMBERS * 6 + ODD)
    ahead = draw(st.sampled_from([0, 0, 0, 0, -250, -750, -5_000, 1_500, 60_000, -4_000_000]))
    stamp = stamp_of(t_ns + ahead * MS, draw(st.sampled_from([0] * 24 + list(range(12)))))
    time_key = draw(st.sampled_from(["ts"] * 8 + ["timestamp", "t", ""]))
    parts = [f'"{time_key}":{stamp}'] if time_key else []
    if draw(st.integers(0, 3)):  # the usual
        tag = draw(st.sampled_from(["c0", "c1", "run"]))
        value = draw(st.sampled_from(NUMBERS))
        return f'{{"ts":{(t_ns + ahead * MS) // MS},"tag":"{tag}","value":{value}}}'.encode()
    shape = draw(st.sampled_from(["single"] * 6 + ["wide"] * 6 + ["columns", "list", "broken"]))
    if shape == "broken":
        return draw(st.sampled_from([b"{not json", b"", b"[]", b"7", b'{"ts":1', b'{"":1}']))
    if shape == "columns":
        return b'{"tags":["c0","run"],"t0":%d,"dt_ms":500,"v":[[1,1],[2.5,0],[null,1]]}' % (
            t_ns // MS
        )
    if shape == "single":
        parts += [f'"tag":"{draw(st.sampled_from(TAGS))}"', f'"value":{draw(number)}']
    else:
        named = draw(st.sampled_from([TAGS[:4], TAGS[:2], TAGS[3:5], TAGS[5:], ("c0", "c0"), ()]))
        parts += [f'"{tag}":{draw(number)}' for tag in named]
    parts += draw(
        st.sampled_from(
            [[]] * 12
            + [['"seq":4'], ['"quality":"good"'], ['"quality":"BAD x"'], ['"quality":[]']]
            + [['"unit":"bar"'], ['"asset":"r11"'], ['"quality":true'], ['"time":7']]
        )
    )
    body = "{" + ",".join(draw(st.permutations(parts))) + "}"
    return f"[{body},{body}]".encode() if shape == "list" else body.encode()


@st.composite
def groups(draw: st.DrawFn) -> list[tuple[int, list[Stimulus]]]:
    """Groups of stimuli with the times at which they were taken."""
    now_ns, found = START, []
    for _ in range(draw(st.integers(1, 5))):
        now_ns += draw(st.sampled_from([0, S // 4, S // 2, S, 3 * S, 40 * S, -2 * S]))
        some: list[Stimulus] = []
        for _ in range(draw(st.integers(0, 25))):
            t_ns = now_ns - draw(st.sampled_from([0, 10, 400])) * MS
            some.append(
                MessageReceived(
                    topic=draw(st.sampled_from(TOPICS)),
                    payload=draw(bodies(t_ns)),
                    received_ns=t_ns,
                    retain=draw(st.integers(0, 15)) == 0,
                )
            )
        if draw(st.integers(0, 2)):
            some.append(TickDue())
        found.append((now_ns, some))
    return [*found, (now_ns, [TickDue(final=True)])]


class LongWay(Rig):
    """A rig that takes each message on its own, and reads it in full."""

    def take(self, stimuli: Sequence[Stimulus], now_ns: int) -> list[Effect]:
        """Stimuli of one time, one by one."""
        with mock.patch.object(Arrivals, "_quickly", return_value=False):
            return [e for one in stimuli for e in self.engine.handle(one, now_ns=now_ns)]


def remembered(state: EngineState) -> bytes:
    """All that an engine remembers; counts have no order."""
    align = msgspec.structs.replace(state.align, counts=dict(sorted(state.align.counts.items())))
    counts = dict(sorted(state.counts.items()))
    return pack(msgspec.structs.replace(state, align=align, counts=counts))


@pytest.fixture(autouse=True)
def _together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a few messages go together."""
    monkeypatch.setattr(gather, "TOGETHER_MIN", 0)
    monkeypatch.setattr(arrivals, "MANY_MIN", 2)


@pytest.mark.parametrize("clock", ["wall", "plant"])
@given(sent=groups())
@pytest.mark.not_counted
def test_a_group_is_its_messages_one_by_one(
    sent: list[tuple[int, list[Stimulus]]], clock: str
) -> None:
    """The same effects, in order; the same state and counts."""
    conf = settings(clock=clock)
    slow, fast = (kind(without_knowledge=True, conf=conf) for kind in (LongWay, Rig))
    assert isinstance(slow, LongWay)
    for now_ns, stimuli in sent:
        expected = slow.take(stimuli, now_ns)
        assert repr(list(fast.engine.handle_group(stimuli, now_ns=now_ns))) == repr(expected)
        assert remembered(fast.engine.state) == remembered(slow.engine.state)
    assert dict(sorted(fast.engine.counts().items())) == dict(sorted(slow.engine.counts().items()))


@given(data=st.data())
def test_what_is_read_at_once_is_what_is_read_in_full(data: st.DataObject) -> None:
    """Tags, values to the bit, and times; and where it is not, the long way says why."""
    forms = quick.Forms()
    payload = data.draw(bodies(START))
    form = forms.of(payload)
    found = None if form is None else quick.read(payload, form, topic="t")
    if found is None:
        return
    (told,) = decode_readings(payload, topic="t", asset="r1", received_ns=START)
    order = [told.tags.index(tag) for tag in found.tags]
    assert sorted(order) == list(range(len(told.tags)))
    values = ["nan" if v is None else float(v).hex() for v in found.values]
    assert values == [float(told.values[0, i]).hex() for i in order]
    assert told.t_ns.tolist() == [START if found.t_ns is None else found.t_ns]
    assert not told.texts
    assert not told.units
    assert not told.bad_quality


def test_forms_without_end_are_not_all_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Making one costs a hundred messages; whoever changes keys each time pays for few of them."""
    made: list[frozenset[str]] = []
    real = quick._form

    def form_of(keys: frozenset[str]) -> quick.Form | None:
        made.append(keys)
        return real(keys)

    monkeypatch.setattr(quick, "FORMS_MAX", 4)
    monkeypatch.setattr(quick, "_form", form_of)
    forms = quick.Forms()
    for i in range(quick.STRANGE_MIN * 3 + 4):
        forms.of(b'{"k%d":1}' % i)
    assert len(made) == 4 + 3
    assert forms.of(b'{"k0":1}') is None, "it has made room"
    assert len(forms._known) == 4


def test_a_form_of_before_makes_no_message_small() -> None:
    """What is too large is refused by its size, also where all but blanks fits."""
    rig = Rig(without_knowledge=True)
    body = b'{"ts":%d,"c0":1.5}' % (START // MS)
    for payload in (body, body, body + b" " * PAYLOAD_BYTES_MAX):
        message = MessageReceived(topic="plant/r1", payload=payload, received_ns=START)
        rig.engine.handle_group([message], now_ns=START)
    assert rig.engine.counts()["messages"] == 2
    assert rig.engine.counts()["invalid_oversize"] == 1


def test_the_usual_messages_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the second of a form on, whichever comes between, none takes the long way."""
    rig, payloads = Rig(without_knowledge=True), []
    for i in range(6):
        ts = START // MS + 1000 * i
        payloads += [
            {"ts": ts, "tag": "c0", "value": 1.5},
            {"tag": "c1", "value": None, "ts": ts},
            {"ts": ts, "c2": 2.5, "c3": 3},
            {"ts": f"2025-10-09T08:53:2{i}Z", "c2": True, "run": 1},
        ]
    long: list[bytes] = []
    real: Any = Arrivals.take

    def taken(arrivals: Arrivals, message: MessageReceived, *, now_ns: int) -> None:
        long.append(message.payload)
        real(arrivals, message, now_ns=now_ns)

    monkeypatch.setattr(Arrivals, "take", taken)
    for i, body in enumerate(payloads):
        payload, now_ns = msgspec.json.encode(body), START + i // 4 * S
        message = MessageReceived(topic="plant/r1", payload=payload, received_ns=now_ns)
        rig.engine.handle_group([message], now_ns=now_ns)
    assert len(long) == 3, "the first of each form"
    assert rig.engine.counts()["messages"] == len(payloads)


def _sent(rig: Rig, payloads: Sequence[bytes]) -> None:
    """One after another, in one group."""
    received = [MessageReceived(topic="plant/r1", payload=p, received_ns=START) for p in payloads]
    rig.engine.handle_group(received, now_ns=START)


@pytest.mark.parametrize("body", [b'{"ts":%d,"c0":1.5,"unit":"bar"}', b'{"ts":%d,"c0":"high"}'])
def test_what_always_takes_the_long_way_is_seldom_decoded_twice(body: bytes) -> None:
    """Its keys are looked at a few times; then a form that is new is learnt all the same."""
    rig, looked = Rig(without_knowledge=True), 0
    real = quick.Forms.of

    def of(forms: quick.Forms, payload: bytes) -> quick.Form | None:
        nonlocal looked
        looked += 1
        return real(forms, payload)

    payloads = [body % (START // MS + i) for i in range(20 * routes.VAIN_MAX)]
    with mock.patch.object(quick.Forms, "of", of):
        _sent(rig, payloads)
        assert looked <= 3 * routes.VAIN_MAX
        _sent(rig, [b'{"ts":%d,"c1":1}' % (START // MS)] * (routes.VAIN_MAX + 1))
        looked = 0
        _sent(rig, [b'{"ts":%d,"c1":1}' % (START // MS)] * 20)
    assert looked == 0


def test_routes_hold_few_forms_that_nobody_else_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes up keys, here on a topic as on many, fills no memory with what decodes them."""
    monkeypatch.setattr(routes, "FORMS_MAX", 10**6)
    monkeypatch.setattr(quick, "FORMS_MAX", 8)
    monkeypatch.setattr(quick, "STRANGE_MIN", 1)
    rig = Rig(without_knowledge=True)
    known = rig.engine._arrivals._routes.known
    held = 0
    for i in range(200):
        _sent(rig, [b'{"ts":%d,"x%d":1}' % (START // MS, i)])
        forms = {id(form) for route in known.values() for form in route.forms.values()}
        held = max(held, len(forms))
    assert 8 <= held <= 2 * 8
