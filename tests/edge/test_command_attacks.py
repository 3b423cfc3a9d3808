"""Attacks with commands, by name: each is refused, says by which rule, and stands in the trail.

Who attacks can publish to a command topic: a broken dashboard, a colleague beyond his desk, a
stranger in the network, or somebody who listened and sends again what he heard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from edge.audit.signatures import new_key, read_key, sign_command, verify
from edge.configuration.config import load
from edge.errors import ConfigError
from edge.records import Audited, MessageReceived, Publish
from edge.state import EngineState
from edge.storage.checkpoint import pack, unpack
from edge.trust import COMMANDS, OperatorRights, TrustSettings
from edge.wire.commands import Ack, Command
from edge.work.command_book import OF_ONE_MAX, REFUSALS_AUDITED_MAX, REMEMBERED_MAX, CommandBook
from models.fitting.positions import OperatorPosition
from tests.edge.rig import START, Rig, S, knowledge, order, settings

if TYPE_CHECKING:
    from pathlib import Path

CHECK_IN: Final = {
    "action": "check_in",
    "asset": "r1",
    "kind": "calibration",
    "instrument": "x",
    "reason": "as planned",
}
SHELVE: Final = {"asset": "r1", "minutes": 60, "reason": "waiting for the part"}
OUT: Final = {"asset": "r1", "minutes": 60, "reason": "gearbox out"}
OPERATORS: Final = (
    OperatorRights(name="ann"),
    OperatorRights(name="desk", shared=True),
    OperatorRights(name="bob", may=("ack", "feedback")),
    OperatorRights(name="eve", assets=("r11",)),
    OperatorRights(name="joe", positions=("hall 2",)),
    OperatorRights(name="pat", assets=("r1*",)),
)


_RUN: Final[list[bytes]] = []


class Site(Rig):
    """The rig, with operators whose rights differ and answers as they come."""

    def __init__(self, **trust: Any) -> None:  # noqa: ANN401
        conf = settings(
            operator=OPERATORS,
            trust=TrustSettings(**trust),
            position=(OperatorPosition(name="hall 2", assets=("r11",)),),
        )
        super().__init__(conf=conf, known=knowledge(proposals=[order(approved=False)]))
        if not _RUN:  # making it is the slow part, and every test begins with the same plant
            self.run(300)
            _RUN.append(pack(self.engine.state))
        self.engine, self.at = self._engine(unpack(_RUN[0], EngineState)), 300
        self.effects.clear()

    def body(self, **fields: Any) -> bytes:  # noqa: ANN401
        """A payload, sent now."""
        return self.aged(0, **fields)

    def aged(self, age_ms: int, **fields: Any) -> bytes:  # noqa: ANN401
        """A payload, sent so long ago."""
        return msgspec.json.encode({"ts": self.now_ns // 10**6 - age_ms, **fields})

    def say(
        self, operator: str, name: str, payload: bytes, *, retain: bool = False, dup: bool = False
    ) -> dict[str, Any] | None:
        """Send it; returns the answer, None: there was none."""
        topic, before = f"andon/s/cmd/{operator}/{name}", len(self.effects)
        self.give(MessageReceived(topic=topic, payload=payload, received_ns=self.now_ns,
                                  qos=1, retain=retain, dup=dup))  # fmt: skip
        for effect in self.effects[before:]:
            if isinstance(effect, Publish) and effect.topic == f"andon/s/cmd_result/{operator}":
                answer: dict[str, Any] = msgspec.json.decode(effect.payload)
                return answer
        return None

    def trail(self) -> list[Audited]:
        """What was audited."""
        return [effect for effect in self.effects if isinstance(effect, Audited)]

    def count(self, rule: str) -> int:
        """How often a rule has refused."""
        return self.engine.counts().get(f"invalid_{rule}", 0)

    def is_untouched(self) -> bool:
        """Whether nothing is kept quiet by anybody."""
        states = self.engine.state.assets.values()
        return not any(state.runs or state.silences for state in states)


def refused(
    site: Site, operator: str, name: str, payload: bytes, *, rule: str, says: str, **how: bool
) -> Audited | None:
    """Send an attack; it is refused by this rule, counted, and changes nothing.

    Returns its line of the trail; None: it has none.
    """
    before, lines = site.count(rule), len(site.trail())
    answer = site.say(operator, name, payload, **how)
    if not how.get("retain"):
        assert answer is not None
        assert (answer["done"], answer["rule"]) == (False, rule)
        assert says in answer["detail"]
    assert site.count(rule) == before + 1
    assert site.is_untouched()
    new = site.trail()[lines:]
    if not new:
        return None
    (line,) = new
    assert (line.what, line.facts["rule"]) == ("command_refused", rule)
    assert (line.facts["operator"], line.facts["command"]) == (operator, name)
    assert says in str(line.facts["detail"])
    return line


@pytest.mark.parametrize(("name", "body"), [("job", CHECK_IN), ("shelve", SHELVE), ("oos", OUT)])
def test_retained(name: str, body: dict[str, Any]) -> None:
    """It would be carried out anew with every connection; the trail says that it was retained."""
    site, says = Site(), "retained commands are refused"
    sent = site.body(**body)
    line = refused(site, "ann", name, sent, retain=True, rule="command_retained", says=says)
    assert line is not None
    assert line.facts["retained"] == 1


def test_stale() -> None:
    """Recorded in the morning and sent in the afternoon."""
    site = Site()
    line = refused(site, "ann", "job", site.aged(300_001, **CHECK_IN),
                   rule="command_stale", says="300 s too old: now is")  # fmt: skip
    assert line is not None
    assert (line.asset, line.t_ns) == ("", site.now_ns), "nobody has read it further"


def test_from_the_future() -> None:
    """Made to be valid later, when nobody looks."""
    site = Site()
    assert refused(site, "ann", "shelve", site.aged(-300_001, **SHELVE),
                   rule="command_future", says="300 s too early: now is")  # fmt: skip


def test_oversized() -> None:
    """A command is a few fields."""
    site = Site()
    assert refused(site, "ann", "job", site.body(**CHECK_IN) + b" " * 4096,
                   rule="command_oversize", says="more than 4096 B")  # fmt: skip


@pytest.mark.parametrize(
    "bomb",
    [b"[" * 4000, b'{"a":' * 700, b'{"ts":' + b"9" * 4000 + b"}", b'{"ts":1e999999}', b"\x00" * 99],
    ids=["lists", "objects", "digits", "exponent", "zeros"],
)
def test_json_bomb(bomb: bytes) -> None:
    """Deep, long and huge within the cap: refused as no command, and nothing else happens."""
    site = Site()
    answer = site.say("ann", "job", bomb)
    assert answer is not None
    assert answer["rule"] in ("command_invalid", "command_future")
    assert len(answer["detail"]) < 1_000
    assert [line.what for line in site.trail()] == ["command_refused"]
    assert site.is_untouched()


@pytest.mark.parametrize(("name", "body"), [("shelve", SHELVE), ("oos", OUT)])
def test_replayed(name: str, body: dict[str, Any]) -> None:
    """Heard, ended by its sender, and sent again within its five minutes: it would begin anew."""
    site = Site()
    heard = site.body(**body)
    first = site.say("ann", name, heard)
    assert first is not None
    assert first["done"]
    ended = {"action": "unshelve"} if name == "shelve" else {"action": "in"}
    site.say("ann", name, site.body(asset="r1", **ended))
    site.run(10)
    assert site.is_untouched()
    line = refused(site, "ann", name, heard, rule="command_replayed", says="carried out already")
    assert line is not None
    assert line.asset == "r1"


def test_replayed_in_other_bytes() -> None:
    """Blanks, the order of keys and defaults that are written out make no other command of it."""
    site = Site()
    sent = {"ts": site.now_ns // 10**6, **SHELVE}
    site.say("ann", "shelve", msgspec.json.encode(sent))
    site.say("ann", "shelve", site.body(asset="r1", action="unshelve"))
    site.run(10)
    for other in (
        msgspec.json.format(msgspec.json.encode(sent), indent=3),
        msgspec.json.encode(dict(reversed(sent.items()))),
        msgspec.json.encode({**sent, "action": "shelve", "track": "", "until": None}),
        msgspec.json.encode({**sent, "signature": "AAAA"}),
    ):
        refused(site, "ann", "shelve", other, rule="command_replayed", says="already")


def test_replayed_after_a_restart() -> None:
    """What was taken is in the checkpoint."""
    site = Site()
    heard = site.body(**SHELVE)
    site.say("ann", "shelve", heard)
    site.say("ann", "shelve", site.body(asset="r1", action="unshelve"))
    site.run(10)
    site.restart()
    refused(site, "ann", "shelve", heard, rule="command_replayed", says="already")


def test_redelivered_by_the_broker_is_no_attack() -> None:
    """What was not seen acknowledged comes again with DUP: not done twice, nobody is accused."""
    site = Site()
    sent = site.body(**SHELVE)
    site.say("ann", "shelve", sent)
    site.say("ann", "shelve", site.body(asset="r1", action="unshelve"))
    site.run(10)
    lines = len(site.trail())
    answer = site.say("ann", "shelve", sent, dup=True)
    assert answer is not None
    assert answer["done"]
    assert "delivered again" in answer["detail"]
    assert site.is_untouched()
    assert len(site.trail()) == lines
    assert site.engine.counts()["commands_redelivered"] == 1


def test_redelivered_without_having_been_taken_is_carried_out() -> None:
    """DUP alone says nothing: the first delivery may never have been journaled."""
    site = Site()
    answer = site.say("ann", "shelve", site.body(**SHELVE), dup=True)
    assert answer is not None
    assert answer["done"]
    assert not site.is_untouched()


@pytest.mark.parametrize(
    ("operator", "name", "body", "says"),
    [
        ("bob", "shelve", SHELVE, "bob may ack, feedback, not shelve"),
        ("bob", "confirm", {"proposal_id": "wo-1", "reason": "r"}, "not confirm"),
        ("eve", "shelve", SHELVE, "eve has no rights on r1"),
        ("eve", "job", CHECK_IN, "eve has no rights on r1"),
        ("eve", "oos", OUT, "eve has no rights on r1"),
        ("eve", "confirm", {"proposal_id": "wo-1", "reason": "r"}, "eve has no rights on r1"),
        ("joe", "shelve", SHELVE, "joe has no rights on r1"),
    ],
)
def test_beyond_rights(operator: str, name: str, body: dict[str, Any], says: str) -> None:
    """Of a command, of an asset, of a position; named by asset or by proposal."""
    site = Site()
    assert refused(site, operator, name, site.body(**body), rule="command_beyond_rights", says=says)


def test_rights_let_through_what_they_cover() -> None:
    """By id, by pattern, and by the position that the configuration gives an asset."""
    site = Site()
    for operator, asset in (("eve", "r11"), ("joe", "r11"), ("pat", "r1"), ("pat", "r11")):
        body = site.body(asset=asset, minutes=5, reason=f"of {operator}")
        answer = site.say(operator, "shelve", body)
        assert answer is not None
        assert answer["done"], answer


def test_alert_of_an_asset_beyond_rights() -> None:
    """Named by its id alone; neither seen, nor labelled, nor shelved."""
    site = Site()
    site.run(10, {"c1": 8})
    alert_id = site.events()[0]["id"]
    for name, more in (
        ("ack", {}),
        ("feedback", {"label": "nuisance"}),
        ("shelve", {"minutes": 5, "reason": "r"}),
    ):
        payload = site.body(alert_id=alert_id, **more)
        refused(site, "eve", name, payload, rule="command_beyond_rights", says="no rights on r1")
    assert site.events()[-1]["acked"] == 0
    answer = site.say("pat", "ack", site.body(alert_id=alert_id))
    assert answer is not None
    assert answer["done"]


def test_job_of_an_asset_beyond_rights() -> None:
    """Named by its id, also beside an asset of one's own."""
    site = Site()
    site.say("ann", "job", site.body(**CHECK_IN, job_id="J-1"))
    site.run(5)
    for more in ({}, {"asset": "r11"}):
        body = site.body(action="extend", job_id="J-1", minutes=90, reason="r", **more)
        answer = site.say("eve", "job", body)
        assert answer is not None
        assert answer["rule"] == "command_beyond_rights"
    assert not site.runs[0].extensions


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("confirm", {"proposal_id": "wo-1", "reason": "r"}),
        ("job", CHECK_IN),
        ("job", {"action": "extend", "job_id": "J", "minutes": 9, "reason": "r"}),
        ("oos", OUT),
    ],
)
def test_shared_account(name: str, body: dict[str, Any]) -> None:
    """Nobody can say who that was, so it opens nothing that hides; and the trail says so."""
    site = Site()
    line = refused(site, "desk", name, site.body(**body),
                   rule="command_shared", says="desk is a shared account")  # fmt: skip
    assert line is not None
    assert line.facts["shared"] == 1


def test_shared_account_may_shelve_and_is_recorded_as_such() -> None:
    """It ends within a shift; trail and answer say that several people use the name."""
    site = Site()
    answer = site.say("desk", "shelve", site.body(**SHELVE))
    assert answer is not None
    assert (answer["done"], answer["shared"]) == (True, 1)
    site.run(5)
    assert [(line.what, line.facts["shared"]) for line in site.trail()] == [("shelved", 1)]
    other = site.say("ann", "shelve", site.body(asset="r11", minutes=5, reason="r"))
    assert other is not None
    assert other["shared"] == 0


def test_shelved_too_long() -> None:
    """At most for a shift, and out of service for a week."""
    site = Site()
    for name, minutes, says in (("shelve", 481, "at most 8 h"), ("oos", 10_081, "at most 168 h")):
        body = site.body(asset="r1", minutes=minutes, reason="r")
        assert refused(site, "ann", name, body, rule="command_too_long", says=says)


@pytest.mark.parametrize("reason", [None, "", "  \n", "\u200b\u200e"])
@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("confirm", {"proposal_id": "wo-1"}),
        ("job", CHECK_IN),
        ("job", {"action": "extend", "job_id": "J", "minutes": 9}),
        ("shelve", SHELVE),
        ("oos", OUT),
    ],
)
def test_without_a_reason(name: str, body: dict[str, Any], reason: str | None) -> None:
    """None, blank, or of what nobody sees."""
    site = Site()
    body = {key: value for key, value in body.items() if key != "reason"}
    body |= {} if reason is None else {"reason": reason}
    assert refused(site, "ann", name, site.body(**body),
                   rule="command_unreasoned", says="needs a reason")  # fmt: skip


def test_what_ends_a_silence_needs_no_reason() -> None:
    """What only makes louder never does; nor does an acknowledgement."""
    site = Site()
    site.say("ann", "shelve", site.body(**SHELVE))
    answer = site.say("ann", "shelve", site.body(asset="r1", action="unshelve"))
    assert answer is not None
    assert answer["done"]


def test_reasons_are_asked_for_where_they_are_configured() -> None:
    """A site that asks for none of a job gets none; a silence always needs one."""
    site = Site(reason_for=())
    bare = {key: value for key, value in CHECK_IN.items() if key != "reason"}
    answer = site.say("ann", "job", site.body(**bare))
    assert answer is not None
    assert answer["done"]
    body = site.body(asset="r1", minutes=5)
    answer = site.say("ann", "shelve", body)
    assert answer is not None
    assert answer["rule"] == "command_unreasoned"


@pytest.mark.parametrize(
    ("asset", "rule"),
    [("#", "command_invalid"), ("+", "command_invalid"), ("r1/..", "command_invalid"),
     ("*", "command_unknown_asset"), ("r?", "command_unknown_asset"),
     ("R1", "command_unknown_asset"), ("r2", "command_unknown_asset")],
)  # fmt: skip
@pytest.mark.parametrize(("name", "body"), [("job", CHECK_IN), ("shelve", SHELVE), ("oos", OUT)])
def test_wildcard_and_unknown_asset(asset: str, rule: str, name: str, body: dict[str, Any]) -> None:
    """Exact ids only: what matches everything would silence everything."""
    site = Site()
    says = "no asset" if rule == "command_unknown_asset" else "asset is not an id"
    assert refused(site, "ann", name, site.body(**{**body, "asset": asset}), rule=rule, says=says)


def test_stranger_where_only_known_operators_may() -> None:
    """A name that nobody configured may do what the configuration leaves to such, here nothing."""
    site = Site(unknown_may=())
    for name, body in (("shelve", SHELVE), ("ack", {"alert_id": "a"})):
        refused(site, "mallory", name, site.body(**body), rule="command_beyond_rights",
                says="mallory is no configured operator; such may nothing")  # fmt: skip
    open_site = Site()
    answer = open_site.say("mallory", "shelve", open_site.body(**SHELVE))
    assert answer is not None
    assert answer["done"], "as before, where nothing is configured"


def test_signature_of_another_command_operator_site_or_day(tmp_path: Path) -> None:
    """It covers the topic and every field; taken elsewhere it is worth nothing."""
    _, engineer = new_key(tmp_path, "engineer")
    ann_path, ann = new_key(tmp_path, "ann")
    trust = {"require_signed": True, "public_keys": (engineer,), "operators": {"ann": ann}}
    site = Site(**trust)
    site.engine._desk.verify = verify
    key, body = read_key(ann_path), site.body(**SHELVE)
    says = "signatures are required, and ann did not sign this"
    for topic in (
        "andon/s/cmd/ann/oos",
        "andon/t/cmd/ann/shelve",
        "other/s/cmd/ann/shelve",
        "andon/s/cmd/bob/shelve",
    ):
        signed = sign_command(topic, body, key)
        assert refused(site, "ann", "shelve", signed, rule="command_unsigned", says=says)
    signed = sign_command("andon/s/cmd/ann/shelve", body, key)
    longer = msgspec.json.encode(msgspec.json.decode(signed) | {"minutes": 480})
    assert refused(site, "ann", "shelve", longer, rule="command_unsigned", says=says)
    assert refused(
        site, "bob", "shelve", signed, rule="command_unsigned", says="bob has no known key"
    )
    site.run(400)
    assert refused(site, "ann", "shelve", signed, rule="command_stale", says="too old")


def test_a_signed_command_is_not_taken_twice_either(tmp_path: Path) -> None:
    """Who heard it has a valid signature, and nothing more."""
    _, engineer = new_key(tmp_path, "engineer")
    ann_path, ann = new_key(tmp_path, "ann")
    site = Site(require_signed=True, public_keys=(engineer,), operators={"ann": ann})
    site.engine._desk.verify = verify
    heard = sign_command("andon/s/cmd/ann/shelve", site.body(**SHELVE), read_key(ann_path))
    site.say("ann", "shelve", heard)
    site.say("ann", "shelve", site.body(asset="r1", action="unshelve"))
    site.run(10)
    refused(site, "ann", "shelve", heard, rule="command_replayed", says="already")


def test_a_flood_of_refusals_does_not_push_anything_out_of_the_trail() -> None:
    """Sixty an hour are written, the others counted, and the next line says how many."""
    site = Site()
    for i in range(REFUSALS_AUDITED_MAX + 25):
        site.say("ann", "shelve", site.body(**SHELVE, until=i))
    assert len(site.trail()) == REFUSALS_AUDITED_MAX
    assert site.count("command_invalid") == REFUSALS_AUDITED_MAX + 25
    for _ in range(13):
        site.run(300, step=60)
    site.say("ann", "shelve", site.body(asset="r1"))
    assert site.trail()[-1].facts["unaudited"] == 25


def test_a_flood_of_commands_is_bounded_and_hurts_its_sender_alone() -> None:
    """More in ten minutes than anybody means; others are heard, and it is over with time."""
    site = Site()
    for i in range(OF_ONE_MAX):
        site.say("bob", "ack", site.aged(i, alert_id="a"))
    answer = site.say("bob", "ack", site.aged(OF_ONE_MAX, alert_id="a"))
    assert answer is not None
    assert answer["rule"] == "command_too_many"
    other = site.say("ann", "shelve", site.body(**SHELVE))
    assert other is not None
    assert other["done"]
    site.run(310)
    later = site.say("bob", "ack", site.body(alert_id="a"))
    assert later is not None
    assert later["rule"] == "not_done"


def test_names_without_end_push_no_known_operator_out_of_memory() -> None:
    """A stranger with a thousand names makes only commands of strangers repeatable."""
    book = CommandBook()
    listed = frozenset({"ann"})

    def command(operator: str, i: int) -> Command:
        body = Ack(ts=START // 10**6, alert_id=str(i))
        return Command(topic="t", operator=operator, name="ack", body=body)

    book.note(command("ann", 0), done=True, listed=listed)
    for i in range(REMEMBERED_MAX + 200):
        book.note(command(f"x{i}", i), done=True, listed=listed)
    assert sum(map(len, book.taken.values())) == REMEMBERED_MAX
    assert book.taken["ann"]


WORDS: Final = st.sampled_from(["again", "dup", "new", "wait", "restart"])


@hypothesis_settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(WORDS, st.integers(0, 3)), max_size=25))
def test_each_command_is_carried_out_at_most_once(steps: list[tuple[str, int]]) -> None:
    """Whatever is sent again, by whom, before or after a restart."""
    site = Site()
    sent: list[tuple[int, bytes]] = []
    for what, i in steps:
        if what == "wait":
            site.at += 100 * i
        elif what == "restart":
            site.engine = site._engine(unpack(pack(site.engine.state), EngineState))
        elif what == "new" or not sent:
            body = site.aged(len(sent), **{**SHELVE, "reason": str(len(sent))})
            sent.append((site.now_ns, body))
            answer = site.say("ann", "shelve", body)
            assert answer is not None
            assert answer["done"]
        else:
            at_ns, body = sent[i % len(sent)]
            before = [one.reason for one in site.engine.state.assets["r1"].silences]
            answer = site.say("ann", "shelve", body, dup=what == "dup")
            assert answer is not None
            stale = site.now_ns - at_ns >= 300 * S - 50 * 10**6
            assert answer["done"] is (what == "dup" and not stale) or stale
            after = [one.reason for one in site.engine.state.assets["r1"].silences]
            assert before == after


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ('[[operator]]\nname = "a/b"\n', "expected a name without"),
        ('[[operator]]\nname = "ann"\n[[operator]]\nname = "ann"\n', "comes twice"),
        ('[[operator]]\nname = "ann"\nmay = ["ak"]\n', "may"),
        ('[[operator]]\nname = "ann"\npositions = ["hal 2"]\n', "no position 'hal 2'"),
        ('[[operator]]\nname = "ann"\nassets = [" "]\n', "an asset is empty"),
        ('[[operator]]\nname = "ann"\nshard = true\n', "did you mean shared"),
        ('[trust]\nunknown_may = ["everything"]\n', "unknown_may"),
    ],
)
def test_rights_that_cannot_be_are_no_configuration(text: str, cause: str, tmp_path: Path) -> None:
    """A typing error must not leave somebody with all rights."""
    path = tmp_path / "gateway.toml"
    path.write_text(f'site = "s"\n[model]\nbundle = "b"\n{text}', encoding="utf-8")
    with pytest.raises(ConfigError, match=cause):
        load(path, environment={})


def test_without_configuration_everybody_may_everything() -> None:
    """As it was before there were rights."""
    rights = OperatorRights(name="x")
    assert rights.may == COMMANDS
    assert TrustSettings().unknown_may == COMMANDS
