"""What an operator does on the page, in a real browser, against a real broker and gateway."""

from __future__ import annotations

import json
import shutil
import time
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.broker.cells import Cell, listener
from tests.broker.gateways import (
    GatewayProcess,
    Subscriber,
    newest_health,
    online,
    publish,
)
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Page

    from tests.broker.conftest import Mosquitto
    from tests.page.site import PageProcess, Watched

CHECKED_IN: Final = 1_308  # the message by which the calibration of r2 is checked in
QUIET: Final = 1_400  # messages after which it keeps an event quiet
RUNG: Final = 2_200  # and after which the fault within the calibration of r1 has rung
SETTINGS: Final = {"ANDON__ENGINE__SCORE_PUBLISH_S": "1", "ANDON__KB__SOURCE": "kb"}


@pytest.fixture
def plant(
    cell: Cell, mosquitto: Mosquitto, tmp_path: Path
) -> Iterator[tuple[Cell, Subscriber, GatewayProcess]]:
    """The weld cell with a gateway that takes log lines, in a folder that a test may change."""
    folder = tmp_path / "cell"
    shutil.copytree(cell.config.parent, folder)
    own = Cell(
        scenario=cell.scenario,
        config=folder / "gateway.toml",
        messages=cell.messages,
        opening=cell.opening,
    )
    gateway = own.gateway(mosquitto, tmp_path / "state", **SETTINGS)
    with listener(mosquitto, tmp_path / "heard") as heard, gateway:
        gateway.start()
        online(heard, gateway)
        yield own, heard, gateway
        gateway.stop()


def _feed(
    plant: tuple[Cell, Subscriber, GatewayProcess], broker: Mosquitto, begin: int, end: int
) -> None:
    """Replay messages, commands in their place: in a burst they would overtake the samples."""
    cell, heard, _ = plant
    cuts = [i for i in range(begin, end) if "/cmd/" in cell.messages[i].topic]
    for first, last in zip([begin, *cuts], [*cuts, end], strict=True):
        if first == last:
            continue
        publish(broker.port, cell.messages[first:last])
        reached_ms = cell.messages[last - 1].t_ns // 1_000_000 - 20_000

        def there(health: Any, t_ms: int = reached_ms) -> bool:  # noqa: ANN401 - as JSON has it
            return bool(health["plant_ms"] >= t_ms and not health["queue_depth"])

        newest_health(heard, there, what="the gateway being there")


def _shows_as_time_goes(
    page: Page, place: str, text: str, broker: Mosquitto, cell: Cell, left: list[int]
) -> None:
    """Wait for a text while the plant goes on: lists are told as its time passes.

    left: numbers of messages that are still to come, the next one first.
    """
    wanted = page.locator(place).filter(has_text=text).first

    def there() -> bool:
        if wanted.is_visible():
            return True
        publish(broker.port, [cell.messages[left.pop(0)]])
        page.wait_for_timeout(150)
        return False

    wait_until(there, seconds_max=60.0, what=f"{text} in {place}")


def _tell(capsys: pytest.CaptureFixture[str], what: str, begin_s: float) -> None:
    """A figure of this machine, to be read; no limit."""
    took_ms = round((time.monotonic() - begin_s) * 1000)
    with capsys.disabled():
        print(f"\noperator's page: {json.dumps({what: took_ms})}")  # noqa: T201 - a figure


def _text(page: Page, place: str) -> str:
    return page.locator(place).first.inner_text()


def _shows(page: Page, place: str, text: str) -> None:
    page.locator(place).filter(has_text=text).first.wait_for()


def test_a_spike_is_grey_and_rings_when_its_job_is_cancelled(
    plant: tuple[Cell, Subscriber, GatewayProcess],
    mosquitto: Mosquitto,
    page_of: Callable[[Path], PageProcess],
    watched: Watched,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The headline counts it, its card names job and end, and *Cancel job* lets it ring."""
    cell, _, _ = plant
    page = watched.open(page_of(cell.config).url)
    _feed(plant, mosquitto, 0, QUIET)
    card = ".card.suppressed .item"
    _shows(page, card, "r2")
    assert "Calibration" in _text(page, card)
    assert "until" in _text(page, f"{card} .end")
    _shows(page, "#alert .trend-note .since", "heard since")  # less than an hour ago
    _shows(page, "#n-without", "1 alert")
    assert _text(page, "#n-with") == "0"
    assert page.locator("#alerts .arow").count() == 0
    page.get_by_role("switch").check()
    _shows(page, "#alerts .arow", "would ring")
    page.get_by_role("switch").uncheck()
    begin_s = time.monotonic()
    page.locator(f"{card} [data-act=cancel]").click()
    publish(mosquitto.port, cell.messages[QUIET : QUIET + 6])
    _shows(page, "#alerts .arow", "r2")
    _tell(capsys, "cancelled_job_rings_ms", begin_s)
    page.locator(card).wait_for(state="detached")
    _shows(page, "#n-with", "1")


def test_a_log_line_is_confirmed_and_the_next_spike_is_grey(
    plant: tuple[Cell, Subscriber, GatewayProcess],
    mosquitto: Mosquitto,
    page_of: Callable[[Path], PageProcess],
    watched: Watched,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It proposes, one tap confirms, and what follows is kept quiet by the same detector."""
    cell, heard, _ = plant
    page = watched.open(page_of(cell.config).url)
    left = [i for i in range(CHECKED_IN - 250, QUIET) if i != CHECKED_IN]  # nobody checks it in
    _feed(plant, mosquitto, 0, left[0])
    _shows(page, ".strip [data-of=gateway]", "running")
    bundle = page.locator(".strip [data-of=model]").inner_text()
    page.locator("#log-form input[name=asset]").fill("r2")
    page.locator("#log-form input[name=text]").fill("start gas flow cal")
    page.locator("#log-form button[type=submit]").click()
    proposal = "[data-proposal]:has-text('start gas flow cal')"
    _shows_as_time_goes(page, proposal, "Calibration", mosquitto, cell, left)
    begin_s = time.monotonic()
    page.locator(proposal).locator("[data-act=confirm]").click()
    _shows_as_time_goes(page, ".card.open_work .item", "under way", mosquitto, cell, left)
    _tell(capsys, "confirmed_line_counts_ms", begin_s)
    publish(mosquitto.port, [cell.messages[i] for i in left])
    _shows(page, ".card.suppressed .item", "r2")
    _shows(page, "#n-without", "1 alert")
    assert _text(page, "#n-with") == "0"
    assert page.locator(".strip [data-of=model]").inner_text() == bundle
    assert all(message.body["decision"] == "SUPPRESSED" for message in heard.of("event"))


def test_an_alert_is_read_acknowledged_shelved_and_labelled(
    plant: tuple[Cell, Subscriber, GatewayProcess],
    mosquitto: Mosquitto,
    page_of: Callable[[Path], PageProcess],
    watched: Watched,
) -> None:
    """Value and usual range, what to check first, the passage in its document, and the answers."""
    cell, heard, _ = plant
    served = page_of(cell.config)
    page = watched.open(served.url)
    _feed(plant, mosquitto, 0, RUNG)
    _shows(page, "#alerts .arow", "r1")
    _shows(page, "#alert .title .asset", "r1")
    _shows(page, "#alert .value .now", "V")
    page.locator("#alert .checks li").first.wait_for()
    page.locator("#alert .trend canvas").wait_for()
    assert page.locator("#alert .shares li").count() > 2
    _follows_the_work(page)
    _reads_the_passage(page)
    page.locator("[data-act=ack]").click()
    _shows(page, "#alert .chip", "acknowledged")
    left = list(range(RUNG, RUNG + 150))
    _silences(page, mosquitto, cell, left)
    page.locator("[data-act=feedback]").click()
    page.locator("dialog input[value=real]").check()
    page.locator("dialog [data-act=do]").click()
    wait_until(lambda: _answered(heard, "feedback"), what="the answer to the feedback")
    page.locator("[data-act=oos]").click()
    page.locator("dialog input[name=owner]").fill("Maintenance B")
    page.locator("dialog input[name=reason]").fill("torch is out")
    page.locator("dialog [data-act=do]").click()
    out = ".card.out_of_service"
    _shows_as_time_goes(page, f"{out} .item", "Maintenance B", mosquitto, cell, left)
    page.locator(f"{out} [data-act=end-silence]").click()
    _shows_as_time_goes(page, f"{out} .none", "in service", mosquitto, cell, left)
    assert all(message.body["done"] for message in heard.of("cmd_result"))


def _answered(heard: Subscriber, command: str) -> bool:
    return any(one.body["command"] == command for one in heard.of("cmd_result"))


def _follows_the_work(page: Page) -> None:
    """On the line of time each job has a bar; its row below is a tap or a key away."""
    line = page.locator("#alert .timeline .lanes").bounding_box()
    bars = page.locator("#alert .timeline button.job")
    assert line is not None
    assert bars.count() >= 1
    for bar in bars.all():
        box = bar.bounding_box()
        assert box is not None
        assert line["x"] - 1 <= box["x"]
        assert box["x"] + box["width"] <= line["x"] + line["width"] + 1
        assert "UTC" in (bar.get_attribute("title") or "")
    job = bars.first.get_attribute("data-job")
    bars.first.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.dataset.work") == job
    assert page.locator("#alert .timeline .event").count() >= 1
    assert page.locator("#alert .timeline .here").is_visible()


def _reads_the_passage(page: Page) -> None:
    """A citation opens its document with the cited words marked."""
    quote = page.locator("#alert blockquote").first
    page.locator("#alert blockquote .src").first.click()
    marked = page.locator("dialog.paper mark")
    marked.wait_for()
    assert marked.inner_text() in quote.inner_text()
    page.locator("dialog.paper [data-act=leave]").click()
    page.locator("#open-search").click()
    page.locator("dialog.search input[name=q]").fill("wire feed slips")
    page.locator("dialog.search button[type=submit]").click()
    page.locator("dialog.search .hit").first.click()
    page.locator("dialog.paper mark").wait_for()
    page.locator("dialog.paper [data-act=leave]").click()
    page.keyboard.press("Escape")


def _silences(page: Page, broker: Mosquitto, cell: Cell, left: list[int]) -> None:
    """A shelved alert is listed as such, with its reason, and comes back by hand."""
    page.locator("#alert [data-act=shelve]").click()
    page.locator("dialog input[name=reason]").fill("waiting for the part")
    page.locator("dialog [data-act=do]").click()
    _shows_as_time_goes(page, ".card.shelved .item", "waiting for", broker, cell, left)
    page.locator("#alerts .arow").wait_for(state="detached")
    page.locator(".card.shelved [data-act=end-silence]").click()
    _shows_as_time_goes(page, "#alerts .arow", "r1", broker, cell, left)


def test_broker_gateway_and_page_come_back(
    plant: tuple[Cell, Subscriber, GatewayProcess],
    mosquitto: Mosquitto,
    page_of: Callable[[Path], PageProcess],
    watched: Watched,
) -> None:
    """What is away is said at once, and afterwards the picture is the one of before."""
    cell, heard, gateway = plant
    served = page_of(cell.config)
    page = watched.open(served.url)
    _feed(plant, mosquitto, 0, QUIET)
    _shows(page, ".card.suppressed .item", "r2")
    assert gateway.stop() == 0
    _shows(page, ".strip [data-of=gateway]", "stopped")
    gateway.start()
    online(heard, gateway, times=2)
    _shows(page, ".strip [data-of=gateway]", "running")
    mosquitto.stop()
    _shows(page, "#trouble", "broker is away")
    mosquitto.start()
    _shows(page, ".strip [data-of=broker]", "connected")
    served.stop()
    _shows(page, "#trouble", "lost its server")
    served.start()
    _shows(page, ".strip [data-of=gateway]", "running")
    _shows(page, "#n-without", "1 alert")  # counted from what the gateway keeps
    assert page.locator(".card.suppressed .item").count() == 1
