"""An asset that is gone is ended on its topics, once, and stays forgotten."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
import pytest
from typer.testing import CliRunner

import andon
from edge.audit.chain import chosen
from edge.audit.trail import AuditTrail
from edge.boxes.retirement import (
    Retirement,
    known_as,
    never_known,
    newest_row,
    retire,
    retired_topics,
    still_said,
)
from edge.configuration.config import GatewayConfig, load
from edge.configuration.sections import JournalConfig
from edge.errors import ConfigError
from edge.gateway.cleared import Cleared
from edge.records import Audited, Publish
from edge.storage.outbox import Outbox
from edge.storage.patience import Patience
from edge.storage.standby import StandbyOutbox
from edge.wire import outgoing
from edge.wire.topics import Topics
from models.bundles.assemble import make_bundle
from tests.edge.box_site import make_box
from tests.models.plants import fitted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.assembly.assembly import Assembly

TOPICS: Final = Topics("andon", "s")
GONE: Final = TOPICS.alert("press7", "process")


def alert(revision: int, *, state: str = "ACTIVE_UNACK", topic: str = GONE) -> Publish:
    """An alert of it, as it stands."""
    fields: dict[str, Any] = {}
    for field in msgspec.structs.fields(outgoing.AlertPayload):
        kind = field.type
        fields[field.name] = 1 if kind in (int, float) else "x" if kind is str else None
    fields |= {"id": "a", "revision": revision, "state": state, "asset": "press7"}
    payload = outgoing.encode(outgoing.AlertPayload(**fields))
    return Publish(topic=topic, payload=payload, qos=1, retain=True, key=("a", revision))


class Site:
    """A gateway's outbox and book, and what a broker would hold."""

    def __init__(self, folder: Path) -> None:
        self.config = GatewayConfig(site="s", base=str(folder))
        self.state = folder / "state"
        self.outbox = StandbyOutbox(
            lambda: Outbox(self.state / "outbox.sqlite"), patience=Patience()
        )
        self.audited: list[Audited] = []

    def restart(self) -> Retirement:
        """A process begins."""
        return Retirement(self.state, TOPICS, self.outbox)

    def follow(self, retirement: Retirement) -> list[Publish]:
        """One look of the loop; returns what is said, and delivers it."""
        effects = retirement.look()
        self.audited += [one for one in effects if isinstance(one, Audited)]
        said = [one for one in effects if isinstance(one, Publish)]
        assert self.outbox.put(said) == []
        return said

    def deliver(self) -> list[tuple[str, bytes]]:
        """What leaves now, in order."""
        rows = self.outbox.pending()
        self.outbox.delivered([row.row for row in rows])
        return [(row.topic, row.payload) for row in rows]

    def retire(self, *, clear: bool = True) -> None:
        """A person's word."""
        retire(
            self.config, "press7", by="ann", because="scrapped",
            until_row=newest_row(self.state), clear=clear,
        )  # fmt: skip


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """One where an alert of the asset rings, and one of another."""
    made = Site(tmp_path)
    made.outbox.put([alert(3), alert(1, topic=TOPICS.alert("r1", "process"))])
    made.deliver()
    return made


def test_a_retired_asset_is_normal_first_and_then_forgotten(site: Site) -> None:
    """Every payload but the last fits its schema; the other asset is not touched."""
    site.retire()
    said = site.follow(site.restart())
    on_alert = [one for one in said if one.topic == GONE]
    ended = msgspec.json.decode(on_alert[0].payload, type=outgoing.AlertPayload)
    assert (ended.state, ended.active, ended.revision, ended.id) == ("NORMAL", 0, 4, "a")
    assert "ann" in ended.message
    assert [one.payload for one in on_alert[1:]] == [b""]
    assert {one.topic for one in said} == {GONE, TOPICS.job("press7")}
    left = site.deliver()
    assert [topic for topic, payload in left if not payload] == [GONE, TOPICS.job("press7")]
    assert [row.topic for row in site.outbox.standing() or ()] == [TOPICS.alert("r1", "process")]
    assert {one.topic for one in said} <= set(retired_topics(site.state, TOPICS))


def test_an_outbox_that_answers_late_ends_its_alerts_all_the_same(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked at again, and not at the next start."""
    retirement = site.restart()
    site.retire()
    with monkeypatch.context() as patch:
        patch.setattr(Patience, "busy", "the disk is waited for")
        assert site.follow(retirement) == []
    assert GONE in [message.topic for message in site.follow(retirement)]


def test_what_was_retired_is_said_once_however_often_a_gateway_starts(site: Site) -> None:
    """Also where it died between the outbox and the audit trail, or before it delivered."""
    site.retire()
    first = site.restart()
    assert site.follow(first)
    assert not site.follow(first)
    assert not site.follow(site.restart())
    assert len(site.deliver()) == 4
    assert not site.follow(site.restart())
    site.outbox.delivered([row.row for row in site.outbox.pending()])
    assert len(site.audited) == 1


def test_what_comes_later_under_the_same_name_stays(site: Site) -> None:
    """Another press 7 is bought: an old word is of the old one."""
    site.retire()
    site.follow(site.restart())
    site.deliver()
    site.outbox.put([alert(7)])
    site.deliver()
    assert not site.follow(site.restart())
    assert GONE in {row.topic for row in site.outbox.standing() or ()}


def test_the_last_state_may_be_left(site: Site) -> None:
    """For dashboards that choke on what clears a topic."""
    site.retire(clear=False)
    said = site.follow(site.restart())
    assert all(one.payload for one in said)
    site.deliver()
    assert not site.follow(site.restart())
    stands = {row.topic: row.payload for row in site.outbox.standing() or ()}
    assert msgspec.json.decode(stands[GONE])["state"] == "NORMAL"


def test_it_stands_in_the_audit_trail_once(site: Site, tmp_path: Path) -> None:
    """With who and why."""
    site.retire()
    for _ in range(2):
        effects = site.restart().look()
        trail = AuditTrail(tmp_path / "audit", bytes_max=1 << 20, days_max=10)
        trail.write([one for one in effects if isinstance(one, Audited)])
        trail.close()
    (record,) = chosen(tmp_path / "audit", what="retired")
    assert record.asset == "press7"
    assert record.facts["operator"] == "ann"
    assert record.facts["detail"] == "scrapped"


def test_a_book_that_was_changed_retires_nothing(site: Site) -> None:
    """And says so, until it is mended."""
    site.retire()
    book = site.state / "retired.jsonl"
    book.write_bytes(book.read_bytes().replace(b"press7", b"press8"))
    retirement = site.restart()
    assert not site.follow(retirement)
    assert "does not follow" in retirement.trouble


def test_lists_of_assets_that_left_are_not_said_again() -> None:
    """A reconnection would put them back."""
    bundle = make_bundle([fitted()])
    (here,) = (model.asset for model in bundle.assets)
    topics = [
        TOPICS.job(here), TOPICS.job("press7"), TOPICS.commissioning("press7"),
        TOPICS.alert("_gateway", "system"),
    ]  # fmt: skip
    messages = [Publish(topic=topic, payload=b"{}", qos=1, retain=True) for topic in topics]
    assert [one.topic for one in still_said(messages, TOPICS, bundle)] == [topics[0], topics[3]]


class Link:
    """A connection to a broker that confirms everything, and answers at once what it holds."""

    def __init__(self, retained: dict[str, bytes]) -> None:
        self.connected, self.asked = True, ""
        self.questions: list[tuple[str, ...]] = []
        self._retained = retained
        self._own: list[tuple[str, bytes]] = []

    def ask(self, filters: Sequence[str]) -> None:
        """All that is retained below."""
        self.asked = "asked"
        self.questions.append(tuple(filters))
        heads = tuple(name.removesuffix("+") for name in filters)
        self._own = [one for one in self._retained.items() if one[0].startswith(heads) and one[1]]

    def leave(self, _filters: Sequence[str]) -> None:
        """All of it has come."""
        self.asked = "left"

    def own(self) -> list[tuple[str, bytes]]:
        """Told once."""
        told, self._own = self._own, []
        return told


def test_what_the_broker_did_not_forget_is_told_and_said_once_more(site: Site) -> None:
    """Its list denied the topic, and it confirmed all the same; then the list was made again."""
    broker = {GONE: b"{}", TOPICS.alert("r1", "process"): b"{}"}
    link = Link(broker)
    assembly = cast("Assembly", SimpleNamespace(bundle=make_bundle([fitted()])))
    cleared = Cleared(link, site.outbox, assembly=assembly, topics=TOPICS)
    retirement = site.restart()
    site.retire()
    site.follow(retirement)
    for _ in range(5):
        cleared.expect(retirement.words)
        cleared.turn(0.0)
    assert link.questions == [], "what clears it is still on its way"
    site.deliver()
    for _ in range(5):
        cleared.turn(0.0)
    assert link.questions == [("andon/s/alert/press7/+",)]
    assert GONE in cleared.trouble
    assert "andon broker" in cleared.trouble
    assert "r1" not in cleared.trouble
    site.retire()
    site.follow(retirement)
    broker |= dict(site.deliver())
    assert broker[GONE] == b""
    for _ in range(5):
        cleared.expect(retirement.words)
        cleared.turn(0.0)
    assert not cleared.trouble
    assert not site.follow(site.restart()), "each word once"


def invoke(*arguments: object) -> object:
    """`andon ...`: its exit code, or the error of the world."""
    done = CliRunner().invoke(andon.app, [str(one) for one in arguments])
    return done.exception if isinstance(done.exception, ConfigError) else done.exit_code


def test_an_asset_that_is_still_there_is_refused_unless_told(tmp_path: Path) -> None:
    """It would be said again with its next change."""
    box = tmp_path / "box"
    box.mkdir()
    config = make_box(box, tmp_path / "etc") / "gateway.toml"
    names: Sequence[str] = [model.asset for model in make_bundle([fitted()]).assets]
    assert known_as(load(config, environment={}), names[0])
    for asset in ("r1", names[0]):
        said = invoke("retire", asset, "--config", config)
        assert isinstance(said, ConfigError)
        assert "--although-configured" in str(said)
    assert invoke("retire", "_gateway", "--config", config) != 0
    assert invoke("retire", "r1", "--config", config, "--although-configured") == 0
    said = invoke("retire", "r2typo", "--config", config)
    assert "known are r1" in str(said), "it would stand in the book for ever"
    said = invoke("retire", "press7", "--config", config)
    assert "--although-unknown" in str(said)
    assert invoke("retire", "press7", "--config", config, "--although-unknown") == 0
    assert invoke("retire", "press7", "--config", config) == 0, "once more"
    known = load(config, environment={})
    outbox = Outbox(known.path(known.journal.dir) / "outbox.sqlite")
    outbox.put([alert(3, topic=TOPICS.alert("press8", "process"))])
    outbox.close()
    assert invoke("retire", "press8", "--config", config) == 0


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("CREATE VIEW outbox AS SELECT 1 AS row, 'andon/s/alert/p9/process' AS topic", "the view"),
        ("CREATE TABLE outbox AS SELECT 1 AS row, CAST(x'ff2f70' AS TEXT) AS topic", "UTF-8"),
        ("CREATE TABLE no_text (row INTEGER)", "codec"),
    ],
)
def test_an_outbox_of_somebodys_making_is_refused_with_its_name(
    tmp_path: Path, made: str, said: str
) -> None:
    """What it brings along would run, or is no text; a person reads which file it is."""
    (tmp_path / "state").mkdir()
    outbox = tmp_path / "state" / "outbox.sqlite"
    with closing(sqlite3.connect(outbox)) as database:
        database.execute(made)
        database.commit()
    names = outbox.read_bytes().replace(b"tableno_text", b"table\xffo_text")
    outbox.write_bytes(names.replace(b"CREATE TABLE no_text", b"CREATE TABLX no_text"))
    config = GatewayConfig(site="s", base=str(tmp_path), journal=JournalConfig(dir="state"))
    with pytest.raises(ConfigError, match=rf"outbox\.sqlite: .*{said}"):
        never_known(config, "p9")
