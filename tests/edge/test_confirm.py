"""A person confirms what a text suggests, and says what it leaves out: where, and since when."""

from __future__ import annotations

import pytest

from tests.edge.rig import START, Rig, S, knowledge, order

LOG = order(
    instrument="",
    valid_from_ns=None,
    valid_to_ns=None,
    source="log",
    approved=False,
    real_times=False,
)


@pytest.mark.parametrize(("instrument", "said"), [("x", "suppressed"), ("", "ANNOTATED")])
def test_the_instrument_that_a_log_line_leaves_out(instrument: str, said: str) -> None:
    """Named by the person, the approved scope of that work counts; else nothing is hidden."""
    rig = Rig(known=knowledge(proposals=[LOG]))
    rig.run(300)
    rig.command("confirm", proposal_id="wo-1", instrument=instrument)
    rig.run(10)
    rig.run(60, {"c1": 8.0})
    assert rig.said()[0] == said
    assert rig.runs[0].job.functional_location == instrument


def test_since_when_explains_what_rang_and_suppresses_nothing_backwards() -> None:
    """It rang before anybody said so: expected afterwards, never suppressed; what follows is."""
    rig = Rig(known=knowledge(proposals=[LOG]))
    rig.run(300)
    rig.run(60, {"c1": 8.0})
    rig.run(240)
    since_ms = (START + 290 * S) // 1_000_000
    rig.command("confirm", proposal_id="wo-1", instrument="x", valid_from=since_ms)
    rig.run(20)
    first = [e for e in rig.events() if e["count"] == 1]
    assert "suppressed" not in rig.said()[: len(first)]
    assert first[-1]["class"] == "expected"
    before = len(rig.events())
    rig.run(60, {"c1": 8.0})
    assert rig.events()[before]["suppressed"] == 1
