"""A gateway and its audit trail: written before the alert leaves, once, whenever it is killed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from edge.audit.chain import OWN, records, verify
from edge.audit.trail import AuditTrail
from edge.engine import Engine
from edge.errors import JournalError
from edge.records import Audited, Publish
from models.bundles.assemble import make_bundle
from models.bundles.store import save
from tests.edge.app_broker import Broker, decided
from tests.edge.test_app import SYSTEM, Killed, Steps, World
from tests.models.plants import fitted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from edge.records import Effect, Stimulus

ALERT = "andon/s/alert/r1/process"


@pytest.fixture(scope="module")
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector for r1."""
    return save(make_bundle([fitted()]), tmp_path_factory.mktemp("model") / "bundle")


def audited(state: Path) -> list[tuple[str | int, str | int]]:
    """(alert id, revision) of the entries that stand, in order."""
    found = [r for r in records(state / "audit") if r.what not in OWN]
    return [(r.facts["alert_id"], r.facts["revision"]) for r in found]


@pytest.fixture
def patched(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An engine that audits each revision of the alert, and a broker that checks who was first."""
    handle, publish = Engine.handle_group, Broker.publish

    def auditing(engine: Engine, stimuli: Iterable[Stimulus], *, now_ns: int) -> tuple[Effect, ...]:
        effects: list[Effect] = []
        for effect in handle(engine, stimuli, now_ns=now_ns):
            effects.append(effect)
            if isinstance(effect, Publish) and effect.key and effect.topic == ALERT:
                alert_id, revision = effect.key
                facts: dict[str, str | int] = {"alert_id": alert_id, "revision": revision}
                t_ns = engine.now_ns
                effects.append(Audited(what="suppressed", asset="r1", t_ns=t_ns, facts=facts))
        return tuple(effects)

    def checking(broker: Broker, topic: str, payload: bytes, **more: Any) -> int | None:  # noqa: ANN401
        if topic == ALERT:
            body = msgspec.json.decode(payload)
            assert (body["id"], body["revision"]) in audited(broker.state)
        return publish(broker, topic, payload, **more)

    monkeypatch.setattr(Engine, "handle_group", auditing)
    monkeypatch.setattr(Broker, "publish", checking)
    return monkeypatch


def whole(state: Path) -> None:
    """Each revision of the alert stands once, in an unbroken chain."""
    keys = [(row[1], row[2]) for row in decided(state) if row[0] == ALERT]
    assert len(keys) == 2
    assert audited(state) == keys
    assert verify(state / "audit").broken is None


@pytest.mark.parametrize("name", ["syncing", "put"])
@pytest.mark.not_counted
def test_killed_anywhere_around_a_commit_every_entry_stands_once(
    name: str, patched: pytest.MonkeyPatch, bundle_path: Path, tmp_path: Path
) -> None:
    """Between journal, trail and outbox: the next process makes it whole."""
    steps = Steps(error=Killed)
    calm = World(tmp_path / "calm", bundle_path, patched)
    assert calm.live(steps, name) == 0
    whole(calm.broker.state)
    for n in range(1, len(steps.names) + 1):
        for after in (False, True):
            world = World(tmp_path / f"{n}{after}", bundle_path, patched)
            with pytest.raises(Killed):
                world.live(Steps(n, after=after, error=Killed), name)
            assert world.live() == 0
            whole(world.broker.state)


def full(_trail: AuditTrail, entries: Sequence[Audited]) -> int:
    """In place of a trail's `write`: it takes nothing."""
    if entries:
        raise JournalError("no space for the trail")
    return 0


def test_what_cannot_be_audited_when_it_is_taken_again_does_not_leave_either(
    patched: pytest.MonkeyPatch, bundle_path: Path, tmp_path: Path
) -> None:
    """Killed between journal and trail, and the next process finds the trail's disk full."""
    steps = Steps(error=Killed)
    assert World(tmp_path / "calm", bundle_path, patched).live(steps, "syncing", "put") == 0
    world = World(tmp_path / "killed", bundle_path, patched)
    with pytest.raises(Killed):
        world.live(Steps(steps.names.index("put"), error=Killed), "syncing", "put")
    assert not audited(world.broker.state)
    world.unwatch()
    with patched.context() as patch:
        patch.setattr(AuditTrail, "write", full)
        assert world.live() == 0
    assert not [topic for topic, _ in world.broker.heard if topic == ALERT]
    assert world.live() == 0
    assert [topic for topic, _ in world.broker.heard if topic == ALERT]


def test_what_cannot_be_audited_does_not_leave(
    patched: pytest.MonkeyPatch, bundle_path: Path, tmp_path: Path
) -> None:
    """It is not durable, nothing quiet was said, and the next one has it in its trail."""
    world = World(tmp_path, bundle_path, patched)
    with patched.context() as patch:
        patch.setattr(AuditTrail, "write", full)
        assert world.live() == 0
    assert not [topic for topic, _ in world.broker.heard if topic == ALERT]
    assert world.broker.last(SYSTEM)["name"] == "not_durable"
    assert world.broker.last(SYSTEM)["active"] == 1
    assert world.live() == 0
    # and says once more what it had not said: revisions leap over what the lapse may have said
    keys = [(row[1], row[2]) for row in decided(world.broker.state) if row[0] == ALERT]
    assert len(keys) >= 3
    assert audited(world.broker.state) == keys
    assert verify(world.broker.state / "audit").broken is None
    assert world.broker.last(ALERT)["revision"] == keys[-1][1]
