"""Files as plants export them: whatever their encoding, read right or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb.reading.front_matter import SourceError
from kb.reading.stored import AS_WINDOWS, stored_text
from kb.snapshots.build import build
from kb.snapshots.snapshot import Snapshot
from tests.kb.conftest import NOW_NS

if TYPE_CHECKING:
    from pathlib import Path

LIMITS: Final = (
    "asset;channel;unit;low_low;low;high;high_high;approved_by;approved_at\n"
    "r1;Öltemperatur;°C;;8,5;60;70,25;J. Müller;2026-01-20T09:00:00+01:00\n"
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "latin-1", "utf-16"])
def test_limits_of_a_european_export(tmp_path: Path, encoding: str) -> None:
    """Semicolons, decimal commas and any usual encoding; only the guess at one is told."""
    source = tmp_path / "kb"
    source.mkdir()
    (source / "limits.csv").write_bytes(LIMITS.encode(encoding))
    told = build(source, tmp_path / "out", now_ns=NOW_NS).quarantined
    guessed = encoding in ("cp1252", "latin-1")
    assert [one.cause for one in told] == ([AS_WINDOWS] if guessed else [])
    with Snapshot.open(tmp_path / "out") as snapshot:
        (limit,) = snapshot.limits()
    assert (limit.channel, limit.unit, limit.approved_by) == ("Öltemperatur", "°C", "J. Müller")
    assert (limit.low, limit.high, limit.high_high) == (8.5, 60.0, 70.25)


@pytest.mark.parametrize("number", ["1,500", "12,000,000", "1.500,5", "8,", "8,5,5"])
def test_a_comma_that_may_mean_two_things_is_refused(tmp_path: Path, number: str) -> None:
    """Thousands or decimals: nobody guesses at a limit."""
    source = tmp_path / "kb"
    source.mkdir()
    (source / "limits.csv").write_text(LIMITS.replace("8,5", number), encoding="utf-8")
    (told,) = build(source, tmp_path / "out", now_ns=NOW_NS).quarantined
    assert number in told.cause


@given(st.text(st.sampled_from("aß °äöüÄÖÜéñ;\n\u20ac\u2013\u201cµ²")))
def test_what_is_utf8_is_never_taken_for_anything_else(text: str) -> None:
    """And what is read as Western European text of Windows comes back as it was."""
    assert stored_text(text.encode()) == (text, ())
    try:
        said, notes = stored_text(text.encode("cp1252"))
    except SourceError:
        return
    assert said == text or not notes  # a few of its words could be UTF-8 as well
    assert bool(notes) == (AS_WINDOWS in notes)


@pytest.mark.parametrize(
    "stored",
    [
        "Prüfung".encode() + b"\xff",  # UTF-8 with a damaged place
        "Prüfung\n".encode() + "Prüfung\n".encode("cp1252"),  # two files in one
        b"fine\n\xff\xfe",  # of another encoding
        b"a\x81b\xe4",  # no letter of Windows
        b"a\x00\xe4b\x01\x02",  # no text at all
    ],
)
def test_what_is_neither_is_refused(stored: bytes) -> None:
    """With the line at which it begins."""
    with pytest.raises(SourceError, match="neither UTF-8 nor"):
        stored_text(stored)
