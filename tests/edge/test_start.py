"""A start of the gateway: what it loads before it scores, and what it makes ready behind that."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest

from andon.running import plain_run
from edge.bundles.store import BundleStore
from edge.gateway import world
from kb.errors import KnowledgeError
from kb.records import Query
from kb.retrieval import embed
from kb.retrieval.embed import Embedder
from kb.snapshots.build import build
from kb.snapshots.snapshot import Snapshot
from models.bundles.store import save
from models.errors import ModelError
from tests.edge.rig import bundle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOT_NEEDED: Final = frozenset(
    {
        "andon.front",
        "cryptography",
        "faiss",
        "numpy.ma",
        "pyarrow",
        "pydantic",
        "rich",
        "scipy.stats",
        "simulator",
        "tokenizers",
        "typer",
    }
)
CONFIG: Final = """\
site = "s"

[mqtt]
port = 1

[model]
bundle = "bundle"

[kb]
snapshot = "snapshot"
"""
OPEN: Final = """
import os, sys
from pathlib import Path

import andon
from edge.configuration.config import load
from edge.gateway.app import Gateway

gateway = Gateway(load(Path(sys.argv[1])))
gateway._restore()
gateway._assembly.engine
print(*sys.modules, flush=True)
os._exit(0)  # its threads have nothing to end
"""
THREADS: Final = """
import os, sys, andon
try:
    andon.main()
except SystemExit:
    import numpy
    print(os.environ["OMP_NUM_THREADS"], len(os.listdir("/proc/self/task")))
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A gateway's files, with knowledge."""
    save(bundle(), tmp_path / "bundle")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "gas.md").write_text("# Gas\n\nCheck the regulator of the gas line.\n")
    build(tmp_path / "texts", tmp_path / "snapshot", now_ns=1)
    (tmp_path / "gateway.toml").write_text(CONFIG)
    return tmp_path


def test_a_start_loads_nothing_that_its_first_score_can_spare(site: Path) -> None:
    """No searching, no keys, no command line: each takes a part of the first second."""
    done = subprocess.run(
        [sys.executable, "-c", OPEN, str(site / "gateway.toml")],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert "edge.engine" in loaded
    assert not loaded & NOT_NEEDED


@pytest.mark.parametrize(
    "arguments",
    [[], ["run"], ["run", "--help"], ["run", "gone.toml"], ["check", "here.toml"]],
)
def test_only_run_with_a_file_that_is_there_passes_typer_by(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Typer answers all else, and says what is wrong with it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.toml").write_text("")
    assert plain_run(arguments) is None
    assert plain_run(["run", "here.toml", "--log-json"]) is None
    assert plain_run(["run", "here.toml"]) is not None


@pytest.mark.parametrize("options", [[], ["--log-level", "info"]])
def test_a_start_without_typer_fails_as_one_with_it(options: list[str], tmp_path: Path) -> None:
    """The same line, the same code."""
    (tmp_path / "gateway.toml").write_text("site = 3\n")
    called = [sys.executable, "-m", "andon", "run", str(tmp_path / "gateway.toml"), *options]
    done = subprocess.run(called, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"andon: {tmp_path / 'gateway.toml'}: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("options", [[], ["--log-level", "info"]])
def test_a_gateway_has_no_pool_of_threads_unless_it_is_asked_for(
    options: list[str], tmp_path: Path
) -> None:
    """They wait by turning: a plant of a million values a second cost 1.6 cores, not 0.6."""
    (tmp_path / "gateway.toml").write_text(CONFIG)  # of a bundle that is not there
    called = [sys.executable, "-c", THREADS, "run", str(tmp_path / "gateway.toml"), *options]
    plain = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    told = [
        subprocess.run(called, capture_output=True, text=True, check=True, env=plain | more).stdout
        for more in ({}, {"OMP_NUM_THREADS": "1"}, {"OMP_NUM_THREADS": "2"})
    ]
    assert told[0] == told[1], "as many threads as with one of the pool"
    assert told[2].startswith("2 ")
    one_core = len(os.sched_getaffinity(0)) == 1
    assert one_core or told[2] != told[0].replace("1", "2", 1), "they can be told apart"


def test_whoever_asks_first_makes_the_text_model_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, also where several ask at the same time; each gets the whole vector."""
    made: list[bytes] = []
    real = embed._session

    def session(content: bytes) -> object:
        made.append(content)
        return real(content)

    monkeypatch.setattr(embed, "_session", session)
    model = Embedder()
    assert not made
    found: list[object] = []
    asking = [
        threading.Thread(target=lambda: found.append(model.embed("gas").tolist())) for _ in range(4)
    ]
    for one in asking:
        one.start()
    for one in asking:
        one.join()
    assert len(made) == 1
    assert found == [embed.shipped_embedder().embed("gas").tolist()] * 4
    assert not model._content, "23 MB that nobody needs twice"


def test_a_model_that_does_not_work_is_told_by_every_text() -> None:
    """As a failure of knowledge, not once and never again."""
    model = Embedder()
    model._content["model.onnx"] = b"nonsense"
    for _ in range(2):
        with pytest.raises(KnowledgeError, match="no ONNX model"):
            model.embed("gas")


def test_an_answer_is_the_same_whether_it_was_waited_for_or_not(site: Path) -> None:
    """A snapshot that was made ready answers as one whose first question made it so."""
    query = Query(text="the gas line", asset="", all_assets=True)
    with Snapshot.open(site / "snapshot") as cold, Snapshot.open(site / "snapshot") as warm:
        before = cold.index.matrix()
        warm.warm()
        first, second = cold.search(query, now_ns=2**62), warm.search(query, now_ns=2**62)
        assert first == second
        assert first
        np.testing.assert_array_equal(cold.index.matrix(), before)
        np.testing.assert_array_equal(cold.index.ids(), warm.index.ids())


def test_what_is_kept_is_what_was_loaded(tmp_path: Path) -> None:
    """A bundle that changes between the two is not kept under the hash of the first."""
    store = BundleStore(tmp_path / "kept", tmp_path / "bundle")
    save(bundle(), tmp_path / "bundle")
    place = store.keep(tmp_path / "bundle", loaded=bundle().sha256)
    assert (place / "manifest.json").is_file()
    with pytest.raises(ModelError, match="holds bundle"):
        store.keep(tmp_path / "bundle", loaded="0" * 64)
    (tmp_path / "bundle" / "model.onnx").write_bytes(b"changed")
    other = BundleStore(tmp_path / "others", tmp_path / "bundle")
    with pytest.raises(ModelError, match=r"model\.onnx"):
        other.keep(tmp_path / "bundle", loaded=bundle().sha256)
    assert not list((tmp_path / "others").glob("*"))


def test_what_is_made_ready_later_waits_for_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes when its time has; a process that ends before takes it back."""
    at_end: list[Callable[[], None]] = []
    monkeypatch.setattr("edge.gateway.world.atexit.register", at_end.append)
    monkeypatch.setattr(world, "WARM_S", 0.0)
    ready = threading.Event()
    world._later(ready.set)
    assert ready.wait(60.0)
    monkeypatch.setattr(world, "WARM_S", 3_600.0)
    before, called = set(threading.enumerate()), threading.Event()
    world._later(called.set)
    (waiting,) = set(threading.enumerate()) - before
    assert waiting.daemon
    at_end[-1]()
    waiting.join(60.0)
    assert not waiting.is_alive()
    assert not called.is_set()
