"""An update gives what building again would give, touches nothing when it fails, and is fast."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kb.errors import KnowledgeError
from kb.manifest import Manifest
from kb.records import Hit, Query
from kb.snapshots.build import build
from kb.snapshots.folder import changing
from kb.snapshots.snapshot import DATABASE, VECTORS, Snapshot
from kb.snapshots.update import Updater
from kb.snapshots.watch import Watcher
from tests.kb.conftest import GAS_MANUAL, LOG, NOW_NS, ORDERS, SCOPE, SCOPE_WIDE, write_texts

HEAD: Final = ORDERS.splitlines(keepends=True)[0]
LATE: Final = (
    "WO-{0},r1,calibration,gas_flow,APPR,2026-03-0{0}T06:00Z,2026-03-0{0}T06:3{0}Z,,PL,gas\n"
)
REVISED: Final = GAS_MANUAL.replace('"3"', '"4"').replace(
    "kind:", "effective_from: 2026-03-02\nkind:"
)
# what each file may hold: among them what calls off, contradicts, cannot be read, brings new names
FILES: Final[dict[str, tuple[bytes, ...]]] = {
    "manuals/gas.md": (GAS_MANUAL.encode(), REVISED.encode(), b"# Gas\n\nPressure too low.\n"),
    "manuals/gas4.md": (REVISED.encode(), GAS_MANUAL.encode()),
    "notes/a.txt": (
        b"WO-1 was cancelled by phone\n",
        b"Gas flow cal of r9 is done each week\n",
        b"\xff\xfe\xfa",
    ),
    "a_new_asset.md": (b"---\nassets: [r12]\n---\n# Press\n\nGrease the ram.\n",),
    "orders.csv": (
        ORDERS.encode(),
        (HEAD + LATE.format(2) + LATE.format(3)).encode(),
        (HEAD + LATE.format(3) + "WO-1,broken\n").encode(),
    ),
    "more.csv": ((HEAD + LATE.format(2).replace("APPR", "CAN")).encode(), b"x,y\n1,2\n"),
    "scope.csv": (SCOPE.encode(), SCOPE_WIDE.encode(), (SCOPE + SCOPE[-90:]).encode()),
    "scope2.csv": (SCOPE.replace("0.5", "0.7").encode(),),
    "logs/shift.log": (LOG.encode(), LOG.replace("R1 ", "R12 ").encode(), b"no stamp\n"),
}
QUESTIONS: Final = ("gas flow too low", "press ram grease", "cancelled by phone", "tcp robot arm")
_STEPS: Final = st.lists(
    st.sampled_from(
        [(name, i) for name, contents in FILES.items() for i in range(-1, len(contents))]
    ),
    min_size=1,
    max_size=5,
)


def _said(snapshot: Snapshot) -> dict[str, object]:
    """All that a reader can get out of a snapshot, but for its hashes and its lineage."""
    hits: dict[tuple[str, int], tuple[Hit, ...]] = {
        (text, now_ns): snapshot.search(
            Query(text=text, asset="r1", all_assets=i % 2 == 0, limit=20), now_ns=now_ns
        )
        for i, text in enumerate(QUESTIONS)
        for now_ns in (NOW_NS, NOW_NS + 9)
    }
    with closing(sqlite3.connect(snapshot.path / DATABASE)) as connection:
        tables = {
            table: connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()  # noqa: S608
            for table in ("document", "chunk", "proposal", "scope", "failure_mode", "sensor")
        }
        words = connection.execute(
            "SELECT rowid, bm25(passage) FROM passage WHERE passage MATCH 'gas OR flow OR r12'"
            " ORDER BY rowid"
        ).fetchall()
    return {
        "hits": repr(hits),
        "tables": tables,
        "words": words,
        "vectors": (snapshot.path / VECTORS).read_bytes(),
        "quarantined": snapshot.manifest.quarantined,
    }


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=_STEPS, again=st.booleans())
def test_updates_give_what_building_again_gives(
    steps: list[tuple[str, int]], *, again: bool
) -> None:
    """Any sequence of files that come, change and go; by one process or by one for each step."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        texts = write_texts(place / "texts")
        built, updated = place / "built", place / "updated"
        build(texts, built, now_ns=NOW_NS)
        shutil.copytree(built, updated)
        updater = Updater(updated)
        for k, (name, content) in enumerate(steps, 1):
            path = texts / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content < 0:
                path.unlink(missing_ok=True)
            else:
                path.write_bytes(FILES[name][content])
            build(texts, built, now_ns=NOW_NS + k)
            if again:
                updater.remember()
                updater.close()
                updater = Updater(updated)
            updater.update(now_ns=NOW_NS + k)
            with Snapshot.open(built) as full, Snapshot.open(updated) as amended:
                assert _said(amended) == _said(full)
        updater.close()


def test_what_has_not_changed_is_not_published(texts: Path, tmp_path: Path) -> None:
    """The snapshot keeps its hash, and only the file that changed is read again."""
    out = tmp_path / "out"
    before = build(texts, out, now_ns=NOW_NS)
    with closing(Updater(out)) as updater:
        assert updater.update(now_ns=NOW_NS + 1) is None
        (texts / "manuals/gas.md").write_text("# Gas\n\nOther words.\n")
        update = updater.update(now_ns=NOW_NS + 2)
    assert update is not None
    assert (update.before, update.after.parent) == (before, before.sha256)
    assert update.after.counts.embedded == 1


@pytest.mark.parametrize("replace", [False, True])
def test_a_file_that_cannot_be_read_changes_nothing(
    texts: Path, tmp_path: Path, *, replace: bool
) -> None:
    """Folder and snapshot stand as they were, whichever of the files it was."""
    out = tmp_path / "out"
    before = build(texts, out, now_ns=NOW_NS)
    held = {p: p.read_bytes() for p in texts.rglob("*") if p.is_file()}
    (tmp_path / "new").mkdir()
    name = "orders.csv" if replace else "o.csv"
    good, bad = tmp_path / "new" / ("scope.csv" if replace else "s.csv"), tmp_path / "new" / name
    good.write_text(SCOPE.replace("engineer", "somebody"))
    bad.write_text("x,y\n1,2\n")

    def attempt() -> None:
        with (
            closing(Updater(out)) as updater,
            changing(updater.source, now_ns=NOW_NS + 1) as change,
        ):
            updater.update(
                now_ns=NOW_NS + 1,
                change=lambda: change.put([good, bad], into="", replace=replace),
            )

    with pytest.raises(KnowledgeError, match=f"{name} cannot be read: .*known form"):
        attempt()
    assert {p: p.read_bytes() for p in texts.rglob("*") if p.is_file()} == held
    with Snapshot.open(out) as opened:
        assert opened.manifest == before


def test_nothing_leaves_the_folder_for_good(texts: Path, tmp_path: Path) -> None:
    """Known names are not added, unknown ones not updated, paths lead nowhere else."""
    new = tmp_path / "gas.md"
    new.write_text("# Gas\n\nNew.\n")
    with changing(texts, now_ns=NOW_NS) as change:
        assert change.put([new], into="", replace=True) == ("manuals/gas.md",)
        change.remove(["orders.csv"])
    kept = {p.name: p.read_text() for p in (texts / ".trash").rglob("*") if p.is_file()}
    assert kept == {"gas.md": GAS_MANUAL, "orders.csv": ORDERS}
    for into, replace, said in (
        ("manuals", False, "there already"),
        ("logs", True, "not there"),
        ("../..", True, "within"),
        (".hidden", False, "within"),
    ):
        with pytest.raises(KnowledgeError, match=said), changing(texts, now_ns=NOW_NS) as change:
            change.put([new], into=into, replace=replace)
    assert not (texts / ".hidden").exists()


def test_a_watcher_waits_for_what_is_being_written(texts: Path, tmp_path: Path) -> None:
    """A file that grows is left alone; a failure is said, survived and mended."""
    out = tmp_path / "out"
    build(texts, out, now_ns=NOW_NS)
    with closing(Updater(out)) as updater:
        watcher = Watcher(updater)
        assert watcher.look(now_s=0, now_ns=NOW_NS) is None
        assert watcher.look(now_s=1, now_ns=NOW_NS) is None
        assert watcher.settled
        for k in range(3):
            with (texts / "new.md").open("a") as file:
                file.write(f"# Part {k}\n\nSome words.\n")
            assert watcher.look(now_s=2 + k, now_ns=NOW_NS + 1) is None
            assert not watcher.settled
        update = watcher.look(now_s=6, now_ns=NOW_NS + 1)
        assert update is not None
        assert update.after.counts.documents == update.before.counts.documents + 1
        aside = tmp_path / "aside"
        texts.rename(aside)
        with pytest.raises(KnowledgeError):
            watcher.look(now_s=7, now_ns=NOW_NS + 2)
        aside.rename(texts)
        (texts / "new.md").unlink()
        updates = [watcher.look(now_s=8 + k, now_ns=NOW_NS + 2) for k in range(3)]
        assert [u is not None for u in updates] == [False, True, False]


def test_a_damaged_database_is_written_anew(texts: Path, tmp_path: Path) -> None:
    """What was damaged since it was opened gets into no other snapshot."""
    out = tmp_path / "out"
    build(texts, out, now_ns=NOW_NS)
    with closing(Updater(out)) as updater:
        assert updater.update(now_ns=NOW_NS) is None
        with closing(sqlite3.connect(out / DATABASE)) as connection:
            connection.execute("UPDATE document SET text = 'damaged'")
            connection.commit()
        (texts / "new.md").write_text("# New\n\nWords.\n")
        update = updater.update(now_ns=NOW_NS + 1)
    assert isinstance(update.after if update else None, Manifest)
    with Snapshot.open(out) as opened:
        assert "damaged" not in {opened.text(d.doc_id, d.revision) for d in opened.documents()}
