"""Hostile words in every place that a page shows, and a thousand assets; without a gateway."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest

from edge.wire.outgoing import (
    CitationPayload,
    ContributionPayload,
    ScorePayload,
    SentencePayload,
)
from kb.snapshots.build import build
from tests.broker import plants
from tests.page.said import T0_MS, alert, event_of, health, jobs, quiet
from tests.page.site import say

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page

    from tests.broker.conftest import Mosquitto
    from tests.page.site import PageProcess, Watched

ATTACKS: Final = (
    "<script>window.broken=1</script>",
    "<img src=x onerror=window.broken=1>",
    '"><svg onload=window.broken=1>',
    "'-window.broken=1-'",
    "</pre></dialog><iframe srcdoc='<script>parent.broken=1</script>'></iframe>",
    "<a href=javascript:window.broken=1>x</a>",
    "{{constructor.constructor('window.broken=1')()}}",
    "&lt;b&gt;${window.broken=1}",
    "<style>*{display:none}</style>",
    "\u202e<b>\u2066",
)
ASSETS: Final = 1_000
ROWS_MAX: Final = 60  # of a list, in the page
HEAP_MB_MAX: Final = 80


def _nothing_ran(page: Page) -> None:
    """No word has become an element, a handler or a script that ran."""
    assert page.evaluate("window.broken === undefined")
    found = (
        "document.querySelectorAll('svg, iframe, style, img[onerror], script:not([src])').length"
    )
    assert page.evaluate(found) == 0
    assert page.evaluate("[...document.links].every((a) => !a.href.startsWith('javascript'))")


@pytest.mark.parametrize("attack", ATTACKS)
def test_words_stay_words_wherever_they_come_from(
    attack: str,
    mosquitto: Mosquitto,
    tmp_path: Path,
    page_of: Callable[[Path], PageProcess],
    watched: Watched,
) -> None:
    """Asset names, messages, log lines, quotes and documents: shown as they are, never run."""
    folder = tmp_path / "kb"
    folder.mkdir()
    line = f"Look at the flow. {attack} Then close the valve."
    (folder / "manual.md").write_text(f"# Manual {attack}\n\n{line}\n", encoding="utf-8")
    build(folder, tmp_path / "snapshot", now_ns=T0_MS * 1_000_000)
    config = plants.settings(tmp_path, kb={"snapshot": "snapshot"})
    asset = attack.replace("/", "|").replace("+", "p").replace("#", "h").strip()[:60]
    asset = asset if asset.isprintable() else "r1"
    rang = alert(asset, message=f"{asset}: {attack}", top_channel=attack, top_unit=attack[:20])
    citation = CitationPayload(
        doc_id="manual.md", revision="", chunk_id="1", start=0, end=9, sha256="", quote=attack
    )
    sentence = SentencePayload(role="check_first", text=attack, citation=citation, quoted=(attack,))
    share = ContributionPayload(
        channel=attack,
        unit=attack,
        share=1.0,
        value=1.0,
        usual_low=0.0,
        usual_high=2.0,
        direction="high",
    )
    event = event_of(rang, explanation=[sentence], contributions=[share])
    still = quiet("r2", number=2, message=f"Expected (x): r2: {attack}", job_id=attack)
    told = (rang, event, still, event_of(still), health(T0_MS + 200_000))
    served = page_of(config)
    page = watched.open(served.url)
    say(mosquitto, *told, jobs(asset, proposals=2, quote=attack, instrument=attack))
    page.locator("#alerts .arow").first.wait_for()
    page.locator("#alert .checks li").first.wait_for()
    page.locator(".card.to_confirm q").first.wait_for()
    page.locator(".card.suppressed .item").first.wait_for()
    assert attack in (page.locator("#alert .checks li").first.text_content() or "")
    bar = page.locator("#alert .timeline button.job").first
    assert attack in (bar.text_content() or "")
    assert attack in (bar.get_attribute("title") or "")
    assert attack in (page.locator(".card.to_confirm q").first.text_content() or "")
    _nothing_ran(page)
    page.locator("#open-search").click()
    page.locator("dialog.search input[name=q]").fill("close the valve at the flow")
    page.locator("dialog.search button[type=submit]").click()
    page.locator("dialog.search .hit").first.click()
    page.locator("dialog.paper mark").wait_for()
    _nothing_ran(page)


def test_a_job_that_opens_within_the_time_it_was_planned_in_is_under_way(
    mosquitto: Mosquitto, tmp_path: Path, page_of: Callable[[Path], PageProcess], watched: Watched
) -> None:
    """Two words of one plant time, of which only the state differs."""
    page = watched.open(page_of(plants.settings(tmp_path)).url)
    said = jobs("r1", proposals=1)
    for state, words in (("scheduled", "planned"), ("open", "under way")):
        job = msgspec.structs.replace(said.proposals[0], state=state)
        say(mosquitto, health(), msgspec.structs.replace(said, jobs=(job,), proposals=()))
        page.locator(".card.open_work .item").filter(has_text=words).wait_for()
        assert page.locator(".card.open_work .item").count() == 1


def test_a_policy_bars_scripts_and_addresses_of_others(
    mosquitto: Mosquitto, tmp_path: Path, page_of: Callable[[Path], PageProcess], watched: Watched
) -> None:
    """Even a script that got in would reach nobody."""
    assert mosquitto.port
    served = page_of(plants.settings(tmp_path))
    page = watched.open(served.url)
    policy = page.request.get(served.url).headers["content-security-policy"]
    assert "connect-src 'self'" in policy
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    sent = page.evaluate("fetch('http://192.0.2.1/').then(() => 'sent', () => 'barred')")
    assert sent == "barred"
    watched.elsewhere.clear()  # what we have just tried ourselves, and the browser did not send
    watched.wrong.clear()


def _figures(page: Page) -> dict[str, Any]:
    """Heap and elements of a page."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    session.send("Performance.enable")
    told = session.send("Performance.getMetrics")["metrics"]
    metrics = {one["name"]: one["value"] for one in told}
    return {"heap_mb": metrics["JSHeapUsedSize"] / 1e6, "nodes": int(metrics["Nodes"])}


def test_a_thousand_assets_cost_what_is_in_view(
    mosquitto: Mosquitto,
    tmp_path: Path,
    page_of: Callable[[Path], PageProcess],
    watched: Watched,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """All are listed, the rows in view are in the page, and its memory is bounded."""
    served = page_of(plants.settings(tmp_path))
    names = [f"line{i % 20:02}-{i:04}" for i in range(ASSETS)]
    rang = [alert(name, number=1 + i % 300, priority=1 + i % 4) for i, name in enumerate(names)]
    scores = [ScorePayload(asset=n, ts_ms=T0_MS, score=1.0, threshold=5.0) for n in names]
    lists = [jobs(name, proposals=1) for name in names]
    say(mosquitto, *rang, *scores, *lists, health(T0_MS + 20_000_000))
    page = watched.open(served.url)
    full = page.locator("#alerts .count").filter(has_text=str(ASSETS))
    full.wait_for()
    page.locator("#alerts .arow").first.click()
    page.locator("#alert .title .asset").wait_for()
    interactive_ms = page.evaluate("performance.now()")
    assert 0 < page.locator("#alerts .arow").count() <= ROWS_MAX
    page.locator("#alerts .rows").evaluate("(list) => { list.scrollTop = list.scrollHeight; }")
    page.locator(f"#alerts .row[aria-posinset='{ASSETS}']").wait_for()
    assert page.locator("#alerts .arow").count() <= ROWS_MAX
    for revision in range(2, 6):  # and it goes on
        again = [alert(n, number=1 + i % 300, revision=revision) for i, n in enumerate(names)]
        say(mosquitto, *again)
    figures = _figures(page)
    told = {"assets": ASSETS, "interactive_ms": round(interactive_ms), **figures}
    with capsys.disabled():
        print(f"\noperator's page: {json.dumps(told)}")  # noqa: T201 - figures, not limits
    assert figures["heap_mb"] < HEAP_MB_MAX
