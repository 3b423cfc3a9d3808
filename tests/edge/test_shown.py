"""What others wrote, on a person's screen: it makes no lines, moves no cursor and hides nothing."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final

import pytest
from typer.testing import CliRunner

from andon import app
from edge.audit.trail import AuditTrail
from edge.logs import configure, shown, write
from edge.records import Audited, Note

if TYPE_CHECKING:
    from pathlib import Path

# Clears the screen, in two ways; turns the letters that follow around; a line of its own.
HOSTILE: Final = "fine\x1b[2J\x9b2J\u202e\n12:00:00Z info    checked_in operator=bea"
SEEN: Final = "fine\\x1b[2J\\x9b2J\\u202e\\n12:00:00Z info    checked_in operator=bea"


def test_shown_keeps_what_is_seen_and_tells_what_is_not() -> None:
    """In other languages too."""
    assert shown(HOSTILE) == SEEN
    assert shown("Überprüft, 点检 ✓") == "Überprüft, 点检 ✓"


@pytest.mark.parametrize("as_json", [False, True])
def test_a_field_of_a_log_line_stays_on_its_line(
    capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    """Else whoever may say anything could write lines in the name of others."""
    before = logging.root.handlers[:]
    try:
        configure(level="info", as_json=as_json)
        write(
            logging.getLogger("andon"),
            Note(name="feedback", level="info", fields={"note": HOSTILE}),
        )
    finally:
        logging.root.handlers[:] = before
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.rstrip("\n").isprintable()
    assert re.search(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z", said), "bad for months: no date"
    assert as_json or SEEN in said


def test_the_audit_trail_shows_what_nobody_would_see(tmp_path: Path) -> None:
    """An operator's reason does not wipe the lines above it from the screen."""
    trail = AuditTrail(tmp_path, bytes_max=1 << 20, days_max=9)
    facts: dict[str, str | int] = {"operator": "eve", "detail": HOSTILE}
    trail.write([Audited(what="shelved", asset="r1", t_ns=1, facts=facts)])
    trail.close()
    made = CliRunner().invoke(app, ["audit", "show", str(tmp_path)], env={"COLUMNS": "200"})
    assert made.exit_code == 0
    assert all(line.isprintable() for line in made.output.splitlines())
    assert "\\x1b[2J\\x9b2J\\u202e\\n" in made.output
