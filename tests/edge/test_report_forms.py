"""Reports as people see them: pages and PDFs, words, times."""

from __future__ import annotations

import io
import re
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from pypdf import PdfReader

from edge.errors import ConfigError
from edge.reports.document import Local
from edge.reports.html import fragment, html_file, nice
from edge.reports.life import events_of
from edge.reports.making import Making, moment_ms
from edge.reports.month import Rules, month, percentile
from edge.reports.words import ENGLISH, GERMAN
from tests.edge.alert_streams import DAY_MS, MESSAGES, OCTOBER_MS, alert, month_of, site

if TYPE_CHECKING:
    from pathlib import Path

DAYS = [OCTOBER_MS + n * DAY_MS for n in range(32)]


# --- forms ---


def test_no_text_of_a_plant_becomes_markup(tmp_path: Path) -> None:
    """Messages, assets and reasons come out as text, in the page and in the file."""
    hostile = "<script>alert(1)</script>"
    told = [
        alert(t_ms=OCTOBER_MS + 1_000, asset=hostile.replace("/", "|"), begin_ms=OCTOBER_MS,
              revision=1, state="ACTIVE_UNACK", message=message)
        for message in (*MESSAGES, f'"><img src=x onerror="{hostile}">')[1:2]
    ]  # fmt: skip
    config = site(tmp_path, told)
    making = Making(config)
    for document in (making.handover(at_ms=OCTOBER_MS + 9_000), making.month("2026-10")):
        text = html_file(document)
        assert "<script" not in text
        assert "<img" not in text
        assert "&lt;script&gt;" in text
        assert "http" not in text
        pdf = PdfReader(io.BytesIO(making.written(document, ".pdf")))
        words = "".join(page.extract_text() for page in pdf.pages).replace("\n", "")
        assert "<script>alert(1)<|script>" in words


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_pdf_says_all_in_pages_that_are_numbered(tmp_path: Path, language: str) -> None:
    """Umlauts are letters, long words are broken and not cut off, tables repeat their heads."""
    config = site(tmp_path, month_of(6, a_day=60))
    making = Making(config, language=language)
    words = ENGLISH if language == "en" else GERMAN
    pdf = PdfReader(io.BytesIO(making.written(making.month("2026-10"), ".pdf")))
    pages = [page.extract_text() for page in pdf.pages]
    text = " ".join(" ".join(pages).split())
    for key in ("month", "actors", "answered", "avoided_f", "median_f", "priorities"):
        assert words[key] in text, key
    for number, page in enumerate(pages, 1):
        assert words["page"].format(n=number, all=len(pages)) in page
    sheet = PdfReader(
        io.BytesIO(making.written(making.handover(at_ms=OCTOBER_MS + 9 * DAY_MS), ".pdf"))
    )
    joined = "".join("".join(page.extract_text() for page in sheet.pages).split())
    assert words["signature"].split("_")[0].strip().replace(" ", "") in joined
    for one in sheet.pages:
        width = float(one.mediabox.width)
        spots: list[float] = []

        def seen(
            text: str, _c: object, at: list[float], *_: object, to: list[float] = spots
        ) -> None:
            to.append(at[4] if text.strip() else 0.0)

        one.extract_text(visitor_text=seen)
        assert 0 < max(spots) < width - 40


def test_a_long_sheet_breaks_into_pages(tmp_path: Path) -> None:
    """Hundreds of alerts in one shift: each is there once, umlauts and all."""
    told = [
        alert(t_ms=OCTOBER_MS + n * 1_000, asset=f"Prüfstand {n:03}", begin_ms=OCTOBER_MS,
              revision=1, state="ACTIVE_UNACK", message=MESSAGES[n % 5])
        for n in range(300)
    ]  # fmt: skip
    making = Making(site(tmp_path, told), language="de")
    pdf = PdfReader(
        io.BytesIO(making.written(making.handover(at_ms=OCTOBER_MS + DAY_MS // 4), ".pdf"))
    )
    assert len(pdf.pages) > 10
    text = " ".join(" ".join(page.extract_text() for page in pdf.pages).split())
    found = re.findall(r"Prüfstand (\d{3})", text)
    assert sorted(found) == [f"{n:03}" for n in range(300)]
    assert text.count("4,2 µm statt 0,8 bis 1,9 µm") == 60


# --- times and words ---


def test_months_are_those_of_the_zone(tmp_path: Path) -> None:
    """October begins in Berlin, has a day of 25 hours, and ends where the newest word is."""
    making = Making(site(tmp_path, month_of(0, days=2)))
    days = making.days_of("2026-10", OCTOBER_MS + 99 * DAY_MS)
    assert days[0] == OCTOBER_MS
    assert len(days) == 32
    lengths = {b - a for a, b in pairwise(days)}
    assert lengths == {DAY_MS, DAY_MS + 3_600_000}
    assert making.days_of("2026-10", OCTOBER_MS + 5)[-2:] == [OCTOBER_MS, OCTOBER_MS + 6]
    for wrong in ("2026-13", "October", "2026-1", "2026-12"):
        with pytest.raises(ConfigError, match="--month"):
            making.days_of(wrong, OCTOBER_MS + 5)
    assert moment_ms("2026-10-01T00:00", making.local) == OCTOBER_MS
    assert moment_ms("2026-10-01T00:00+00:00", making.local) == OCTOBER_MS + 2 * 3_600_000
    with pytest.raises(ConfigError, match="--at"):
        moment_ms("noon", making.local)


def test_all_languages_have_all_words() -> None:
    """With the same values in them."""
    assert set(ENGLISH) == set(GERMAN)
    for key, phrase in ENGLISH.items():
        assert set(re.findall(r"{\w+}", phrase)) == set(re.findall(r"{\w+}", GERMAN[key])), key


def test_spans_and_axes() -> None:
    """As people write them."""
    local = Local(zone=None, language="de")
    ms = [9_000, 61_000, 600_000, 3_660_000, 7_200_000, 2 * DAY_MS, 2 * DAY_MS + 3_600_000]
    assert [local.span(one) for one in ms] == [
        "9 s", "1 min 1 s", "10 min", "1 h 1 min", "2 h", "2 d", "2 d 1 h",
    ]  # fmt: skip
    assert local.number(1234.56) == "1.234,6"
    assert [nice(x) for x in (0, 1, 1.1, 7, 11, 45, 999)] == [1, 1, 2, 8, 20, 50, 1000]
    assert [percentile([1, 2, 3, 4], p) for p in (50, 90, 100)] == [2, 4, 4]
    assert percentile([], 50) is None


def test_nothing_happened(tmp_path: Path) -> None:
    """Both reports of an empty outbox are whole."""
    making = Making(site(tmp_path, []))
    found = month([], days=DAYS, positions={}, rules=Rules())
    assert (found.everywhere.rings, found.events, found.ack_median_ms) == (0, 0, None)
    assert events_of([]) == []
    for form in (".html", ".pdf"):
        assert making.written(making.month("2026-10"), form)
        assert making.written(making.handover(at_ms=OCTOBER_MS), form)
    with pytest.raises(ConfigError, match="ends with"):
        making.check_form(".docx")


def test_the_words_of_a_plant_are_told_in_the_language_and_times_in_utc(tmp_path: Path) -> None:
    """Severity, track and time of a sheet in German; the pointer finds the time of UTC."""
    told = [
        alert(
            t_ms=OCTOBER_MS + 60_000,
            asset="m1",
            begin_ms=OCTOBER_MS + 60_000,
            revision=1,
            state="ACTIVE_UNACK",
            track="comms",
            severity=("HIGH", 2),
        )
    ]
    making = Making(site(tmp_path, told), language="de")
    page = fragment(making.handover(at_ms=OCTOBER_MS + 120_000))
    assert "<td>hoch</td>" in page
    assert "m1 Verbindung" in page
    assert '<span title="2026-09-30 22:01:00 UTC">01.10. 00:01</span>' in page
