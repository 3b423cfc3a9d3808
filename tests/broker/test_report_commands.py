"""`andon report`: beside a real broker that retains jobs, and without one."""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING

import msgspec
import pytest
from pypdf import PdfReader
from typer.testing import CliRunner

import andon
from edge.brokers.endpoint import Endpoint
from edge.brokers.mqtt import Publisher
from edge.configuration.config import load
from edge.errors import ConfigError, JournalError
from edge.reports.asking import ask
from edge.wire.outgoing import JobPayload, JobsPayload
from tests.edge.alert_streams import keep, month_of

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

    from tests.broker.conftest import Mosquitto


def called(*arguments: str) -> Result:
    """Call the command line in this process."""
    return CliRunner().invoke(andon.app, ["report", *arguments])


def plant(tmp_path: Path, port: int) -> Path:
    """A gateway with ten days behind it."""
    (tmp_path / "state").mkdir()
    keep(month_of(1, days=10), tmp_path / "state" / "outbox.sqlite")
    path = tmp_path / "gateway.toml"
    path.write_text(
        f'site = "s"\n[model]\nbundle = "b"\n[mqtt]\nport = {port}\n'
        '[reports]\ntimezone = "Europe/Berlin"\n'
    )
    return path


def test_the_sheet_asks_the_broker(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """Proposals that are retained, and what health calls blind; nothing is published for it."""
    config = plant(tmp_path, mosquitto.port)
    job = JobPayload(
        job_id="p1", kind="calibration", instrument="FT-1", state="proposed", witness="",
        opened_by="", source="log", valid_from_ms=1_790_000_000_000, valid_to_ms=None,
        fuse_ms=None, scope=(), quotes=("Durchflussmessung prüfen",),
    )  # fmt: skip
    jobs = JobsPayload(asset="m1", ts_ms=1, jobs=(), proposals=(job,))
    over, retained = threading.Event(), threading.Event()

    def gateway() -> None:
        with Publisher(Endpoint(port=mosquitto.port)) as publisher:
            publisher.publish("andon/s/job/m1", msgspec.json.encode(jobs), retain=True)
            publisher.publish("andon/s/job/m2", b"not of ours", retain=True)
            retained.set()
            while not over.is_set():
                publisher.publish("andon/s/health", b'{"blind": ["m9"], "rate": 1}')
                over.wait(0.2)

    speaking = threading.Thread(target=gateway)
    speaking.start()
    try:
        assert retained.wait(20)
        now = ask(load(config))
        assert now.jobs == (jobs,)
        assert now.blind == ("m9",)
        out = tmp_path / "sheet.pdf"
        done = called(
            "handover", str(config), "-o", str(out), "--at", "2026-10-05T12:00", "--language", "de"
        )
    finally:
        over.set()
        speaking.join()
    assert done.exit_code == 0, done.output
    pages = PdfReader(io.BytesIO(out.read_bytes())).pages
    text = " ".join(" ".join(page.extract_text() for page in pages).split())
    assert "Durchflussmessung prüfen" in text
    assert "m9 keine Bewertung" in text


def test_the_month_by_the_suffix_of_its_file(mosquitto: Mosquitto, tmp_path: Path) -> None:
    """HTML and PDF; a suffix, month or outbox that is none is refused with words."""
    config = plant(tmp_path, mosquitto.port)
    for name in ("report.html", "report.pdf"):
        done = called("month", str(config), "--month", "2026-10", "-o", str(tmp_path / name))
        assert done.exit_code == 0, done.output
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    refused = called("month", str(config), "-o", str(tmp_path / "report.docx"))
    assert isinstance(refused.exception, ConfigError)
    mosquitto.stop()
    alone = called("handover", str(config), "-o", str(tmp_path / "h.html"))
    assert alone.exit_code == 0, alone.output
    assert "not on the sheet" in alone.output
    assert "no gateway was asked" in (tmp_path / "h.html").read_text()
    (tmp_path / "state" / "outbox.sqlite").unlink()
    (tmp_path / "state" / "reports.db").unlink()
    gone = called("month", str(config), "-o", str(tmp_path / "report.html"))
    with pytest.raises(JournalError, match="has run here"):
        raise gone.exception or AssertionError
