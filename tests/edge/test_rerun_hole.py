"""A journal with a hole is taken again, and whoever asks is told of the hole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.records import JournalHole, ShellFault
from tests.edge.rig import START, S
from tests.edge.test_rerun import Run, asked

if TYPE_CHECKING:
    from pathlib import Path


def test_why_says_what_the_journal_lacks(tmp_path: Path) -> None:
    """How many stimuli, from when to when, and why."""
    run = Run(tmp_path)
    run.rig.run(320)
    hole = JournalHole(
        from_ns=START, to_ns=START + 60 * S, stimuli=77, because="no space left", leap=1 << 20
    )
    run.rig.give(hole)
    run.rig.give(ShellFault(name="not_durable", detail="it is over", active=False))
    run.rig.run(20, {"c1": 7})
    run.answer()
    run.rig.run(60)
    notes = " ".join(asked(run.keep(), 330).notes)
    assert "the journal lacks 77 stimuli from 2025-10-09 08:53:20Z" in notes
    assert "no space left" in notes
