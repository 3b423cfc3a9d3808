"""A text model that cannot be loaded: who checks is told, and a gateway says so and goes on."""

from __future__ import annotations

import io
import logging
import threading
from typing import TYPE_CHECKING

from rich.console import Console

from edge.checks.check import check_file
from edge.gateway import world
from kb.errors import KnowledgeError
from kb.retrieval import embed
from kb.snapshots.build import build
from models.bundles.store import save
from simulator.broker import free_port
from tests.edge.rig import START, bundle

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

CAUSE = "the runtime here does not know this operator"


def broken(model: bytes) -> None:
    """In the place of `embed._session`."""
    raise KnowledgeError(f"{CAUSE} ({len(model)} bytes)")


def test_who_checks_is_told_of_a_text_model_that_cannot_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files and hashes are right, and it is a fault all the same: each question would fail."""
    save(bundle(), tmp_path / "bundle")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.md").write_text("# Nozzle\n\nClean it.\n", encoding="utf-8")
    build(tmp_path / "texts", tmp_path / "kb", now_ns=START)
    file = tmp_path / "gateway.toml"
    file.write_text(
        f'site = "s"\n[mqtt]\nport = {free_port()}\n[model]\nbundle = "bundle"\n'
        '[kb]\nsnapshot = "kb"\n',
        encoding="utf-8",
    )
    monkeypatch.setattr("edge.brokers.mqtt.CONNECT_S_MAX", 0.05)
    assert "FAULT knowledge" not in _checked(file)
    monkeypatch.setattr("kb.snapshots.snapshot.embedder_of", lambda _: embed.Embedder())
    monkeypatch.setattr(embed, "_session", broken)
    (told,) = (line for line in _checked(file).splitlines() if line.split()[1:2] == ["knowledge"])
    assert told.split()[0] == "FAULT"
    assert CAUSE in told


def _checked(file: Path) -> str:
    out = io.StringIO()
    check_file(file, console=Console(file=out, width=10_000))
    return out.getvalue()


def test_a_gateway_says_so_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What is made ready behind a start ends with a line in the log, not with a lost thread."""
    monkeypatch.setattr(world, "WARM_S", 0.0)
    with caplog.at_level(logging.ERROR, logger="andon"):
        world._later(lambda: broken(b""))
        for thread in threading.enumerate():
            if isinstance(thread, threading.Timer):
                thread.join(5.0)
    assert [record.message for record in caplog.records] == ["knowledge_not_ready"]
    assert CAUSE in caplog.text
