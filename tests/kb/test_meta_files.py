"""Documents without front matter have a file beside them that says what they are about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kb.records import Query
from kb.snapshots.build import build
from kb.snapshots.snapshot import Snapshot
from kb.snapshots.update import Updater
from kb.times import date_or_iso_ns
from tests.kb.conftest import NOW_NS
from tests.kb.test_pages import docx, pdf

if TYPE_CHECKING:
    from pathlib import Path

PAGES = {
    "seal.html": b"<h1>Seal</h1><p>Replace the mechanical seal yearly.</p>",
    "seal.pdf": pdf("1.1 Seal\nReplace the mechanical seal yearly."),
    "seal.docx": docx(),
    "seal.rst": b"Seal\n====\n\nReplace the mechanical seal yearly.\n",
    "seal.txt": b"Replace the mechanical seal yearly.\n",
    "seal.md": b"# Seal\n\nReplace the mechanical seal yearly.\n",
}


def found_by(out: Path, asset: str) -> set[str]:
    """Documents that a search for an asset finds."""
    with Snapshot.open(out) as snapshot:
        query = Query(text="mechanical seal, valve sticks when cold", asset=asset)
        return {hit.citation.doc_id for hit in snapshot.search(query, now_ns=NOW_NS)}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_of_the_assets_that_stand_beside_it(tmp_path: Path, name: str) -> None:
    """And of its kind, title, language and time; another asset does not find it."""
    source = tmp_path / "kb"
    source.mkdir()
    (source / name).write_bytes(PAGES[name])
    (source / "seal.meta.toml").write_text(
        'doc_id = "MAN-9"\nkind = "procedure"\nassets = ["p1", "p2"]\nlanguage = "de"\n'
        'title = "Seal of P1"\nrevision = "2"\neffective_from = 2026-01-01\n'
    )
    manifest = build(source, tmp_path / "out", now_ns=NOW_NS)
    assert manifest.quarantined == ()
    assert found_by(tmp_path / "out", "p2") == {"MAN-9"}
    assert found_by(tmp_path / "out", "p3") == set()
    with Snapshot.open(tmp_path / "out") as snapshot:
        hit = snapshot.search(
            Query(text="mechanical seal, valve sticks when cold", asset="p1"), now_ns=NOW_NS
        )[0]
        assert (hit.kind, hit.title, hit.citation.revision) == ("procedure", "Seal of P1", "2")
        early = date_or_iso_ns("2026-01-01") - 1
        assert not snapshot.search(Query(text="mechanical seal", asset="p1"), now_ns=early)


def test_a_folder_speaks_for_its_own_documents(tmp_path: Path) -> None:
    """A document's file goes before it; subfolders and front matter are left alone."""
    source = tmp_path / "kb"
    (source / "more").mkdir(parents=True)
    for name in ("a.txt", "b.txt", "more/c.txt"):
        (source / name).write_bytes(PAGES["seal.txt"])
    (source / "d.md").write_text("---\ndoc_id: D\n---\nReplace the mechanical seal yearly.\n")
    (source / "meta.toml").write_text('assets = ["p1"]\n')
    (source / "b.meta.toml").write_text('assets = ["p2"]\n')
    build(source, tmp_path / "out", now_ns=NOW_NS)
    assert found_by(tmp_path / "out", "p1") == {"a.txt", "more/c.txt", "D"}
    assert found_by(tmp_path / "out", "p2") == {"b.txt", "more/c.txt", "D"}


@pytest.mark.parametrize(
    ("name", "text", "cause"),
    [
        ("seal.meta.toml", 'assets = ["r*"]', "no exact id"),
        ("seal.meta.toml", "assets = []", "leave it out"),
        ("seal.meta.toml", 'asset = ["r1"]', "unknown field"),
        ("seal.meta.toml", 'kind = "novel"', "none of manual"),
        ("seal.meta.toml", 'effective_from = "soon"', "effective_from"),
        ("seal.meta.toml", "assets = [", "seal.meta.toml"),
        ("meta.toml", 'doc_id = "X"', "of one document"),
    ],
)
def test_what_cannot_be_read_beside_a_page_keeps_it_out(
    tmp_path: Path, name: str, text: str, cause: str
) -> None:
    """Else it would count for every asset."""
    source = tmp_path / "kb"
    source.mkdir()
    (source / "seal.txt").write_bytes(PAGES["seal.txt"])
    (source / name).write_text(text)
    (told,) = build(source, tmp_path / "out", now_ns=NOW_NS).quarantined
    assert told.path == "seal.txt"
    assert cause in told.cause


def test_an_update_sees_that_the_file_beside_has_changed(tmp_path: Path) -> None:
    """Though the document itself has not."""
    source = tmp_path / "kb"
    source.mkdir()
    (source / "seal.txt").write_bytes(PAGES["seal.txt"])
    build(source, tmp_path / "out", now_ns=NOW_NS)
    assert found_by(tmp_path / "out", "p3") == {"seal.txt"}
    (source / "seal.meta.toml").write_text('assets = ["p1"]\n')
    updater = Updater(tmp_path / "out")
    assert updater.update(now_ns=NOW_NS) is not None
    updater.close()
    assert found_by(tmp_path / "out", "p3") == set()
