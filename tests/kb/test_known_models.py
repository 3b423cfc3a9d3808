"""A snapshot that was built with another text model opens wherever that model was made known."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

import andon
from edge.configuration.config import load
from edge.errors import ConfigError
from kb.errors import KnowledgeError
from kb.records import Query
from kb.retrieval import embed
from kb.retrieval.embed import Embedder, PairModel, make_known, shipped_embedder, shipped_model
from kb.snapshots.build import build
from kb.snapshots.snapshot import Snapshot
from tests.kb.conftest import NOW_NS, write_texts
from tests.kb.test_rerank import model, pairs

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["model", "pairs"]  # fixtures: a little text model, a little cross-encoder

GATEWAY = """
site = "plant"
[model]
bundle = "bundle"
[kb]
snapshot = "snapshot"
embedder = "{embedder}"
[[asset]]
id = "r1"
"""


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embed, "_KNOWN", {})


@pytest.fixture
def snapshot(tmp_path: Path, model: Path) -> Path:
    """Built with the little model."""
    out = tmp_path / "snapshot"
    build(write_texts(tmp_path / "texts"), out, now_ns=NOW_NS, embedder=Embedder(model))
    return out


def test_a_known_model_opens_its_snapshots_and_no_others(snapshot: Path, model: Path) -> None:
    """Those of the shipped model open as before; by identity, not by what was named last."""
    build(snapshot.with_name("texts"), plain := snapshot.with_name("plain"), now_ns=NOW_NS)
    with pytest.raises(KnowledgeError, match="--embedder"):
        Snapshot.open(snapshot)
    make_known(model)
    with Snapshot.open(snapshot) as one, Snapshot.open(plain) as other:
        assert one.embedder.sha256 == Embedder(model).sha256
        assert other.embedder is shipped_embedder()


def test_a_model_that_changed_since_it_was_made_known_opens_nothing(
    snapshot: Path, model: Path
) -> None:
    """Its files are checked when it is loaded."""
    moved = shutil.copytree(model, model.with_name("moved"))
    make_known(moved)
    (moved / "model.onnx").write_bytes(b"another")
    with pytest.raises(KnowledgeError, match="hash differs"):
        Snapshot.open(snapshot)


def test_every_command_on_a_snapshot_takes_its_model(
    snapshot: Path, model: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also those that publish the next one: it is of the same model."""
    new = tmp_path / "hose.md"
    new.write_text("# Hose package\n\nChange the hose package when its cover is cracked.\n")
    calls = (
        ["search", "nozzle blocked by spatter", "--reranker", str(pairs)],
        ["show", "MAN-GAS"],
        ["proposals"],
        ["add", str(new)],
        ["remove", "MAN-ARM"],
        ["watch", "--once"],
    )
    for call in calls:
        monkeypatch.setattr(embed, "_KNOWN", {})
        arguments = ["kb", *call, "--snapshot", str(snapshot)]
        refused = CliRunner().invoke(andon.app, arguments)
        assert isinstance(refused.exception, KnowledgeError), call
        done = CliRunner().invoke(andon.app, [*arguments, "--embedder", str(model)])
        assert done.exit_code == 0, (call, done.output, done.exception)
    with Snapshot.open(snapshot, embedder=Embedder(model)) as opened:
        listed = {document.doc_id for document in opened.documents()}
    assert "hose.md" in listed
    assert "MAN-ARM" not in listed


def test_a_reranker_decides_the_order_of_a_search(snapshot: Path, model: Path, pairs: Path) -> None:
    """It reads more than are listed: of all that is found, the one that it likes best comes."""
    scorer = PairModel(pairs)
    moved = 0
    for text in ("nozzle", "ring main", "gas flow and nozzle", "pressure gauge", "beam"):
        query = Query(text=text, all_assets=True, limit=20)
        with Snapshot.open(snapshot, embedder=Embedder(model)) as opened:
            hits = opened.search(query, now_ns=NOW_NS)
            chunks = [opened.chunk(hit.citation.chunk_id) for hit in hits]
        scores = [scorer.score(text, f"{c.title} > {c.section}\n{c.text}") for c in chunks]
        best = {c.chunk_id for c, score in zip(chunks, scores, strict=True) if score == max(scores)}
        arguments = ["kb", "search", text, "--snapshot", str(snapshot), "--limit", "1"]
        arguments += ["--embedder", str(model), "--at", "2026-03-03T01:06:40Z"]
        done = CliRunner().invoke(andon.app, [*arguments, "--reranker", str(pairs)])
        assert any(str(chunk_id) in done.output for chunk_id in best), text
        moved += chunks[0].chunk_id not in best
    assert moved


def test_a_gateway_names_the_model_of_its_snapshot(snapshot: Path, model: Path) -> None:
    """Read with the configuration; a directory without a model is an error that names the key."""
    file = snapshot.with_name("gateway.toml")
    file.write_text(GATEWAY.format(embedder=model))
    load(file)
    with Snapshot.open(snapshot) as opened:
        assert opened.embedder.sha256 == Embedder(model).sha256
    file.write_text(GATEWAY.format(embedder=shipped_model()))
    load(file)
    file.write_text(GATEWAY.format(embedder="nowhere"))
    with pytest.raises(ConfigError, match=r"\[kb\] embedder"):
        load(file)
