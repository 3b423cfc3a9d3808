"""What stands on the page is how it is: later words, lost words, other hands, keys and clocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edge.page.accounts import Accounts
from edge.records import Publish
from edge.storage.outbox import Outbox
from edge.wire.outgoing import JobsPayload, SilencePayload
from kb.snapshots.build import build
from tests.broker import plants
from tests.edge.page_site import PASSWORD, PEOPLE
from tests.page.said import T0_MS, alert, event_of, group_of, health, jobs, message, quiet
from tests.page.site import Watched, say
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Browser

    from edge.wire.outgoing import AlertPayload
    from tests.broker.conftest import Mosquitto
    from tests.page.site import PageProcess

SCOPES = """\
kind,asset,instrument,channels,expected_effect,duration_min_max,settle_s,approved_by,approved_at
calibration,r1,gas,Flow,0.5,60,240,engineer,2026-01-15T08:00:00+01:00
calibration,r1,power,Voltage,0.5,60,240,engineer,2026-01-15T08:00:00+01:00
"""
OVER = {"state": "NORMAL", "active": 0}


def _kept(said: AlertPayload, state: Path) -> None:
    """A revision in the outbox that the page reads, as the gateway leaves it."""
    state.mkdir(exist_ok=True)
    outbox = Outbox(state / "outbox.sqlite")
    topic, payload = message(event_of(said))
    key = (said.id, said.revision)
    outbox.put([Publish(topic=topic, payload=payload, qos=1, retain=False, key=key)])
    outbox.close()


def test_what_is_over_is_not_offered_to_be_acknowledged(
    mosquitto: Mosquitto, tmp_path: Path, page_of: Callable[[Path], PageProcess], watched: Watched
) -> None:
    """Whoever looks at an alert sees its end, though no list has it any more."""
    page = watched.open(page_of(plants.settings(tmp_path)).url)
    rang = alert("r1")
    say(mosquitto, health(), rang, event_of(rang), alert("r2", number=2))
    page.locator("#alerts .arow", has_text="r1").click()
    page.locator("#alert [data-act=ack]").wait_for()
    over = alert("r1", number=1, revision=2, **OVER)
    say(mosquitto, over)
    page.locator("#alert .chip", has_text="normal").wait_for()
    assert page.locator("#alert [data-act=ack]").count() == 0
    turn = {"revision": 2, "ts_ms": over.ts_ms, "state": "NORMAL", "decision": "", "reason": "gone"}
    say(mosquitto, event_of(over, history=[turn]))  # and what was said of it after that
    page.locator("#alert details", has_text="gone").wait_for(state="attached")


def test_what_somebody_has_chosen_stays_chosen(
    mosquitto: Mosquitto, tmp_path: Path, page_of: Callable[[Path], PageProcess], watched: Watched
) -> None:
    """A proposal is confirmed for the instrument that was picked, whatever comes meanwhile."""
    (tmp_path / "kb").mkdir()
    (tmp_path / "kb" / "scope.csv").write_text(SCOPES, encoding="utf-8")
    build(tmp_path / "kb", tmp_path / "snapshot", now_ns=T0_MS * 1_000_000)
    page = watched.open(page_of(plants.settings(tmp_path, kb={"snapshot": "snapshot"})).url)
    say(mosquitto, health(T0_MS + 1_000), jobs("r1", proposals=1, instrument=""))
    picked = page.locator("[data-proposal=r1-p0] select")
    picked.select_option("power")
    picked.focus()
    say(mosquitto, jobs("a1", proposals=1), alert("r2"), health(T0_MS + 120_000))
    page.locator("[data-proposal=a1-p0] [data-act=confirm]").wait_for()
    assert picked.input_value() == "power"
    assert page.evaluate("document.activeElement.name") == "instrument"
    say(mosquitto, jobs("r1", ts_ms=T0_MS + 1, proposals=0))
    page.locator("[data-proposal=r1-p0]").wait_for(state="detached")
    assert page.locator("[data-proposal=a1-p0]").count() == 1


def test_a_key_stays_where_it_was_when_an_alert_goes_on(
    mosquitto: Mosquitto, tmp_path: Path, page_of: Callable[[Path], PageProcess], watched: Watched
) -> None:
    """A new revision takes the focus from nobody, neither on a button nor in the text."""
    page = watched.open(page_of(plants.settings(tmp_path)).url)
    for revision, place in ((1, "[data-act=shelve]"), (3, "summary")):
        for one in (revision, revision + 1):
            turn = {"revision": 1, "ts_ms": T0_MS, "state": "NORMAL", "decision": "", "reason": "x"}
            said = alert("r1", revision=one, message=f"r1: revision {one}")
            say(mosquitto, health(), said, event_of(said, history=[turn]))
            page.locator("#alert h2", has_text=f"revision {one}").wait_for()
            if one == revision:
                page.locator(f"#alert {place}").first.focus()
        there = f"document.activeElement === document.querySelector('#alert {place}')"
        assert page.evaluate(there), place


def test_what_rang_while_the_broker_was_away_is_counted(
    mosquitto: Mosquitto, tmp_path: Path, page_of: Callable[[Path], PageProcess], watched: Watched
) -> None:
    """Events are not retained: what began and ended meanwhile is in the outbox alone."""
    page = watched.open(page_of(plants.settings(tmp_path)).url)
    rang = alert("r1")
    say(mosquitto, health(), rang, event_of(rang))
    page.locator("#n-without", has_text="1 alert").wait_for()
    page.locator("#alerts .arow", has_text="r1").click()
    page.locator("#alert .title", has_text="r1").wait_for()
    mosquitto.stop()
    page.locator("#trouble", has_text="broker is away").wait_for()
    for said in (
        alert("r2", number=2),
        alert("r2", number=2, revision=2, **OVER),
        quiet("r3", number=3),
        alert("r1", revision=2, message="r1: as it is now"),
    ):
        _kept(said, tmp_path / "state")
    mosquitto.start()
    page.locator("#n-without", has_text="3 alerts").wait_for()
    assert page.locator("#n-with").inner_text() == "2"
    say(mosquitto, alert("r1", revision=2))  # its alert is retained, its event was missed
    asked = f"{page.url.split('#')[0]}api/event/r1/{rang.id}"

    def is_told() -> bool:
        return bool(page.request.get(asked).json()["message"] == "r1: as it is now")

    wait_until(is_told, what="the event that was missed")


def test_all_of_a_long_list_can_be_seen(
    mosquitto: Mosquitto, tmp_path: Path, page_of: Callable[[Path], PageProcess], watched: Watched
) -> None:
    """What is shelved, and what a job keeps quiet, is listed to its end."""
    page = watched.open(page_of(plants.settings(tmp_path)).url)
    shelved = [
        SilencePayload(
            kind="shelved", track="process", operator="o", owner="", reason=f"reason {i}",
            begin_ms=T0_MS, end_ms=T0_MS + 3_600_000,
        )
        for i in range(230)
    ]  # fmt: skip
    told = JobsPayload(asset="r1", ts_ms=T0_MS, jobs=(), proposals=(), silences=tuple(shelved))
    say(mosquitto, health(), told, *(quiet(f"q{i:03}") for i in range(130)))
    for card, every in (("shelved", 230), ("suppressed", 130)):
        place = page.locator(f".card.{card}")
        place.locator(".count", has_text=str(every)).wait_for()
        while place.locator(".more").count():
            place.locator(".more").click()
        assert place.locator(".item").count() == every


def test_work_that_goes_on_for_days_waits_to_be_confirmed(
    mosquitto: Mosquitto, tmp_path: Path, page_of: Callable[[Path], PageProcess], watched: Watched
) -> None:
    """What began before yesterday and goes on is for today; what is long over is not."""
    page = watched.open(page_of(plants.settings(tmp_path)).url)
    now_ms, day_ms = T0_MS + 1_000_000, 86_400_000
    said = jobs("r1", proposals=3)
    spans = ((-3, 2), (-5, -2), (2, 3))
    made = tuple(
        msgspec.structs.replace(
            one, valid_from_ms=now_ms + begin * day_ms, valid_to_ms=now_ms + end * day_ms
        )
        for one, (begin, end) in zip(said.proposals, spans, strict=True)
    )
    say(mosquitto, health(now_ms), msgspec.structs.replace(said, proposals=made))
    page.locator("[data-proposal=r1-p0]").wait_for()
    assert page.locator(".card.to_confirm .item").count() == 1


def test_spikes_are_reached_by_keys(
    mosquitto: Mosquitto, tmp_path: Path, page_of: Callable[[Path], PageProcess], watched: Watched
) -> None:
    """The arrow keys name them in their order, Enter opens one, and Tab leads on."""
    page = watched.open(page_of(plants.settings(tmp_path)).url)
    say(mosquitto, health(), quiet("r1", number=1), alert("r2", number=30), alert("r3", number=60))
    page.locator("#n-without", has_text="3 alerts").wait_for()
    ribbon, tip = page.locator("#shift canvas"), page.locator("#shift .tip")
    ribbon.focus()
    for key, name in (("ArrowRight", "r1"), ("ArrowRight", "r2"), ("End", "r3"), ("Home", "r1")):
        page.keyboard.press(key)
        assert name in tip.inner_text()
    assert "WO-1" in tip.inner_text()
    page.keyboard.press("Enter")
    page.locator("#alert .title .asset", has_text="r1").wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "blindfold"
    assert not tip.is_visible()


def test_midnight_is_zero_hours_here_and_the_pointer_shows_utc(
    mosquitto: Mosquitto, tmp_path: Path, page_of: Callable[[Path], PageProcess], chromium: Browser
) -> None:
    """In the zone of the browser; five past midnight in Berlin is of the day before in UTC."""
    served = page_of(plants.settings(tmp_path))
    say(mosquitto, health(), alert("r1", number=-55))
    for locale in ("en-GB", "en-US", "de-DE"):
        context = chromium.new_context(locale=locale, timezone_id="Europe/Berlin")
        try:
            page = Watched(context).open(served.url)
            when = page.locator("#alerts .arow time").first
            assert when.inner_text() == "00:05"
            assert when.get_attribute("title") == "2026-03-01 23:05:00 UTC"
            link = page.get_by_role("link", name="bergabe" if locale[:2] == "de" else "Handover")
            assert (link.get_attribute("href") or "").endswith(f"language={locale[:2]}")
        finally:
            context.close()


def test_a_group_names_whom_it_rings_for(
    mosquitto: Mosquitto, tmp_path: Path, page_of: Callable[[Path], PageProcess], watched: Watched
) -> None:
    """Each a way to its own alert; a group is acknowledged, and not shelved."""
    page = watched.open(page_of(plants.settings(tmp_path)).url)
    rang = [alert(name, group_id="group-1", annunciate=0) for name in ("r1", "r2")]
    say(mosquitto, health(), *rang, *group_of(*rang, more=3))
    page.locator("#alerts .arow", has_text="Group").click()
    page.locator("#alert .members p", has_text="3 more").wait_for()
    listed = page.locator("#alert .members li .link")
    assert listed.all_inner_texts() == [one.message for one in rang]
    acts = page.locator("#alert .actions button")
    assert acts.evaluate_all("found => found.map(one => one.dataset.act)") == ["ack", "feedback"]
    say(mosquitto, alert("r2", revision=2, group_id="group-1", state="NORMAL", active=0))
    page.locator("#alert .members li", has_text="r2").locator(".chip", has_text="normal").wait_for()
    listed.first.click()
    page.locator("#alert .title .asset", has_text="r1").wait_for()
    assert page.locator("#alert .members").count() == 0


def test_an_address_that_was_cut_short_still_opens_the_page(
    mosquitto: Mosquitto, tmp_path: Path, page_of: Callable[[Path], PageProcess], watched: Watched
) -> None:
    """A link of an alert, pasted without its end."""
    say(mosquitto, health(), alert("r1"))
    page = watched.open(f"{page_of(plants.settings(tmp_path)).url}#r1%2")
    page.locator("#alerts .arow", has_text="r1").wait_for()
    assert page.evaluate("location.hash") == "#r1%2"


def test_a_role_is_offered_what_it_may(
    mosquitto: Mosquitto, tmp_path: Path, page_of: Callable[[Path], PageProcess], watched: Watched
) -> None:
    """A viewer sees every list and no button that does something; an operator takes none out."""
    config = plants.settings(tmp_path)
    accounts = Accounts(tmp_path / "users.json")
    for name, role in PEOPLE.items():
        accounts.add(name, role, PASSWORD)
    served = page_of(config)
    still, rang = quiet("r2", number=2), alert("r1")
    say(mosquitto, health(), rang, event_of(rang), still, jobs("r1", proposals=1))
    offered = {}
    for name in PEOPLE:
        page = watched.context.new_page()
        page.goto(served.url)
        page.locator("input[name=name]").fill(name)
        page.locator("input[name=password]").fill(PASSWORD)
        page.locator("form button").click()
        page.locator(".card.suppressed .item", has_text="r2").wait_for()
        page.close()
        page = watched.open(served.url)
        page.locator("#alert .title .asset", has_text="r1").wait_for()
        page.locator(".card.to_confirm .item", has_text="r1").wait_for()
        acts = page.locator("[data-act]").evaluate_all("(all) => all.map((a) => a.dataset.act)")
        offered[name] = {*acts, *(["log"] if page.locator("#log-form").is_visible() else [])}
        assert "/password" in (page.locator("#who").get_attribute("href") or "")
        page.locator("#sign-out").click()
        page.locator("input[name=password]").wait_for()
        page.close()
    operator = {"ack", "shelve", "feedback", "check-in", "cancel", "confirm", "log"}
    assert offered == {"vera": set(), "otto": operator, "enno": operator | {"oos"}}
