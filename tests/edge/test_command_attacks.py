"""Attacks with commands, by name: each is refused, says by which rule, and stands in the trail.

Who attacks can publish to a command topic: a broken dashboard, a colleague beyond his desk, a
stranger in the network, or somebody who listened and sends again what he heard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from edge.audit.signatures import new_key, read_key, sign_command, verify
from edge.errors import WireError
from edge.wire.commands import decode_command
from edge.work.rights import check_rights
from tests.edge.command_site import CHECK_IN, OUT, SHELVE, Site, refused
from tests.told import refused_with

if TYPE_CHECKING:
    from pathlib import Path


def done_and_ended(site: Site, name: str, heard: bytes) -> None:
    """A command is carried out, and ended again by its sender."""
    ending = {"action": "unshelve" if name == "shelve" else "in"}
    for payload in (heard, site.body(asset="r1", **ending)):
        answer = site.say("ann", name, payload)
        assert answer is not None
        assert answer["done"], answer
    site.run(10)
    assert site.is_untouched()


@pytest.mark.parametrize(("name", "body"), [("job", CHECK_IN), ("shelve", SHELVE), ("oos", OUT)])
def test_retained(name: str, body: dict[str, Any]) -> None:
    """It would be carried out anew with every connection; the trail says that it was retained."""
    site, says = Site(), "retained commands are refused"
    sent = site.body(**body)
    line = refused(site, "ann", name, sent, retain=True, rule="command_retained", says=says)
    assert line is not None
    assert line.facts["retained"] == 1


def test_without_a_time() -> None:
    """It would be fresh for ever."""
    site = Site()
    sent = msgspec.json.encode(SHELVE)
    assert refused(site, "ann", "shelve", sent, rule="command_invalid",
                   says="missing required field `ts`; expected fields ts,")  # fmt: skip


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
    refused_with(f"{answer['rule']}: {answer['detail']}")
    assert [line.what for line in site.trail()] == ["command_refused"]
    assert site.is_untouched()


@pytest.mark.parametrize(("name", "body"), [("shelve", SHELVE), ("oos", OUT)])
def test_replayed(name: str, body: dict[str, Any]) -> None:
    """Heard, ended by its sender, and sent again within its five minutes: it would begin anew."""
    site = Site()
    heard = site.body(**body)
    done_and_ended(site, name, heard)
    line = refused(site, "ann", name, heard, rule="command_replayed", says="carried out already")
    assert line is not None
    assert line.asset == "r1"


def test_replayed_in_other_bytes() -> None:
    """Blanks, the order of keys and defaults that are written out make no other command of it."""
    site = Site()
    sent = {"ts": site.now_ns // 10**6, **SHELVE}
    done_and_ended(site, "shelve", msgspec.json.encode(sent))
    for other in (
        msgspec.json.format(msgspec.json.encode(sent), indent=3),
        msgspec.json.encode(dict(reversed(sent.items()))),
        msgspec.json.encode({**sent, "action": "shelve", "track": "", "until": None}),
        msgspec.json.encode({**sent, "signature": "AAAA"}),
    ):
        assert refused(site, "ann", "shelve", other, rule="command_replayed", says="already")


def test_replayed_after_a_restart() -> None:
    """What was taken is in the checkpoint."""
    site = Site()
    heard = site.body(**SHELVE)
    done_and_ended(site, "shelve", heard)
    site.restart()
    assert refused(site, "ann", "shelve", heard, rule="command_replayed", says="already")


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
        refused_with(answer["detail"])
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


def test_refused_for_being_early_and_sent_again_when_its_time_has_come() -> None:
    """A tablet whose clock is ahead; who listened keeps it, over a restart and in other bytes."""
    site = Site()
    heard = site.aged(-400_000, **SHELVE)
    refused(site, "ann", "shelve", heard, rule="command_future", says="too early: now is")
    site.run(200)
    site.restart()
    for again in (heard, msgspec.json.format(heard, indent=3)):
        refused(site, "ann", "shelve", again, rule="command_replayed", says="was refused already")
    site.run(310)
    answer = site.say("ann", "shelve", heard, dup=True)
    assert answer is not None
    assert not answer["done"], "nor is it when the broker repeats it"
    site.run(200)
    refused(site, "ann", "shelve", heard, rule="command_stale", says="too old: now is")


def test_refused_as_too_long_and_sent_again_when_it_is_no_more() -> None:
    """Its end stands still while time goes on: what was refused once stays refused."""
    site = Site()
    end_ms = site.now_ns // 10**6 + (8 * 3600 + 60) * 1000
    heard = site.body(asset="r1", until=end_ms, reason="r")
    refused(site, "ann", "shelve", heard, rule="command_too_long", says="at most 8 h")
    site.run(120)
    refused(site, "ann", "shelve", heard, rule="command_replayed", says="answered already")


@pytest.mark.parametrize("field", ["job_id", "instrument"])
@pytest.mark.parametrize("more", ["\n", "\x1b[2J", "\x9b2J", "\u202e", "\u200b"])
def test_an_id_with_what_nobody_sees(field: str, more: str) -> None:
    """It would be another one than it looks, and write on whatever screen it is shown."""
    site = Site()
    says = f"{field} has characters that nobody sees"
    body = site.body(**{**CHECK_IN, field: f"J-1{more}"})
    assert refused(site, "ann", "job", body, rule="command_invalid", says=says)


@pytest.mark.parametrize(("name", "body"), [("job", CHECK_IN), ("shelve", SHELVE), ("oos", OUT)])
def test_of_a_reason_only_what_is_seen_is_kept(name: str, body: dict[str, Any]) -> None:
    """On one line, in the trail and wherever it is published."""
    site = Site()
    reason = "as\x1b[2J planned\n\u202eby\x9b2J bea"
    answer = site.say("ann", name, site.body(**{**body, "reason": reason}))
    assert answer is not None
    assert answer["done"]
    site.run(10)
    (line,) = [line for line in site.trail() if line.what != "opened"]
    assert "as[2J planned by2J bea" in [line.facts.get("detail"), line.facts.get("reason")]


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


def test_an_answer_is_no_list_of_the_plant() -> None:
    """Whoever has rights on some assets hears of those, and of few."""
    site = Site()
    body = {**SHELVE, "asset": "r9"}
    refused(site, "joe", "shelve", site.body(**body), rule="command_beyond_rights", says="on r9")
    refused(site, "ann", "shelve", site.body(**body), rule="command_unknown_asset",
            says="no asset r9; there are r1, r11")  # fmt: skip
    many = dict.fromkeys([f"m{i}" for i in range(1_000)], site.engine._assets["r1"])
    command = decode_command(site.body(**body), topic="andon/s/cmd/pat/shelve", operator="ann",
                             name="shelve", retain=False, now_ns=site.now_ns)  # fmt: skip
    with pytest.raises(WireError, match=r"there are m0, m1, m10, m100, m101, \.\.\.$") as answer:
        check_rights(command, assets=many, desk=site.engine._desk, now_ns=site.now_ns)
    assert len(str(answer.value)) < 200


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
    done_and_ended(site, "shelve", heard)
    assert refused(site, "ann", "shelve", heard, rule="command_replayed", says="already")
