"""A cross-encoder from a directory puts hits into its own order; another text model searches."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final

import numpy as np
import onnx
import pytest
import tokenizers
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

import andon
from kb.errors import KnowledgeError
from kb.records import Query
from kb.retrieval.embed import Embedder, PairModel
from kb.retrieval.rerank import Reranker
from kb.snapshots.build import build
from kb.snapshots.snapshot import Snapshot
from tests.kb.conftest import NOW_NS, write_texts

if TYPE_CHECKING:
    from pathlib import Path

WORDS: Final = ("[UNK]", "[CLS]", "[SEP]", "spatter", "nozzle", "beam", "filter", "gauge")
WEIGHT: Final = {"spatter": 5.0, "beam": 1.0}  # what the little model likes in a text


def _tokenizer(place: Path) -> None:
    vocabulary = {word: i for i, word in enumerate(WORDS)}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.normalizer = tokenizers.normalizers.Lowercase()
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    made.enable_padding(length=64)  # a file may ask for it; no reader of ours obeys
    made.save(str(place / "tokenizer.json"))


def _save(place: Path, nodes: list[onnx.NodeProto], table: np.ndarray, out: list[int]) -> None:
    names = ["input_ids", "attention_mask", "token_type_ids"]
    used = [n for n in names if any(n in node.input for node in nodes)]
    graph = helper.make_graph(
        nodes,
        "little",
        [helper.make_tensor_value_info(n, TensorProto.INT64, ["b", "s"]) for n in used],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, out)],
        [numpy_helper.from_array(table, "table")],
    )
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(place / "model.onnx"))


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """A cross-encoder that adds up a weight of each word of the passage, not of the question."""
    place = tmp_path / "pairs"
    place.mkdir()
    _tokenizer(place)
    table = np.array([[WEIGHT.get(word, 0.0)] for word in WORDS], dtype=np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["each"]),  # (1, s, 1)
        helper.make_node("Cast", ["token_type_ids"], ["second"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["second", "axis"], ["column"]),
        helper.make_node("Mul", ["each", "column"], ["weighed"]),
        helper.make_node("ReduceSum", ["weighed", "one"], ["out"], keepdims=0),
    ]
    axes = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array([at])))
        for name, at in (("axis", 2), ("one", 1))
    ]
    _save(place, [*axes, *nodes], table, [1, 1])
    return place


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A text model of four numbers: how often each of the last words stands there, normalised."""
    place = tmp_path / "model"
    place.mkdir()
    _tokenizer(place)
    table = np.full((len(WORDS), 4), 0.01, dtype=np.float32)
    for k, word in enumerate(WORDS[-4:]):
        table[WORDS.index(word), k] = 1.0
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["each"]),
        helper.make_node("ReduceSum", ["each", "one"], ["whole"], keepdims=0),
        helper.make_node("LpNormalization", ["whole"], ["out"], axis=1, p=2),
    ]
    one = helper.make_node("Constant", [], ["one"], value=numpy_helper.from_array(np.array([1])))
    _save(place, [one, *nodes], table, [1, 4])
    files = {
        name: hashlib.sha256((place / name).read_bytes()).hexdigest()
        for name in ("model.onnx", "tokenizer.json")
    }
    manifest = {"format": 1, "name": "little", "dimension": 4, "files": files}
    (place / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return place


def test_the_passage_is_scored_with_its_question(pairs: Path) -> None:
    """Only words of the second text count here, so both parts reach the graph as they should."""
    scorer = PairModel(pairs)
    assert scorer.score("spatter spatter", "the nozzle") == 0.0
    assert scorer.score("nozzle", "spatter in the beam, spatter") == 11.0


def test_hits_come_in_the_order_of_the_model(snapshot: Snapshot, pairs: Path) -> None:
    """The same hits, best first; with a depth the rest keep their places; ties keep theirs."""
    question = "flow too low"
    found = snapshot.search(Query(text=question, all_assets=True, limit=9), now_ns=NOW_NS)
    reranker = Reranker.load(pairs)
    ordered = reranker.reordered(question, found, snapshot)
    assert len(found) >= 2
    assert {h.citation for h in ordered} == {h.citation for h in found}
    assert "spatter" in ordered[0].citation.quote
    assert list(ordered) == sorted(ordered, key=lambda h: -h.score)
    assert Reranker(PairModel(pairs), depth=0).reordered(question, found, snapshot) == found


def test_a_directory_that_is_no_cross_encoder_is_refused(tmp_path: Path, pairs: Path) -> None:
    """Missing, damaged, or of other inputs: with the file and the cause."""
    with pytest.raises(KnowledgeError, match=r"model\.onnx: cannot read"):
        PairModel(tmp_path)
    (pairs / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(KnowledgeError, match="no tokenizer"):
        PairModel(pairs)
    _tokenizer(pairs)
    (pairs / "model.onnx").write_bytes(b"no model")
    with pytest.raises(KnowledgeError, match="no ONNX model"):
        PairModel(pairs)


def test_another_text_model_builds_and_searches(tmp_path: Path, model: Path, pairs: Path) -> None:
    """Its own width and hash; opened without it, the snapshot says which one it wants."""
    texts = write_texts(tmp_path / "texts")
    out = tmp_path / "snapshot"
    called = CliRunner().invoke(
        andon.app, ["kb", "build", str(texts), "-o", str(out), "--embedder", str(model)]
    )
    assert called.exit_code == 0, called.output
    embedder = Embedder(model)
    assert embedder.embed("nozzle").shape == (4,)
    with Snapshot.open(out, embedder=embedder) as opened:
        assert opened.manifest.embedder_sha256 == embedder.sha256
        (first, *_) = opened.search(Query(text="nozzle", all_assets=True), now_ns=NOW_NS)
        assert "ozzle" in first.citation.quote
    with pytest.raises(KnowledgeError, match="another text model"):
        Snapshot.open(out)
    asked = ["ask", "is the nozzle blocked by spatter", "--snapshot", str(out)]
    asked += ["--embedder", str(model), "--reranker", str(pairs), "--at", "2026-03-03T00:00:00Z"]
    done = CliRunner().invoke(andon.app, asked)
    assert done.exit_code == 0, done.output
    assert "spatter" in done.output


def test_vectors_of_two_models_are_never_mixed(tmp_path: Path, model: Path) -> None:
    """A build with another model reuses nothing of the snapshot that it replaces."""
    texts, out = write_texts(tmp_path / "texts"), tmp_path / "snapshot"
    build(texts, out, now_ns=NOW_NS)
    manifest = build(texts, out, now_ns=NOW_NS, embedder=Embedder(model))
    assert manifest.counts.embedded == len(set(range(manifest.counts.vectors)))
    assert manifest.parent == ""


def test_a_model_that_is_not_what_its_manifest_says_is_refused(model: Path) -> None:
    """Of another width, or one vector a token."""
    file = model / "manifest.json"
    file.write_text(file.read_text("utf-8").replace('"dimension": 4', '"dimension": 5'), "utf-8")
    with pytest.raises(KnowledgeError, match="no vector of the manifest's 5"):
        Embedder(model)
