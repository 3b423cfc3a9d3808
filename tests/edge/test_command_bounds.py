"""Commands: redelivered, in floods, after restarts; and which rights can be configured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from edge.configuration.config import load
from edge.errors import ConfigError
from edge.state import EngineState
from edge.storage.checkpoint import pack, unpack
from edge.trust import COMMANDS, OperatorRights, TrustSettings
from edge.wire.commands import Ack, Body, Command, Shelve
from edge.work.command_book import (
    EARLY_OF_ONE_MAX,
    OF_ONE_MAX,
    REFUSALS_AUDITED_MAX,
    REMEMBERED_MAX,
    CommandBook,
    digest_of,
)
from tests.edge.command_site import SHELVE, Site
from tests.edge.rig import START, S

if TYPE_CHECKING:
    from pathlib import Path


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


@pytest.mark.not_counted
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


def test_early_commands_without_end_are_bounded_and_what_silences_is_forgotten_last() -> None:
    """They are remembered for longer than minutes; they take no place of commands of today."""
    book, ann = CommandBook(), frozenset({"ann"})

    def command(i: int, name: str, body: Body) -> Command:
        body = msgspec.structs.replace(body, ts=START // 10**6 + 10**6 + i)
        return Command(topic="t", operator="ann", name=name, body=body)

    silences = [command(i, "shelve", Shelve(ts=0, asset="r1")) for i in range(EARLY_OF_ONE_MAX)]
    acks = [command(i, "ack", Ack(ts=0, alert_id="a")) for i in range(OF_ONE_MAX)]
    for one in (*silences[:40], *acks, *silences[40:], *acks):
        book.note(one, done=False, listed=ann, early=True)
    assert {one.digest for one in book.taken["ann"]} == {digest_of(one) for one in silences}
    assert book.before(command(-(10**6), "ack", acks[0].body), now_ns=START, dup=False) is None


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
