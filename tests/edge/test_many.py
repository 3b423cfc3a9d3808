"""Many messages of one value each, taken together, do what they do one after another."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.records import MessageReceived, TickDue
from edge.samples import arrivals, gather
from edge.samples.arrivals import Arrivals
from edge.samples.many import Singles
from edge.wire import quick
from tests.edge.rig import ASSETS, CHANNELS, START, Rig, S, settings
from tests.edge.test_groups import LongWay, bodies, remembered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.records import Stimulus
    from edge.samples.routes import Route
    from edge.wire.quick import Form

MS: Final = 10**6
GROUPS: Final = 60
KEY: Final = ("row", "asset", "tag")
ODD: Final = (
    b"{",
    b'{"ts":1760000000123,"tag":"nobody","value":1}',
    b'{"ts":1760000000123,"tag":"c0","value":"on"}',
    b'{"ts":1760000000123,"c0":7}',
)
USUAL: Final = b'{"ts":1760000000123,"tag":"c0","value":1.5}'


def message(t_ns: int, asset: str, tag: str, value: float, received_ns: int) -> MessageReceived:
    """A usual one."""
    payload = f'{{"ts":{t_ns // MS},"asset":"{asset}","tag":"{tag}","value":{value}}}'
    topic = f"plant/{asset}"
    return MessageReceived(topic=topic, payload=payload.encode(), received_ns=received_ns)


def groups(seed: int) -> Iterator[tuple[int, list[Stimulus]]]:
    """Groups of messages, nearly all usual, of sources whose clocks are not alike."""
    chance, now_ns = random.Random(seed), START
    apart = dict.fromkeys(ASSETS, 0)
    keys = [(row, asset, tag) for row in range(3) for asset in ASSETS for tag in CHANNELS]
    yield now_ns, [message(now_ns, asset, "run", 1.0, now_ns) for asset in ASSETS * 2]
    for number in range(GROUPS):
        now_ns += chance.choice([S // 4, S // 2, S, S, 3 * S, 40 * S, -2 * S, -90 * S, 700 * S])
        if number > 3 and chance.random() < 0.4:
            for asset in ASSETS if chance.random() < 0.6 else ASSETS[:1]:
                apart[asset] = chance.choice([0, 0, 400, 1_500, 90_000, -4_000, -400_000]) * MS
        by = chance.choice(["row asset tag", "row tag asset", "asset row tag"]).split()
        order = sorted(keys, key=lambda key: tuple(key[KEY.index(name)] for name in by))
        same, step_ms = chance.random() < 0.3, chance.choice([250, 250, 2_600])
        some: list[Stimulus] = []
        for row, asset, tag in order:
            t_ns = now_ns + apart[asset] + (step_ms * (row - 2) - 100) * MS
            alike = same and (tag == CHANNELS[0] or chance.random() < 0.8)
            received_ns = t_ns if alike else now_ns - 7 * MS + 13
            some.append(message(t_ns, asset, tag, row / 7, received_ns))
            if chance.random() < 0.01:
                some[-1] = msgspec.structs.replace(
                    some[-1], payload=chance.choice(ODD), retain=chance.random() < 0.2
                )
        yield now_ns, [*some, TickDue()]
    yield now_ns, [TickDue(final=True)]


@pytest.fixture(autouse=True)
def _few_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "TOGETHER_MIN", 4)
    monkeypatch.setattr(arrivals, "MANY_MIN", 4)


@pytest.mark.parametrize("seed", range(6))
def test_many_are_as_one_by_one(seed: int) -> None:
    """The same effects, in order; the same state and counts, of our clock too."""
    conf = settings(clock="wall")
    slow, fast = (kind(without_knowledge=True, conf=conf) for kind in (LongWay, Rig))
    assert isinstance(slow, LongWay)
    for now_ns, stimuli in groups(seed):
        expected = slow.take(stimuli, now_ns)
        assert repr(list(fast.engine.handle_group(stimuli, now_ns=now_ns))) == repr(expected)
        assert remembered(fast.engine.state) == remembered(slow.engine.state)
    assert dict(sorted(fast.engine.counts().items())) == dict(sorted(slow.engine.counts().items()))


def test_the_usual_group_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many messages; one of them that is not usual leaves the most of it together."""
    rig, read, together = Rig(without_knowledge=True), [0], [0]
    real: Any = Arrivals._quickly
    many: Any = Singles.take

    def quickly(self: Arrivals, one: MessageReceived, route: Route, *, now_ns: int) -> bool:
        read[0] += 1
        return bool(real(self, one, route, now_ns=now_ns))

    def take(self: Singles, messages: list[MessageReceived], *, now_ns: int) -> int:
        taken = int(many(self, messages, now_ns=now_ns))
        together[0] += taken
        return taken

    monkeypatch.setattr(Arrivals, "_quickly", quickly)
    monkeypatch.setattr(Singles, "take", take)
    for n in range(6):
        now_ns = START + n * S
        group = [
            message(now_ns - row * 10 * MS, asset, tag, 1.0 + n, now_ns + 7)
            for row in range(8, 0, -1)
            for asset in ASSETS
            for tag in CHANNELS
        ]
        if n == 4:
            group[9] = MessageReceived(
                topic="plant/r1", payload=USUAL + b" ", received_ns=now_ns + 7
            )
        rig.engine.handle_group(group, now_ns=now_ns)
        if n in (3, 5):
            assert (read[0], together[0]) == (0, len(group))
        elif n == 4:
            assert read[0] + together[0] == len(group)
            assert read[0] <= 8
        read[0] = together[0] = 0
    assert rig.engine.counts()["messages"] == 6 * 64


def _form() -> Form:
    form = quick.Forms().of(USUAL)
    assert form is not None
    return form


@pytest.mark.parametrize(
    "payloads",
    [
        [USUAL, USUAL[:20], USUAL[20:]],
        [USUAL + USUAL, USUAL[:20], USUAL[20:]],
        [USUAL + b"\n" + USUAL, USUAL[:20], USUAL[20:]],
        [USUAL + b"\n" + USUAL, USUAL],
        [USUAL + b"\n" + USUAL, b""],
        [USUAL + USUAL, b""],
        [b"", USUAL + b"\n" + USUAL],
        [USUAL, USUAL + b","],
        [USUAL + b" ", USUAL],
        [b"[" + USUAL, USUAL + b"]"],
        [USUAL + USUAL, b'{"ts":1760000000123,"tag":"c0}', b'{","value":1}'],
        [USUAL + USUAL, b'{"ts":1760000000123,"tag":{"a":1}', b'{"b":2},"value":1}'],
        [USUAL, USUAL.replace(b"1.5", b'"x"')],
        [USUAL, USUAL.replace(b"1760000000123", b"1760000000")],
        [USUAL, USUAL.replace(b"1760000000123", b"true")],
        [USUAL, USUAL.replace(b"1760000000123", b"1" + b"0" * 30)],
        [USUAL, USUAL.replace(b'"value"', b'"other"')],
        [USUAL, USUAL[:-1] + b" " * quick.BYTES_MAX + b"}"],
    ],
)
def test_messages_are_not_cut_anew(payloads: list[bytes]) -> None:
    """No message is read as two, no two as one, and none of another form with those of this one."""
    assert quick.read_many([USUAL, *payloads], _form()) is None
    assert quick.read_many([USUAL, USUAL], _form()) is not None


@given(data=st.data())
def test_many_are_read_as_each(data: st.DataObject) -> None:
    """Tags, values to the bit, and times."""
    found = data.draw(st.lists(st.one_of(st.just(USUAL), bodies(START)), min_size=1, max_size=4))
    forms = quick.Forms()
    form = forms.of(found[0])
    if form is None or (many := quick.read_many(found, form)) is None:
        return
    each = [quick.read(payload, form, topic="t") for payload in found]
    told = zip(many.tags, many.values, many.t_ns.tolist(), strict=True)
    assert repr([None if e is None else (e.tags[0], e.values[0], e.t_ns) for e in each]) == repr(
        [*told]
    )
