"""The output of Sparkplug B by itself: its settings, its rights, its numbers on disk."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from edge.brokers.accounts import LISTED_ASSETS_MAX, access_of
from edge.brokers.rights import own_filters, published_topics
from edge.configuration.config import GatewayConfig, load
from edge.configuration.output_settings import OutputsConfig
from edge.errors import ConfigError
from edge.outputs.sparkplug import node_endpoint
from edge.outputs.sparkplug_book import BOOK, SessionBook
from edge.outputs.sparkplug_metrics import KINDS, of_alert, of_score
from edge.storage.disk import Disk
from edge.wire.outgoing import AlertPayload, ScorePayload
from edge.wire.sparkplug import SESSIONS

if TYPE_CHECKING:
    from pathlib import Path

NODE = "[output.sparkplug]\ngroup = 'Plant1'\nnode = 'Andon'\n"
EVERYBODY = "[[source]]\ntopic = 'spBv1.0/+/+/+/{asset}'\nformat = 'sparkplug'"


def configured(**more: Any) -> GatewayConfig:  # noqa: ANN401 - as files have them
    """A gateway that is a node."""
    told = {"sparkplug": {"group": "Plant1", "node": "Andon", **more}}
    return GatewayConfig(site="s", output=msgspec.convert(told, OutputsConfig))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("[output.sparkplug]\nnode = 'n'", "missing required field `group`"),
        ("[output.sparkplug]\ngroup = 'a/b'\nnode = 'n'", "group is 'a/b', expected one level"),
        ("[output.sparkplug]\ngroup = 'g'\nnode = '+'", "node is '+', expected one level"),
        ("[output.sparkplug]\ngroup = 'STATE'\nnode = 'n'", "not STATE"),
        (f"{NODE}score_every_s = 0", "score_every_s is 0"),
        (f"{NODE}score_evry_s = 1", "did you mean score_every_s"),
        (f"{NODE}[output.sparkplug.broker]\nport = 0", "[output.sparkplug.broker] port is 0"),
        (f"{NODE}[output.sparkplug.broker]\nhst = 'x'", "did you mean host"),
        (
            f"{NODE}[[source]]\ntopic = 'spBv1.0/+/+/+/{{asset}}'\nformat = 'sparkplug'",
            "hears node",
        ),
        (
            f"{NODE}[[source]]\ntopic = 'spBv1.0/Plant1/+/Andon/{{asset}}'\nformat = 'sparkplug'",
            "give the node a group that no source listens to",
        ),
        (f"{NODE}[[source]]\ntopic = '#'\nasset = 'r1'", "the source '#' hears node 'Andon'"),
    ],
)
def test_mistakes_name_what_was_expected(tmp_path: Path, lines: str, expected: str) -> None:
    """Where, what, and what to write; a gateway never hears itself."""
    with pytest.raises(ConfigError, match=re.escape(expected)):
        read(tmp_path, lines)


@pytest.mark.parametrize(
    "lines",
    [
        f"{NODE}[[source]]\ntopic = 'spBv1.0/Plant2/+/+/{{asset}}'\nformat = 'sparkplug'",
        f"{NODE}[[source]]\ntopic = 'spBv1.0/Plant1/+/Press/{{asset}}'\nformat = 'sparkplug'",
        f"{NODE}[[source]]\ntopic = 'plant/{{asset}}/{{tag}}'\nformat = 'raw'",
        f"{NODE}[output.sparkplug.broker]\nport = 1884\n{EVERYBODY}",
    ],
    ids=["another group", "another node", "no Sparkplug", "another broker"],
)
def test_what_no_source_hears_is_taken(tmp_path: Path, lines: str) -> None:
    """Also where only the group, the node or the broker is another."""
    assert read(tmp_path, lines).output.sparkplug is not None


def read(folder: Path, lines: str) -> GatewayConfig:
    """A file with these lines."""
    path = folder / "gateway.toml"
    path.write_text(f"site = 's'\n[model]\nbundle = 'b'\n{lines}\n", encoding="utf-8")
    return load(path, environment={})


def test_the_gateway_may_say_and_hear_what_its_node_does() -> None:
    """And nobody else may; of many assets by a pattern that holds the node."""
    config = configured()
    topics = published_topics(config, ["r1"])
    assert "spBv1.0/Plant1/NDEATH/Andon" in topics
    assert "spBv1.0/Plant1/DDATA/Andon/r1" in topics
    assert "spBv1.0/Plant1/NCMD/Andon" in own_filters(config)
    many = ["Plant1", *(f"r{i}" for i in range(LISTED_ASSETS_MAX))]
    (access,) = access_of(config, many, users=["andon"], operators=["ann"], dashboards=["board"])
    gateway, *others = access.accounts
    assert {topic for topic in gateway.writes if topic.startswith("spB")} == {
        "spBv1.0/Plant1/NBIRTH/Andon",
        "spBv1.0/Plant1/NDEATH/Andon",
        "spBv1.0/Plant1/DBIRTH/Andon/+",
        "spBv1.0/Plant1/DDATA/Andon/+",
        "spBv1.0/Plant1/DDEATH/Andon/+",
    }
    assert "spBv1.0/Plant1/DCMD/Andon/+" in gateway.reads
    assert not [t for one in others for t in (*one.reads, *one.writes) if t.startswith("spB")]


def test_rights_on_another_broker_are_not_ours_to_list() -> None:
    """Of one with a table of its own."""
    config = configured(broker={"port": 1884, "client_id": "edge7"})
    assert not [t for t in published_topics(config, ["r1"]) if t.startswith("spB")]
    assert not [t for t in own_filters(config) if t.startswith("spB")]
    endpoint = node_endpoint(config)
    assert (endpoint.port, endpoint.client_id) == (1884, "edge7-sparkplug")
    assert node_endpoint(configured()).client_id == "andon-sparkplug"


class Failing(Disk):
    """A disk that takes no new name."""

    def replace(self, source: Path, target: Path) -> None:
        """Fail."""
        raise OSError(28, "No space left on device", str(source), None, str(target))


def test_no_session_is_drawn_twice_in_a_row_over_restarts(tmp_path: Path) -> None:
    """One after the other, from 0 on, and from 255 to 0."""
    drawn = []
    for turns in (1, 3, 251, 2):
        book = SessionBook(tmp_path / BOOK)
        drawn += [book.draw() for _ in range(turns)]
    assert drawn == [i % SESSIONS for i in range(257)]


def test_a_book_that_cannot_be_written_or_read_stops_nobody(tmp_path: Path) -> None:
    """It is told, and numbers go on in memory."""
    told: list[str] = []
    book = SessionBook(tmp_path / BOOK, disk=Failing(), failed=told.append)
    assert [book.draw(), book.draw()] == [0, 1]
    assert len(told) == 2
    assert "No space left" in told[0]
    for text in (b"", b"{", b'{"session": 256}', b'{"session": -7}', b"x" * 10_000):
        (tmp_path / BOOK).write_bytes(text)
        assert SessionBook(tmp_path / BOOK).draw() == 0


def test_every_field_that_is_told_is_one_of_our_payloads() -> None:
    """What is read of alerts and scores are fields that they have; each metric comes from one."""
    fields = AlertPayload.__struct_encode_fields__
    texts = {"state", "class", "message", "advice", "top_channel", "id"}
    body = msgspec.json.encode({name: name if name in texts else 1 for name in fields})
    assert texts < set(fields)
    found: dict[str, Any] = {}
    for track in ("process", "sensor", "comms"):
        found |= of_alert(track, body, now_ms=7).values
    score = ScorePayload(asset="a", ts_ms=5, score=None, threshold=4.0)
    told = of_score(msgspec.json.encode(score))
    assert told.values == {"Anomaly/Score": None, "Anomaly/Threshold": 4.0}
    assert told.t_ms == 5
    assert {kind.name for kind in KINDS} == found.keys() | told.values.keys()
    assert found["Comms/Reason"] == "message"
    assert found["Anomaly/Severity"] == 1
    gone = of_alert("sensor", b"", now_ms=7)
    assert set(gone.values.values()) == {None}
    assert gone.t_ms == 7
