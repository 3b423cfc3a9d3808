"""A journal with a hole is taken again, and whoever asks is told of the hole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from edge.errors import RecordingError
from edge.records import JournalHole, ShellFault
from edge.replays.explain_command import explain_command
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


def test_a_time_in_a_hole_is_told_first_and_so_is_an_alert_of_then(tmp_path: Path) -> None:
    """Else what stands before and behind it would read as what was so then."""
    run = Run(tmp_path)
    run.rig.run(320)
    begin, end = START + 320 * S, START + 400 * S
    run.rig.at += 80
    run.rig.give(
        JournalHole(from_ns=begin, to_ns=end, stimuli=77, because="no space left", leap=1 << 20)
    )
    run.rig.give(ShellFault(name="not_durable", detail="it is over", active=False))
    run.rig.run(60)
    kept = run.keep()
    assert asked(kept, 360).findings[0].name == "hole"
    assert asked(kept, 430).findings[0].name != "hole"
    with pytest.raises(RecordingError, match="the journal lacks 77 stimuli"):
        explain_command(
            "r1-process-20251009T085900.000Z", kept, revision=0, as_json=False, console=Console()
        )
