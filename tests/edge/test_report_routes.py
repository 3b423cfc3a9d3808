"""Reports on the page: behind the sign-in, as pages, parts and files."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import msgspec
import pytest
from pypdf import PdfReader

from edge.page.board import Board
from edge.reports.heard import heard_now
from edge.wire.outgoing import JobPayload, JobsPayload
from tests.edge.alert_streams import keep, month_of
from tests.edge.page_site import served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.edge.page_site import Site

PATHS = (
    "/handover",
    "/handover.html",
    "/handover.pdf",
    "/report/month",
    "/report/month.html",
    "/report/month.pdf",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A page beside an outbox of ten days."""
    base: Path = tmp_path_factory.mktemp("site")
    (base / "state").mkdir()
    keep(month_of(1, days=10), base / "state" / "outbox.sqlite")
    with served(base, site="s") as found:
        yield found


def test_nobody_reads_a_report_without_signing_in(site: Site) -> None:
    """Not the page, not its files."""
    for path in PATHS:
        assert site.browser().get(path).status_code == 401, path


def test_whoever_may_see_may_read(site: Site) -> None:
    """As a page without a style or script of its own, as one file, as PDF, and as a part."""
    client = site.known("vera")
    asked = {"month": "2026-10", "at": "2026-10-05T12:00", "language": "de"}
    for path in PATHS:
        found = client.get(path, params=asked)
        assert found.status_code == 200, (path, found.text)
        if path.endswith(".pdf"):
            words = PdfReader(io.BytesIO(found.content)).pages[0].extract_text()
            assert "bergabe" in words or "Alarmbericht" in words
            assert "attachment" in found.headers["content-disposition"]
        elif path.endswith(".html"):
            assert "<style>" in found.text
        else:
            assert "<style" not in found.text
            assert "style=" not in found.text
            assert "<script" not in found.text
            assert "unsafe" not in found.headers["content-security-policy"]
        assert found.headers["cache-control"] == "no-store"
    part = client.get("/handover", params={**asked, "part": "1"}).text
    assert part.startswith("<article")
    assert client.get("/report.css").headers["content-type"].startswith("text/css")


@pytest.mark.parametrize(
    ("path", "asked", "code"),
    [
        ("/report/month", {"month": "2026-99"}, 400),
        ("/report/month", {"language": "xx"}, 400),
        ("/handover", {"at": "<b>"}, 400),
        ("/handover", {"at": "9999-12-31T23:59-23:59"}, 400),
        ("/handover", {"at": "0001-01-01T00:00+14:00"}, 400),
        ("/handover.exe", {}, 404),
    ],
)
def test_what_is_asked_wrongly_is_told(
    site: Site, path: str, asked: dict[str, str], code: int
) -> None:
    """As JSON, which nothing takes for a page."""
    found = site.known("vera").get(path, params=asked)
    assert found.status_code == code
    assert found.headers["content-type"].startswith("application/json")


def test_what_the_page_has_heard_stands_on_the_sheet() -> None:
    """Jobs and blind assets as its board has them; before the first report of health, nothing."""
    board = Board()
    assert heard_now(board.rows(), blind=(), t_ms=5) is None
    job = JobPayload(
        job_id="p1", kind="calibration", instrument="", state="proposed", witness="",
        opened_by="", source="log", valid_from_ms=1, valid_to_ms=None, fuse_ms=None, scope=(),
        quotes=(),
    )  # fmt: skip
    said = JobsPayload(asset="m1", ts_ms=1, jobs=(), proposals=(job,))
    board.put("job/m1", msgspec.json.encode(said))
    board.put("health", msgspec.json.encode({"rate": 1}))
    now = heard_now(board.rows(), blind=("m2",), t_ms=5)
    assert now is not None
    assert (now.t_ms, now.jobs, now.blind) == (5, (said,), ("m2",))
