"""Scope rows, limits and failure modes that manuals propose: what is right, and what is not."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Final

import pytest

from kb.drafts import limits as propose_limits
from kb.drafts import modes as propose_modes
from kb.drafts import scope as propose_scope
from kb.drafts.channel_names import ChannelNames, KnownChannel
from kb.drafts.limits import proposed_limits
from kb.drafts.modes import proposed_modes
from kb.drafts.rows import Source, sources, table
from kb.drafts.scope import proposed_scopes
from kb.errors import KnowledgeError
from kb.reading.rows import csv_rows
from kb.retrieval.cite import QUOTE_CHARS_MAX
from kb.retrieval.embed import shipped_embedder
from kb.snapshots.build import build
from kb.snapshots.snapshot import Snapshot
from kb.times import iso_ns

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAMES: Final = ChannelNames(
    [
        KnownChannel(name="oil_temp", unit="°C", aliases=("oil temperature", "TT-12")),
        KnownChannel(name="discharge_pressure", unit="bar", aliases=("PT-101", "outlet pressure")),
        KnownChannel(name="coolant_flow", unit="l/min"),
        KnownChannel(name="spindle_vibration", unit="mm/s", aliases=("VT-3",)),
        KnownChannel(name="motor_current", unit="A"),
        KnownChannel(name="tank_level", unit="%"),
    ],
    shipped_embedder(),
)
# LL, L, H, HH; None: the sentence states no limit of a known channel in its unit
SENTENCES: Final = (
    ("The oil temperature must not exceed 85 °C.", ("oil_temp", None, None, 85, None)),
    ("Coolant flow: min. 12 l/min.", ("coolant_flow", None, 12, None, None)),
    ("Discharge pressure alarm at 4.5 bar.", ("discharge_pressure", None, None, 4.5, None)),
    ("The pump trips above 6.2 bar PT-101.", ("discharge_pressure", None, None, None, 6.2)),
    ("Never let the coolant flow drop below 8 l/min.", ("coolant_flow", None, 8, None, None)),
    ("Keep the tank level between 30 and 80 %.", ("tank_level", None, 30, 80, None)),
    ("Permissible oil temperature: 20 to 70 °C.", ("oil_temp", None, 20, 70, None)),
    ("Maximum motor current: 32 A.", ("motor_current", None, None, 32, None)),
    ("The outlet pressure must stay above 1.5 bar.", ("discharge_pressure", None, 1.5, None, None)),
    ("TT-12 high alarm: 75 degC, trip 90 degC.", ("oil_temp", None, None, 75, 90)),
    ("Low tank level alarm at 20 %.", ("tank_level", None, 20, None, None)),
    ("VT-3: 4.5 mm/s (alarm), 7.1 mm/s (trip).", ("spindle_vibration", None, None, 4.5, 7.1)),
    ("Minimum outlet pressure 2 bar, maximum 5 bar.", ("discharge_pressure", None, 2, 5, None)),
    ("Tighten the screws with 85 Nm.", None),
    ("The oil temperature must not exceed 185 °F.", None),  # nothing is converted
    ("Ambient temperature must not exceed 40 °C.", None),
    ("Typical spindle vibration is 1.2 mm/s.", None),
    ("Coolant flow of at least 12.", None),
    ("At discharge pressures above 10 bar use gasket B.", None),
    ("The motor current may not exceed 40 A during start for 3 s.", None),
    ("Pressure test the hose at max. 12 bar.", None),
    ("Refill when the tank level is below 25 %.", None),
    ("The flow of grease is at most 3 l/min.", None),
    ("Coolant flow must not exceed 9 l/min, 30 l/min with the second pump.", None),
    ("Motor current and oil temperature must stay below 80 °C.", None),  # which of them?
)  # fmt: skip
PROCEDURE: Final = """---
doc_id: PRC-7
kind: procedure
title: Pressure transmitter calibration
revision: "2"
assets: [P-101A]
---
# Pressure transmitter calibration

Instrument: PT-101. The calibration takes 20 to 45 minutes.

While the transmitter is isolated, discharge pressure drops to zero and goes through five steps.
Coolant flow is not affected. The reading settles within 90 seconds, and is within half a sigma.

## History

The motor current was never disturbed by it.
"""
ALARMS: Final = """# Alarms

| Code | Alarm | Cause | Remedy |
|---|---|---|---|
| A012 | Oil temperature high | Cooler clogged | Clean the cooler |
| A040 | Door open | =HYPERLINK("http://x") | Close the door |

| symptom | channel | cause | check first |
|---|---|---|---|
| Flow low | coolant_flow | Pump worn: seal ring gone | Seal ring |
| Everything odd | all | Supply | Fuse |
| Short strokes | coolant_flow | Air blasts of a cleaning, is normal | Shift log |
"""


def _sources(folder: Path, text: str) -> list[Source]:
    folder.mkdir(exist_ok=True)
    (folder / "manual.md").write_text(text, encoding="utf-8")
    return sources([folder / "manual.md"])


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize(("sentence", "stated"), SENTENCES)
def test_a_sentence_states_limits_or_none(
    tmp_path: Path, sentence: str, stated: tuple[object, ...] | None
) -> None:
    """A number needs its unit, its side and one known channel that has the unit."""
    found = proposed_limits(_sources(tmp_path, f"# Operation\n\n{sentence}\n"), NAMES)
    assert [(one.channel, *one.values) for one in found] == ([stated] if stated else [])


def test_limits_of_a_table(tmp_path: Path) -> None:
    """Units stand in a column, in the head or in the cell; rows out of order are left out."""
    text = (
        "# Limits\n\n| Signal | Unit | LL | L | H | HH |\n|---|---|---|---|---|---|\n"
        "| outlet pressure | bar | 0.5 | 1 | 6 | 7 |\n| motor_current | A | - | - | 30 | 25 |\n"
        "| weather | bar | 1 | 2 | 3 | 4 |\n\n"
        "| Parameter | max [°C] |\n|---|---|\n| oil temperature | 80 |\n\n"
        "| Parameter | min | max |\n|---|---|---|\n| tank level | 20 % | 90 % |\n"
        "| coolant_flow | 3 | 9 |\n"
    )
    found = {one.channel: one.values for one in proposed_limits(_sources(tmp_path, text), NAMES)}
    assert found == {
        "discharge_pressure": (0.5, 1, 6, 7),
        "oil_temp": (None, None, 80, None),
        "tank_level": (None, 20, 90, None),
    }


def test_texts_that_disagree_are_both_shown_as_doubtful(tmp_path: Path) -> None:
    """An engineer chooses between them."""
    text = "# A\n\nMaximum motor current: 32 A.\n\n# B\n\nMaximum motor current: 30 A.\n"
    found = proposed_limits(_sources(tmp_path, text), NAMES)
    assert sorted(one.high or 0 for one in found) == [30, 32]
    assert all(one.confidence < 0.5 for one in found)


def test_a_procedure_proposes_a_scope_row_that_counts_once_approved(tmp_path: Path) -> None:
    """Round trip: nothing of it counts until a person has put a name and a time to it."""
    found = proposed_scopes(_sources(tmp_path / "in", PROCEDURE), NAMES)
    text = table(propose_scope.COLUMNS, [row for one in found for row in one.rows(["r1"])])
    (row,) = _rows(text)
    assert (row["kind"], row["asset"], row["instrument"]) == ("calibration", "P-101A", "PT-101")
    assert row["channels"] == "discharge_pressure"
    assert (row["duration_min_max"], row["settle_s"], row["expected_effect"]) == ("45", "90", "0.5")
    assert (row["approved_by"], row["approved_at"]) == ("", "")
    assert _scope_rows(tmp_path, text) == 0
    row |= {"approved_by": "engineer", "approved_at": "2026-01-15T08:00:00+01:00"}
    file = io.StringIO()
    writer = csv.DictWriter(file, list(row))
    writer.writeheader()
    writer.writerow(row)
    assert _scope_rows(tmp_path, file.getvalue()) == 1


def _scope_rows(tmp_path: Path, text: str) -> int:
    (tmp_path / "kb-docs").mkdir(exist_ok=True)
    (tmp_path / "kb-docs" / "scope.csv").write_text(text, encoding="utf-8")
    (tmp_path / "kb-docs" / "note.md").write_text("# A note\n\nText.\n", encoding="utf-8")
    build(tmp_path / "kb-docs", tmp_path / "kb", now_ns=iso_ns("2026-03-01T00:00:00Z"))
    with Snapshot.open(tmp_path / "kb") as snapshot:
        return len(snapshot.scope_rows())


def test_a_citation_names_the_passage_and_the_span(tmp_path: Path) -> None:
    """doc@revision#chunk:start-end, and the quote is that span."""
    (source,) = _sources(tmp_path, PROCEDURE)
    (found,) = proposed_scopes([source], NAMES)
    place, _, span = found.citation.rpartition(":")
    start, end = map(int, span.split("-"))
    assert source.document.text[start:end] == found.quote
    chunks = {p.chunk_id for p in source.passages if p.start <= start and end <= p.end}
    assert place in {f"PRC-7@2#{chunk}" for chunk in chunks}


def test_alarm_codes_and_modes_of_tables(tmp_path: Path) -> None:
    """A mode needs channels that are known, or a code; what is no fault is left out."""
    found = proposed_modes(_sources(tmp_path, ALARMS), NAMES)
    told = {one.mode: one.channels for one in found}
    assert told == {
        "A012: Oil temperature high": ("oil_temp",),
        "A040: Door open": (),
        "Pump worn": ("coolant_flow",),
    }


def test_a_text_cannot_plant_a_formula(tmp_path: Path) -> None:
    """A cell that a spreadsheet would evaluate begins with an apostrophe."""
    found = proposed_modes(_sources(tmp_path, ALARMS), NAMES)
    rows = _rows(table(propose_modes.COLUMNS, [row for one in found for row in one.rows([])]))
    assert any(row["cause"].startswith("'=") for row in rows)
    assert not any(cell.startswith(("=", "@")) for row in rows for cell in row.values())


def test_a_long_sentence_is_cut(tmp_path: Path) -> None:
    """A text cannot make a row that nobody can read; the citation is of what is quoted."""
    text = f"# A\n\nThe motor current must not exceed 32 A {'and so on ' * 2000}.\n"
    (source,) = _sources(tmp_path, text)
    (found,) = proposed_limits([source], NAMES)
    start, end = map(int, found.citation.rpartition(":")[2].split("-"))
    assert source.document.text[start:end] == found.quote
    assert len(found.quote) <= QUOTE_CHARS_MAX
    assert len(_rows(table(propose_limits.COLUMNS, found.rows(["r1"])))) == 1


def test_what_is_no_text_is_an_error(tmp_path: Path) -> None:
    """A table or a broken file proposes nothing, and says so."""
    (tmp_path / "orders.csv").write_text("order_id,asset,kind,status\nW1,r1,calibration,APPR\n")
    with pytest.raises(KnowledgeError, match="no manual or procedure"):
        sources([tmp_path / "orders.csv"])


def test_names_by_sense_have_a_floor() -> None:
    """A cell in other words finds its channel; what is near nothing finds none."""
    sensed = {
        phrase: found.channel.name if (found := NAMES.only(phrase)) else ""
        for phrase in ("temperature of the oil", "weather", "all", "any channel", "door switch")
    }
    assert sensed.pop("temperature of the oil") == "oil_temp"
    assert set(sensed.values()) == {""}


def test_limits_and_modes_count_once_approved(tmp_path: Path) -> None:
    """Round trip of both tables: nothing before a person has put a name to it, then all."""
    text = PROCEDURE + "\n# Limits\n\nOil temperature must not exceed 80 degC.\n\n" + ALARMS
    found = _sources(tmp_path / "in", text)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "note.md").write_text("# A note\n\nText.\n", encoding="utf-8")
    tables = {
        "limits.csv": (
            propose_limits.COLUMNS,
            [r for x in proposed_limits(found, NAMES) for r in x.rows([])],
        ),
        "modes.csv": (
            propose_modes.COLUMNS,
            [r for x in proposed_modes(found, NAMES) for r in x.rows([])],
        ),
    }
    counts = []
    for who in ("", "engineer"):
        for name, (columns, rows) in tables.items():
            signed = [
                {**r, "approved_by": who, "approved_at": "2026-01-15T08:00:00Z"} for r in rows
            ]
            (tmp_path / "docs" / name).write_text(table(columns, signed), encoding="utf-8")
        build(tmp_path / "docs", tmp_path / "kb", now_ns=iso_ns("2026-03-01T00:00:00Z"))
        with Snapshot.open(tmp_path / "kb") as snapshot:
            counts.append((len(snapshot.limits()), len(snapshot.failure_modes())))
    assert counts == [(0, 0), (1, 2)]  # a code without a channel waits for one


def _as_table(columns: tuple[str, ...], row: Mapping[str, str]) -> int:
    return len(csv_rows(table(columns, [row]))[0])


@pytest.mark.parametrize(
    "columns", [propose_scope.COLUMNS, propose_limits.COLUMNS, propose_modes.COLUMNS]
)
def test_tables_are_read_back_whole(columns: tuple[str, ...]) -> None:
    """Quotes over several lines, commas and quotation marks do not break a table."""
    assert _as_table(columns, {columns[0]: "x", "quote": 'a, "b"\n- c', "confidence": "0.5"}) == 1


def test_two_manuals_that_contradict_each_other_are_marked(tmp_path: Path) -> None:
    """Each row names what the other states and where; approved as it is, neither counts."""
    folder = tmp_path / "in"
    folder.mkdir()
    texts = {
        "a.md": "# A\n\n| Signal | unit | H |\n|---|---|---|\n| motor_current | A | 32 |\n",
        "b.md": "# B\n\nMaximum motor current: 30 A. Oil temperature must not exceed 80 degC.\n",
        "c.md": "# C\n\nMotor current trips above 40 A.\n",  # another side: no contradiction
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    found = proposed_limits(sources([folder]), NAMES)
    rows = [row for limit in found for row in limit.rows(["p1"])]
    marked = {row["high"]: row["contradicts"] for row in rows if row["contradicts"]}
    assert set(marked) == {"32", "30"}
    assert marked["32"].startswith("high 30 in b.md@#")
    assert marked["30"].startswith("high 32 in a.md@#")
    docs = tmp_path / "docs"
    docs.mkdir()
    approved = [{**r, "approved_by": "J. Ott", "approved_at": "2026-01-15T08:00:00Z"} for r in rows]
    chosen = [{**r, "contradicts": ""} for r in approved if r["high"] != "30"]
    for kept, counted, refused in ((approved, {"oil_temp"}, 2), (chosen, {"motor_current"}, 0)):
        (docs / "limits.csv").write_text(table(propose_limits.COLUMNS, kept), encoding="utf-8")
        told = build(docs, tmp_path / "kb", now_ns=iso_ns("2026-03-01T00:00:00Z")).quarantined
        assert len([one for one in told if "choose one" in one.cause]) == refused
        with Snapshot.open(tmp_path / "kb") as snapshot:
            assert counted <= {limit.channel for limit in snapshot.limits()}
            assert ("motor_current" in counted) == any(
                limit.high == 32 for limit in snapshot.limits()
            )


def test_texts_of_different_machines_do_not_contradict_each_other(tmp_path: Path) -> None:
    """A text of no machine is of every one, and does."""
    folder = tmp_path / "in"
    folder.mkdir()
    for asset, most in (("p1", 32), ("p2", 30)):
        (folder / f"{asset}.md").write_text(
            f"---\nassets: [{asset}]\n---\n# A\n\nMaximum motor current: {most} A.\n"
        )
    assert not any(one.contradicts for one in proposed_limits(sources([folder]), NAMES))
    (folder / "all.md").write_text("# A\n\nMaximum motor current: 30 A.\n")
    found = proposed_limits(sources([folder]), NAMES)
    assert {one.assets: bool(one.contradicts) for one in found} == {
        None: True,
        ("p1",): True,
        ("p2",): False,
    }


@pytest.mark.parametrize(
    ("heads", "cells", "named"),
    [
        ("Failure mode | Cause", "Seal leaking | Wear: shaft run dry", "Seal leaking"),
        ("Fault | Possible cause", "Cavitation | Suction: strainer full", "Cavitation"),
        ("Symptom | Cause", "Flow low | Pump worn: seal ring gone", "Pump worn"),
        ("Symptom | Cause", "Flow low | Seal ring gone", "Flow low"),
        ("Code | Fault | Cause", "E7 | Cavitation | Suction: full", "E7: Cavitation"),
    ],
)
def test_a_mode_is_called_by_its_own_column(
    tmp_path: Path, heads: str, cells: str, named: str
) -> None:
    """Its cause is another thing, where a column says what it is."""
    rules = "|".join(["---"] * (heads.count("|") + 3))
    text = (
        f"# Faults\n\n| {heads} | Channel | Action |\n|{rules}|\n"
        f"| {cells} | coolant_flow | Look |\n"
    )
    (mode,) = proposed_modes(_sources(tmp_path, text), NAMES)
    assert mode.mode == named


def test_a_number_with_a_comma_of_thousands_is_not_proposed(tmp_path: Path) -> None:
    """It would be one and a half."""
    text = (
        "# A\n\nMaximum motor current: 1,500 A.\n\n| Signal | unit | H |\n|---|---|---|\n"
        "| motor_current | A | 1,500 |\n| oil temperature | °C | 80,5 |\n"
    )
    found = proposed_limits(_sources(tmp_path, text), NAMES)
    assert [(one.channel, one.high) for one in found] == [("oil_temp", 80.5)]
