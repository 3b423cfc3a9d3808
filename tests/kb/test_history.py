"""A replaced snapshot is kept under its hash, and the oldest go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kb.errors import KnowledgeError
from kb.snapshots import history
from kb.snapshots.build import build
from kb.snapshots.history import kept_name
from kb.snapshots.snapshot import Snapshot
from tests.kb.conftest import NOW_NS

if TYPE_CHECKING:
    from pathlib import Path


def _small(tmp_path: Path) -> Path:
    source = tmp_path / "texts"
    source.mkdir()
    (source / "a.md").write_text("# Gas\n\nShort text.")
    return source


def test_what_an_alert_names_can_be_opened_and_put_back(tmp_path: Path) -> None:
    """The old snapshot stands beside the new one; renaming goes back."""
    source, out = _small(tmp_path), tmp_path / "current"
    first = build(source, out, now_ns=NOW_NS)
    second = build(source, out, now_ns=NOW_NS + 1)
    kept = kept_name(out, first.sha256)
    assert kept.name == f"current.{first.sha256[:12]}"
    with Snapshot.open(kept) as old, Snapshot.open(out) as new:
        assert (old.sha256, new.sha256) == (first.sha256, second.sha256)
    out.rename(kept_name(out, second.sha256))
    kept.rename(out)
    build(source, out, now_ns=NOW_NS + 2)
    names = sorted(p.name for p in tmp_path.glob("current.*"))
    assert names == sorted(f"current.{m.sha256[:12]}" for m in (first, second))


def test_the_oldest_go_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most KEPT_MAX stay, by when they were made; what only looks like one is left alone."""
    monkeypatch.setattr(history, "KEPT_MAX", 2)
    source, out = _small(tmp_path), tmp_path / "current"
    (tmp_path / "current.0123456789ab").mkdir()
    made = [build(source, out, now_ns=NOW_NS + i) for i in range(5)]
    names = {p.name for p in tmp_path.glob("current*")}
    wanted = {kept_name(out, m.sha256).name for m in made[2:4]}
    assert names == {"current", "current.0123456789ab"} | wanted


def test_a_snapshot_that_cannot_be_kept_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old one is put back rather than lost."""
    source, out = _small(tmp_path), tmp_path / "current"
    first = build(source, out, now_ns=NOW_NS)
    long = tmp_path / ("x" * 300)
    monkeypatch.setattr(history, "kept_name", lambda *_: long)
    with pytest.raises(KnowledgeError):
        build(source, out, now_ns=NOW_NS + 1)
    with Snapshot.open(out) as opened:
        assert opened.sha256 == first.sha256
    assert sorted(p.name for p in tmp_path.iterdir()) == ["current", "texts"]
