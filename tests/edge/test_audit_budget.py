"""Accepted commands do not push older lines out of the audit trail: beyond a budget they wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from edge.audit.chain import AuditRecord
from edge.state import EngineState
from edge.storage.checkpoint import pack, unpack
from edge.trust import AuditConfig
from edge.work.audit_budget import (
    DAY_NS,
    OF_ALL_BYTES,
    OF_ONE_BYTES,
    AuditBudget,
    Spent,
)
from edge.work.command_book import REFUSALS_AUDITED_MAX
from tests.edge.command_site import CHECK_IN, OUT, SHELVE, Site
from tests.told import refused_with

if TYPE_CHECKING:
    from edge.records import Audited

REASON = '"' * 500  # the longest, and each character takes two in a line


def line_bytes(audited: Audited) -> int:
    """How long its line is."""
    return len(
        AuditRecord(
            sequence=10**9,
            previous="0" * 64,
            what=audited.what,
            asset=audited.asset,
            t_ns=audited.t_ns,
            facts=audited.facts,
            written_ns=audited.t_ns,
        )
        .sealed()
        .line()
    )


def flood(site: Site, operator: str, count: int, **body: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    """Harmless silences, each another; the answers."""
    answers = []
    for i in range(count):
        answer = site.say(operator, "shelve", site.aged(i, **{**SHELVE, **body}))
        assert answer is not None
        answers.append(answer)
    return answers


def test_accepted_commands_without_end_are_refused_before_a_line_is_dropped() -> None:
    """By rule and with words; others go on, what ends is taken, and with time it is over."""
    site = Site()
    refused = [one for one in flood(site, "ann", 500, reason=REASON) if not one["done"]]
    assert refused
    assert {one["rule"] for one in refused} == {"command_audit_full"}
    assert (
        "the commands of ann have filled what they may of the audit trail" in refused[0]["detail"]
    )
    refused_with(f"{refused[0]['rule']}: {refused[0]['detail']}")
    budget = site.engine.state.audit_budget
    assert "of ann have filled" in budget.words(site.now_ns)
    assert not budget.words(site.now_ns + DAY_NS)
    other = site.say("pat", "shelve", site.body(**SHELVE))
    assert other is not None
    assert other["done"], "who floods closes the trail to himself"
    ended = site.say("ann", "shelve", site.body(asset="r1", action="unshelve"))
    assert ended is not None
    assert ended["done"], "what only makes louder is always taken"
    site.engine = site._engine(unpack(pack(site.engine.state), EngineState))
    again = site.say("ann", "shelve", site.body(**SHELVE))
    assert again is not None
    assert again["rule"] == "command_audit_full", "a restart changes nothing"
    site.engine.state.audit_budget.of_one["ann"].t_ns -= DAY_NS // 100  # as if so much had passed
    later = site.say("ann", "shelve", site.aged(-1, **SHELVE))
    assert later is not None
    assert later["done"]


def test_strangers_have_one_budget_together() -> None:
    """Names that nobody lists cost nothing."""
    site = Site()
    answers = [flood(site, f"x{i}", 1, reason=REASON)[0] for i in range(500)]
    assert answers[-1]["rule"] == "command_audit_full"
    assert "operators whom the configuration does not list" in answers[-1]["detail"]
    assert len(site.engine.state.audit_budget.of_one) == 1
    seen = site.say("x1", "ack", site.body(alert_id="r1-process-1"))
    assert seen is not None
    assert seen["rule"] != "command_audit_full", "an alert may be acknowledged all the same"


@pytest.mark.parametrize(("name", "body"), [("job", CHECK_IN), ("shelve", SHELVE), ("oos", OUT)])
def test_what_is_charged_is_at_least_what_is_written(name: str, body: dict[str, Any]) -> None:
    """Said, begun and over, with the longest reason."""
    site = Site()
    answer = site.say("ann", name, site.body(**{**body, "reason": REASON}))
    assert answer is not None
    assert answer["done"], answer
    site.run(5)
    end = {"job": {"action": "check_out"}, "oos": {"action": "in"}}.get(
        name, {"action": "unshelve"}
    )
    site.say("ann", name, site.body(asset="r1", **end))
    site.run(10)
    written = sum(map(line_bytes, site.trail()))
    assert 0 < written <= site.engine.state.audit_budget.of_all.charged_bytes


def test_the_default_trail_holds_three_weeks_of_the_worst() -> None:
    """Accepted commands of all operators, and refusals, day after day."""
    refusal_bytes = 1_500  # of a line: 300 characters of detail
    day_bytes = OF_ALL_BYTES + 24 * REFUSALS_AUDITED_MAX * refusal_bytes
    assert AuditConfig().bytes_max * 7 / 8 / day_bytes >= 18
    spent = Spent()
    total = 0
    for step in range(5 * 24):  # a day's budget fades in a day: it is no burst each hour
        while spent.at(step * DAY_NS // 24, OF_ONE_BYTES) < OF_ONE_BYTES:
            spent.charge(10_000, step * DAY_NS // 24, OF_ONE_BYTES)
            total += 10_000
    assert total <= 6.2 * OF_ONE_BYTES


def test_a_command_under_a_clock_that_was_ahead_does_not_keep_the_budget_from_fading() -> None:
    """It is put right, and a command a day goes on for ever; a refusal of then is not told now."""
    now_ns, ahead_ns = 20_000 * DAY_NS, 20_365 * DAY_NS
    spent = Spent()
    spent.charge(OF_ONE_BYTES // 3, ahead_ns, OF_ONE_BYTES)
    for day in range(10):
        assert spent.at(now_ns + day * DAY_NS, OF_ONE_BYTES) <= OF_ONE_BYTES / 3
        spent.charge(OF_ONE_BYTES // 3, now_ns + day * DAY_NS, OF_ONE_BYTES)
    assert not spent.at(now_ns + 10 * DAY_NS, OF_ONE_BYTES)
    budget = AuditBudget(refused_ns=ahead_ns, refused_of="ann")
    assert budget.words(ahead_ns)
    assert not budget.words(now_ns)


def test_what_leaves_no_line_costs_nothing() -> None:
    """An operator may label as much as he likes."""
    site = Site()
    site.run(10, {"c1": 8})
    alert_id = site.events()[0]["id"]
    for i in range(3):
        site.say("bob", "feedback", site.aged(i, alert_id=alert_id, label="real"))
    assert not site.engine.state.audit_budget.of_one
