"""Outputs by themselves: ids, envelopes, labels, what is kept of what was said, bounds."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.alerts.announce import iso
from edge.brokers.accounts import LISTED_ASSETS_MAX, access_of
from edge.brokers.rights import published_topics
from edge.configuration.config import GatewayConfig, load
from edge.configuration.output_settings import OutputsConfig
from edge.errors import ConfigError
from edge.outputs import alertmanager, cloudevents, hub
from edge.outputs.alertmanager import Alertmanager, RefusedError
from edge.outputs.cloudevents import CloudEvents
from edge.outputs.discovery import PLAIN_CHARS_MAX, TRACKS, Discovery, slug
from edge.outputs.firing import fired_of
from edge.outputs.hub import Heard, Outputs
from edge.outputs.metrics import SERIES_MAX, Published, families
from edge.outputs.output import Tally
from edge.records import Publish
from edge.wire.topics import Topics, is_asset_id
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

TOPICS: Final = Topics("andon", "s")
ASSET: Final = st.text(min_size=1, max_size=64).filter(is_asset_id)
LEVEL: Final = re.compile(r"[a-zA-Z0-9_-]+")  # of Home Assistant's discovery topics


def alert(**given: Any) -> bytes:  # noqa: ANN401 - as payloads have them
    """The fields of an alert that outputs read."""
    fields = {
        "active": 1,
        "message": "too high",
        "ts_ms": 1_760_000_000_123,
        "begin_ms": 1_760_000_000_000,
        "id": "r1-process-x",
        "asset": "r1",
        "track": "process",
        "class": "anomaly",
        "severity": "HIGH",
        "audience": "operator",
        "annunciate": 1,
        **given,
    }
    return msgspec.json.encode(fields)


@given(assets=st.lists(ASSET, min_size=1, max_size=6, unique=True))
def test_no_two_entities_share_a_topic_or_an_id(assets: list[str]) -> None:
    """Whatever assets are called, also where they differ only in what an id may not hold."""
    found = Discovery(TOPICS, prefix="ha").messages(assets, ["line-a b", "line-a_b"])
    entities = [msgspec.json.decode(payload) for payload in found.values()]
    assert len({one["unique_id"] for one in entities}) == len(entities) == len(found)
    for topic, payload in found.items():
        prefix, component, *levels, last = topic.split("/")
        assert (prefix, last) == ("ha", "config")
        named = msgspec.json.decode(payload)
        assert named["default_entity_id"] == f"{component}.{named['object_id']}"
        assert all(LEVEL.fullmatch(level) for level in levels)
        assert len("".join(levels)) < 200
    tracks = {one["state_topic"] for one in entities}
    assert tracks >= {TOPICS.alert(asset, track) for asset in assets for track in TRACKS}


def test_short_plain_ids_stay_readable() -> None:
    """And only these."""
    assert slug("press07") == "press07"
    assert slug("p" * PLAIN_CHARS_MAX) == "p" * PLAIN_CHARS_MAX
    assert slug("p" * (PLAIN_CHARS_MAX + 1)) != slug("p" * (PLAIN_CHARS_MAX + 2))
    assert slug("a.b") != slug("a_b")


def test_a_cloudevent_holds_the_event_as_it_is() -> None:
    """Not a number of it changes, and a repetition has the same source and id."""
    output = CloudEvents(TOPICS)
    event = alert(revision=3, ts="2025-10-09T08:53:20.123Z", score=1e-7, asset="a b")
    for _ in range(2):
        output.said(TOPICS.event("a b"), event)
    output.said(TOPICS.alert("a b", "process"), event)
    first, second = output.owed
    assert first == second
    assert first.topic == "andon/s/cloudevent/a b"
    told = msgspec.json.decode(first.payload)
    assert event in first.payload
    assert told["source"] == "/andon/s/a%20b"
    assert (told["id"], told["time"]) == ("r1-process-x/3", "2025-10-09T08:53:20.123Z")


def test_what_no_output_can_take_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue that is full, and bytes that are no event."""
    monkeypatch.setattr(cloudevents, "WAITING_MAX", 2)
    output = CloudEvents(TOPICS)
    for _ in range(5):
        output.said(TOPICS.event("r1"), alert(revision=1, ts="x"))
    assert (len(output.owed), output.tally.dropped) == (2, 3)
    output.owed.clear()
    output.said(TOPICS.event("r1"), b"{")
    assert (len(output.owed), output.tally.failed) == (0, 1)


class Link:
    """A connection that takes so many messages."""

    def __init__(self, room: int) -> None:
        self.room, self.taken = room, list[tuple[str, bytes]]()
        self.connected = True

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> int | None:
        """Send."""
        assert qos in (0, 1)
        assert isinstance(retain, bool)
        if not self.room:
            return None
        self.room -= 1
        self.taken.append((topic, payload))
        return len(self.taken)

    def confirmed(self) -> list[int]:
        """Nothing."""
        return []


class Listener:
    """An output that notes what it hears, and owes what it is told."""

    name = "listener"

    def __init__(self, *owed: str) -> None:
        self.tally = Tally()
        self.owed = deque(Publish(topic=t, payload=b"", qos=1, retain=True) for t in owed)
        self.heard: list[str] = []

    def said(self, topic: str, payload: bytes) -> None:
        """Note it."""
        assert isinstance(payload, bytes)
        self.heard.append(topic)

    def connected(self) -> None:
        """Nothing."""

    def away(self) -> None:
        """Nothing."""

    def turn(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def test_what_the_client_does_not_take_is_neither_told_nor_lost() -> None:
    """An output hears what was taken; what it owes itself waits for room."""
    listener = Listener("a", "b", "c")
    outputs, link = Outputs([listener]), Link(room=3)
    heard = Heard(link, outputs)
    assert heard.publish("x", b"1", qos=1, retain=True) == 1
    outputs.turn(link)
    assert heard.publish("y", b"1", qos=1, retain=True) is None
    assert listener.heard == ["x"]
    assert [topic for topic, _ in link.taken] == ["x", "a", "b"]
    (told,) = outputs.told()
    assert (told.sent, told.failed, told.waiting) == (2, 1, 1)
    link.room = 5
    outputs.turn(link)
    assert [topic for topic, _ in link.taken][-1] == "c"


def test_what_is_owed_leaves_a_part_at_a_look() -> None:
    """A thousand assets are no reason to be late."""
    listener = Listener(*(str(i) for i in range(3 * hub.AT_ONCE)))
    link = Link(room=10_000)
    Outputs([listener]).turn(link)
    assert len(link.taken) == hub.AT_ONCE


def test_labels_say_which_alert_it_is_and_change_with_its_severity_alone() -> None:
    """Else Alertmanager would take each revision for another alert."""
    fired = fired_of(alert(), site="s")
    again = fired_of(alert(message="higher", score=9.0, ts_ms=1_760_000_009_000), site="s")
    louder = fired_of(alert(severity="CRITICAL"), site="s")
    assert fired is not None
    assert again is not None
    assert louder is not None
    assert fired.labels == again.labels != louder.labels
    assert dict(fired.labels)["alertname"] == "AndonProcess"
    assert fired.annotations["summary"] == "too high"


@pytest.mark.parametrize(
    "given", [{"active": 0}, {"group_id": "g", "annunciate": 0}], ids=["quiet", "its group rings"]
)
def test_what_does_not_ring_by_itself_is_no_alert_there(given: dict[str, Any]) -> None:
    """As on a dashboard."""
    assert fired_of(alert(**given), site="s") is None
    assert fired_of(b"", site="s") is None, "retired"


class Poster:
    """Takes what is posted, but for the first so many."""

    def __init__(self, fails: int) -> None:
        self.fails, self.taken = fails, list[list[dict[str, Any]]]()

    def post(self, body: bytes) -> None:
        """Take it, or not."""
        if self.fails:
            self.fails -= 1
            raise RefusedError("503")
        self.taken.append(msgspec.json.decode(body))


def receiver(monkeypatch: pytest.MonkeyPatch, fails: int, **given: Any) -> tuple[Any, Poster]:  # noqa: ANN401
    """An output whose requests go nowhere."""
    monkeypatch.setattr(alertmanager, "BACKOFF_S", (0.001, 0.002))
    poster = Poster(fails)
    monkeypatch.setattr(alertmanager, "Poster", lambda _config: poster)
    outputs = {"alertmanager": {"url": "http://127.0.0.1:9093", **given}}
    config = GatewayConfig(site="s", output=msgspec.convert(outputs, OutputsConfig))
    return Alertmanager(config), poster


def test_every_failure_is_followed_by_another_try(monkeypatch: pytest.MonkeyPatch) -> None:
    """And counted; what is told in the end is the newest word."""
    output, poster = receiver(monkeypatch, fails=5)
    output.said(TOPICS.alert("r1", "process"), alert())
    wait_until(lambda: bool(poster.taken), what="a request that was taken")
    assert (output.tally.failed, output.tally.sent, output.tally.cause) == (5, 1, "")
    output.said(TOPICS.alert("r1", "process"), alert(active=0))
    wait_until(lambda: len(poster.taken) > 1, what="the end")
    (begun,), (ended,) = poster.taken
    assert begun["labels"] == ended["labels"]
    assert begun["endsAt"] > ended["endsAt"] >= begun["startsAt"] == ended["startsAt"]
    output.close()


@pytest.mark.parametrize("told", ["s3cret\n# of the plant", "s3cret\tx", "s3cret\u2019"])
def test_a_token_that_is_none_is_refused_and_not_shown(tmp_path: Path, told: str) -> None:
    """The cause of a failure is published: it names the file, and nothing that stands in it."""
    (tmp_path / "token").write_text(told, encoding="utf-8")
    asked = {"alertmanager": {"url": "http://127.0.0.1:9", "token_file": "token"}}
    config = GatewayConfig(
        site="s", base=str(tmp_path), output=msgspec.convert(asked, OutputsConfig)
    )
    with pytest.raises(ConfigError, match="one line of printable ASCII") as found:
        alertmanager.Poster(config).post(b"[]")
    assert "s3cret" not in str(found.value)
    assert str(tmp_path / "token") in str(found.value)


def test_what_is_over_before_it_was_accepted_is_ended_and_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only the answer may have been lost; and what rings next began at its own time."""
    output, poster = receiver(monkeypatch, fails=1_000_000_000)
    topic, later_ms = TOPICS.alert("r1", "process"), 1_760_009_000_000
    output.said(topic, alert())
    wait_until(lambda: output.tally.failed > 1, what="requests that failed")
    output.said(topic, alert(active=0))
    failed = output.tally.failed
    wait_until(lambda: output.tally.failed > failed + 1, what="a request that ends it")
    poster.fails = 0
    wait_until(lambda: bool(poster.taken), what="the end")
    (ended,) = poster.taken[0]
    output.said(topic, alert(id="r1-process-y", begin_ms=later_ms, ts_ms=later_ms))
    wait_until(lambda: len(poster.taken) > 1, what="the next one")
    (begun,) = poster.taken[-1]
    assert ended["labels"] == begun["labels"]
    assert ended["startsAt"] < begun["startsAt"] == iso(later_ms * 1_000_000)
    output.close()


def test_what_rings_is_said_again_before_it_ends_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an end behind the next time that it will be said."""
    output, poster = receiver(monkeypatch, fails=0, resend_s=1.0)
    output.said(TOPICS.alert("r1", "process"), alert())
    wait_until(lambda: len(poster.taken) > 1, what="a repetition")
    first, second = (request[0] for request in poster.taken[:2])
    assert second["labels"] == first["labels"]
    assert first["endsAt"] < second["endsAt"]
    output.close()


def test_series_are_bounded() -> None:
    """Beyond it a metric is cut, and says so."""
    said = Published(alerts={str(i): alert(asset=str(i)) for i in range(SERIES_MAX + 7)})
    found = {one.name: one for one in families(said, now_s=5.0, knowledge_s=2.0)}
    assert len(found["andon_alert_active"].series) == SERIES_MAX
    assert found["andon_metrics_left_out"].series[0].value == 7
    assert found["andon_knowledge_age_seconds"].series[0].value == 3.0


def test_what_outputs_publish_is_listed_and_lets_itself_be_granted() -> None:
    """To the broker's list too, where assets are many by patterns of their entities."""
    asked: dict[str, Any] = {"home_assistant": {}, "cloudevents": {}}
    config = GatewayConfig(site="s", output=msgspec.convert(asked, OutputsConfig))
    topics = published_topics(config, ["r1"])
    assert TOPICS.cloudevent("r1") in topics
    assert "homeassistant/binary_sensor/andon_s_r1/comms/config" in topics
    assert not [one for one in published_topics(GatewayConfig(site="s"), ["r1"]) if "home" in one]
    many = [f"r{i}" for i in range(LISTED_ASSETS_MAX + 1)]
    (access,) = access_of(config, many, users=["andon"], operators=["ann"], dashboards=["board"])
    gateway, *others = access.accounts
    assert "homeassistant/binary_sensor/+/comms/config" in gateway.writes
    assert len(gateway.writes) < len(many)
    assert not [one for other in others for one in (*other.reads, *other.denied) if "home" in one]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("[output.promethius]", "did you mean prometheus"),
        ("[output.prometheus]\nlisten = '9464'", "expected HOST:PORT"),
        ("[output.home_assistant]\nprefix = 'a/#'", "without + and #"),
        ("[output.alertmanager]", "missing required field `url`"),
        ("[output.alertmanager]\nurl = 'ftp://a'", "expected http://HOST:9093"),
        ("[output.alertmanager]\nurl = 'http://u:p@a:1'", "without a user"),
        ("[output.alertmanager]\nurl = 'http://a'\nca_file = 'ca'", "ca_file needs https"),
        ("[output.alertmanager]\nurl = 'http://a'\ntoken_file = 't'", "use https"),
        ("[output.alertmanager]\nurl = 'http://a'\nresend_s = 0", "resend_s is 0"),
    ],
)
def test_mistakes_in_the_table_name_what_was_expected(
    tmp_path: Path, lines: str, expected: str
) -> None:
    """Where, what, and what to write."""
    path = tmp_path / "gateway.toml"
    path.write_text(f"site = 's'\n[model]\nbundle = 'b'\n{lines}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=re.escape(expected)):
        load(path, environment={})
