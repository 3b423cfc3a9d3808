"""Faults of the weld cell find their row of the manual; other questions find nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from edge.alerts.alerts import AlertRecord, Contribution
from edge.alerts.query import query_of
from edge.records import Track
from kb.records import Query
from kb.snapshots.build import build
from kb.snapshots.snapshot import Snapshot
from simulator.cells.weld import simulate
from simulator.cells.weld_signals import CHANNEL_NAMES
from simulator.faults import FORMS, FaultKind
from tests.kb.conftest import NOW_NS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kb.records import Hit

UNRELATED: Final = (
    "who won the football match", "who won the football match yesterday", "quarterly tax return",
    "quarterly tax return of a bakery", "birthday cake recipe with strawberries",
    "holiday plans for the beach", "election results in france", "symptoms of the flu",
    "chess opening theory", "mortgage interest rates", "buy a used car",
)  # fmt: skip
ROW_OF: Final = {
    FaultKind.CONTACT_TIP_WEAR: "| Voltage too high and current too low",
    FaultKind.GAS_FLOW_LOSS: "| Flow and pressure both too low",
    FaultKind.WIRE_FEED_SLIP: "| Feed too high while wire consumed is too low",
}


@pytest.fixture(scope="module")
def weld(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snapshot]:
    """The texts of a weld cell, opened."""
    place = tmp_path_factory.mktemp("weld")
    for name, text in simulate(seed=3, hours=8).texts.items():
        path = place / "texts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    build(place / "texts", place / "snapshot", now_ns=NOW_NS)
    with Snapshot.open(place / "snapshot") as opened:
        yield opened


def _guidance(weld: Snapshot, *parts: tuple[str, str]) -> list[Hit]:
    """What the manuals say to an alert whose channels went that way, as the gateway asks."""
    contributions = tuple(
        Contribution(
            channel=channel, unit="", share=0.5 / (i + 1), value=0.0, usual_low=0.0,
            usual_high=1.0, direction=direction,
        )
        for i, (channel, direction) in enumerate(parts)
    )  # fmt: skip
    record = AlertRecord(
        asset="r1", track=Track.PROCESS, klass="process anomaly", contributions=contributions
    )
    hits = weld.search(query_of(record), now_ns=NOW_NS)
    return [hit for hit in hits if hit.kind in {"manual", "procedure"}]


@pytest.mark.parametrize("kind", list(ROW_OF))
def test_a_fault_with_its_directions_finds_its_row_first(weld: Snapshot, kind: FaultKind) -> None:
    """Whichever of its two channels carries more of the score."""
    parts = [(channel, "high" if sign > 0 else "low") for channel, sign in FORMS[kind].signs]
    for order in (parts, parts[::-1]):
        assert _guidance(weld, *order)[0].citation.quote.startswith(ROW_OF[kind])


def test_the_opposite_direction_finds_another_row(weld: Snapshot) -> None:
    """Flow high and pressure low is a leak, not a starved line."""
    hits = _guidance(weld, ("CO2 Weld Flow", "high"), ("Pressure", "low"))
    assert hits[0].citation.quote.startswith("| Flow too high, pressure too low")


@pytest.mark.parametrize("channel", CHANNEL_NAMES)
def test_sensors_find_their_rows_among_the_first_three(weld: Snapshot, channel: str) -> None:
    """Of any channel, drift and standstill lead to a row about it."""
    drifting = [hit.citation.quote.lower() for hit in _guidance(weld, (channel, "within"))[:3]]
    assert any("drift" in quote for quote in drifting)
    frozen = [hit.citation.quote.lower() for hit in _guidance(weld, (channel, "stuck"))[:3]]
    assert any("frozen" in quote or "same value" in quote for quote in frozen)


@pytest.mark.parametrize("text", UNRELATED)
def test_unrelated_questions_find_nothing(weld: Snapshot, text: str) -> None:
    """One shared everyday word is no relevance."""
    assert weld.search(Query(text=text, all_assets=True), now_ns=NOW_NS) == ()


def test_terms_alone_find_what_has_them(weld: Snapshot) -> None:
    """A query without a sentence is answered by its words, and by nothing else."""
    hits = weld.search(Query(text="", terms=("regulator",)), now_ns=NOW_NS)
    assert hits
    assert all("regulator" in weld.chunk(h.citation.chunk_id).text.lower() for h in hits)
    assert weld.search(Query(text="", terms=("xyzzy",)), now_ns=NOW_NS) == ()


def test_a_row_comes_with_what_its_cells_mean(weld: Snapshot) -> None:
    """The quote stays verbatim; the section names the columns and not the title again."""
    (hit, *_) = _guidance(weld, ("CO2 Weld Flow", "low"), ("Pressure", "low"))
    assert (hit.title, hit.section) == (
        "Shielding gas supply",
        "Troubleshooting > symptom | channel | cause | check first",
    )
    text = weld.text(hit.citation.doc_id, hit.citation.revision)
    assert text[hit.citation.start : hit.citation.end] == hit.citation.quote


def test_no_quote_begins_with_the_rules_of_a_table(weld: Snapshot) -> None:
    """A long table of limits is quoted from a row that says something."""
    for channel in CHANNEL_NAMES:
        for hit in weld.search(Query(text=f"{channel} limits usual"), now_ns=NOW_NS):
            assert not hit.citation.quote.startswith("|--")
