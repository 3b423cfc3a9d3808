"""Snapshots: what is in them, and that they are whole or refused."""

from __future__ import annotations

import hashlib
import shutil
import threading
from typing import TYPE_CHECKING

import msgspec
import pytest

from kb.errors import KnowledgeError
from kb.records import Query, WorkKind
from kb.snapshots import snapshot as snapshots
from kb.snapshots.build import build
from kb.snapshots.exchange import replace_directory
from kb.snapshots.snapshot import Snapshot, read_manifest
from kb.times import iso_ns
from tests.kb.conftest import NOW_NS

if TYPE_CHECKING:
    from pathlib import Path

    from kb.manifest import Manifest
    from kb.records import Citation, Hit

EVERYTHING = Query(text="calibration flow pressure points clean", all_assets=True, limit=100)


def _resolves(snapshot: Snapshot, citation: Citation) -> bool:
    text = snapshot.text(citation.doc_id, citation.revision)
    chunk = snapshot.chunk(citation.chunk_id)
    return (
        text[citation.start : citation.end] == citation.quote
        and chunk.start <= citation.start < citation.end <= chunk.end
        and hashlib.sha256(citation.quote.encode()).hexdigest() == citation.sha256
        and 0 < len(citation.quote) <= 240
    )


def _documents(hits: tuple[Hit, ...]) -> set[str]:
    return {hit.citation.doc_id for hit in hits}


def test_every_citation_resolves(snapshot: Snapshot) -> None:
    """Spans give the quote back, hashes match, for hits, proposals and scope rows alike."""
    citations = [h.citation for h in snapshot.search(EVERYTHING, now_ns=NOW_NS)]
    citations += [p.citation for p in snapshot.proposals()]
    citations += [r.citation for r in snapshot.scope_rows()]
    assert len(citations) > 8
    assert all(_resolves(snapshot, citation) for citation in citations)


def test_orders_propose_what_their_columns_say(snapshot: Snapshot) -> None:
    """Status decides approval, times decide reality; both records of a changed order stay."""
    found = [p for p in snapshot.proposals() if p.source == "order"]
    states = {(p.proposal_id, p.approved, p.real_times, p.cancelled) for p in found}
    assert states == {
        ("WO-1", True, True, False),
        ("WO-1", False, True, True),
        ("WO-2", True, False, False),  # midnight to midnight
        ("WO-4", False, True, False),  # says APPROVED in its description only
    }
    (late,) = [p for p in found if p.proposal_id == "WO-4"]
    assert late.recorded_at_ns == NOW_NS  # it does not say when it was recorded
    first = next(p for p in found if p.proposal_id == "WO-1")
    assert first.valid_from_ns == iso_ns("2026-03-02T06:00:00+01:00")
    assert first.recorded_at_ns == iso_ns("2026-03-01T10:00:00+01:00")


def test_log_lines_propose_without_approval(snapshot: Snapshot) -> None:
    """One line of the log speaks of known work; its local time has been read in its zone."""
    (found,) = [p for p in snapshot.proposals() if p.source == "log"]
    assert (found.asset, found.kind, found.instrument) == ("r1", WorkKind.CALIBRATION, "gas_flow")
    assert found.citation.quote == "2026-03-02 06:40 R1 gas flow cal done, JT"
    assert found.recorded_at_ns == iso_ns("2026-03-02T06:40:00+01:00")
    assert (found.approved, found.real_times) == (False, False)


def test_only_whole_scope_rows_are_kept(snapshot: Snapshot) -> None:
    """Wildcards, empty channels, missing approval and impossible numbers are quarantined."""
    (row,) = snapshot.scope_rows()
    assert (row.asset, row.channels) == ("r1", ("CO2 Weld Flow", "Pressure"))
    assert (row.duration_s_max, row.settle_s, row.expected_effect) == (3600, 240, 0.5)
    places = [(q.path, q.line) for q in snapshot.manifest.quarantined if "scope" in q.path]
    assert places == [("scope.csv", line) for line in range(3, 9)] + [("scope_wide.csv", 2)]


def test_what_cannot_be_read_is_named(snapshot: Snapshot) -> None:
    """Bad rows and lines stand in the manifest with file, line and cause."""
    causes = {(q.path, q.line): q.cause for q in snapshot.manifest.quarantined}
    assert "exact id" in causes["orders.csv", 7]
    assert "zone" in causes["orders.csv", 8]
    assert "time stamp" in causes["logs/shift.log", 4]


def test_other_assets_and_later_records_are_invisible(snapshot: Snapshot) -> None:
    """A search sees its asset and site-wide texts, as of its time."""
    site_wide = snapshot.search(
        msgspec.structs.replace(EVERYTHING, all_assets=False), now_ns=NOW_NS
    )
    assert _documents(site_wide) == {"MAN-GAS"}
    of_r1 = msgspec.structs.replace(EVERYTHING, all_assets=False, asset="r1")
    assert _documents(snapshot.search(of_r1, now_ns=NOW_NS)) >= {"MAN-GAS", "MAN-ARM", "orders.csv"}
    early = snapshot.search(of_r1, now_ns=iso_ns("2026-02-28T00:00:00Z"))
    assert _documents(early) == {"MAN-GAS"}
    of_r2 = msgspec.structs.replace(of_r1, asset="r2")
    for hit in snapshot.search(of_r2, now_ns=NOW_NS):
        assert snapshot.chunk(hit.citation.chunk_id).assets in (None, ("r2",))
    manuals = msgspec.structs.replace(EVERYTHING, kinds=("manual",))
    assert _documents(snapshot.search(manuals, now_ns=NOW_NS)) == {"MAN-GAS"}


def test_the_right_row_is_found_first(snapshot: Snapshot) -> None:
    """Words and sense together lead to the row of the table that helps."""
    hits = snapshot.search(Query(text="gas flow and pressure are both too low"), now_ns=NOW_NS)
    assert hits[0].citation.quote.startswith("| Flow and pressure both too low")


def test_nothing_relevant_is_an_answer(snapshot: Snapshot) -> None:
    """Unrelated words, no words and a limit of none find nothing."""
    for text in ("zebra umbrella quantum", "", "   "):
        assert snapshot.search(Query(text=text), now_ns=NOW_NS) == ()
    assert snapshot.search(msgspec.structs.replace(EVERYTHING, limit=0), now_ns=NOW_NS) == ()


def test_search_from_other_threads_gives_the_same(snapshot: Snapshot) -> None:
    """Eight threads that search at once agree with the main thread."""
    expected = repr(snapshot.search(EVERYTHING, now_ns=NOW_NS))
    found: list[str] = []
    threads = [
        threading.Thread(
            target=lambda: found.append(repr(snapshot.search(EVERYTHING, now_ns=NOW_NS)))
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 8


@pytest.mark.parametrize("name", ["kb.sqlite", "vectors.faiss", "manifest.json"])
def test_one_changed_byte_is_refused(texts: Path, tmp_path: Path, name: str) -> None:
    """Wherever a byte flips, the snapshot does not open; nor with a file gone."""
    out = tmp_path / "snapshot"
    build(texts, out, now_ns=NOW_NS)
    whole = (out / name).read_bytes()
    for at in (0, len(whole) // 2, len(whole) - 1):
        broken = bytearray(whole)
        broken[at] ^= 1
        (out / name).write_bytes(broken)
        with pytest.raises(KnowledgeError):
            Snapshot.open(out)
    (out / name).unlink()
    with pytest.raises(KnowledgeError):
        Snapshot.open(out)


def test_another_that_takes_its_place_while_it_is_read_is_opened(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway that starts just then would say that its knowledge is damaged, and end."""
    out, other = tmp_path / "snapshot", tmp_path / "other"
    build(texts, out, now_ns=NOW_NS)
    (texts / "later.md").write_text("# Later\n\nThe torch is cleaned twice.\n", encoding="utf-8")
    build(texts, other, now_ns=NOW_NS)
    (texts / "later.md").unlink()
    newer, real = read_manifest(other).sha256, snapshots.read_manifest

    def read(path: Path) -> Manifest:
        manifest = real(path)
        if other.exists():
            replace_directory(other, out)
            shutil.rmtree(other)
        return manifest

    monkeypatch.setattr(snapshots, "read_manifest", read)
    with Snapshot.open(out) as opened:
        assert opened.sha256 == newer


def test_a_closed_snapshot_says_so(texts: Path, tmp_path: Path) -> None:
    """Searching after closing is an error of ours, not of SQLite."""
    build(texts, tmp_path / "snapshot", now_ns=NOW_NS)
    opened = Snapshot.open(tmp_path / "snapshot")
    opened.close()
    with pytest.raises(KnowledgeError):
        opened.search(EVERYTHING, now_ns=NOW_NS)


def test_within_an_era_the_same_is_known(snapshot: Snapshot) -> None:
    """Where the number is the same every answer is, and each passage's time begins another one.

    So an answer may be remembered by it, and none of them knows what was written later.
    """
    known = snapshot.known_from()
    told = sorted({known[chunk_id] for chunk_id in snapshot.index.ids().tolist()} - {0})
    assert len(told) > 2, "or nothing is compared"
    moments = sorted({ns + by for ns in told for by in (-1, 0, 1, 10**9)})
    queries = [
        Query(text="robot arm tool centre point, clean the check beam", all_assets=True),
        Query(text="gas flow calibration done", asset="r1", terms=("flow", "cal")),
    ]
    answers: dict[int, list[object]] = {}
    for now_ns in moments:
        found = [snapshot.search(query, now_ns=now_ns) for query in queries]
        assert answers.setdefault(snapshot.era(now_ns), list(found)) == found
    assert len({str(one) for one in answers.values()}) > 1, "time makes a difference"
    for ns in told:
        assert snapshot.era(ns - 1) < snapshot.era(ns)
