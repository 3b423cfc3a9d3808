"""What a journal decides, and what stands in an outbox: read for themselves, without a gateway."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from edge.records import Publish, Started, TextTold, TickDue
from tests.sim_gateway.ledger import Ledger
from tests.sim_gateway.world import SimulatedAssembly

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.settings import GatewaySettings
    from tests.sim_gateway.journals import Entry
    from tests.sim_gateway.world import Shop

Key = tuple[str, str, int]  # topic, id, revision


class BrokenError(AssertionError):
    """A promise that was not kept."""


def _broken(why: str) -> None:
    raise BrokenError(f"the journal taken once more: {why}")


class Again:
    """A journal, taken once more from its first record by an engine that never stopped."""

    def __init__(self, settings: GatewaySettings, shop: Shop, entries: Sequence[Entry]) -> None:
        self.decided: dict[Key, bytes] = {}
        self.retained: dict[str, bytes] = {}
        self.texts: list[tuple[str, str]] = []
        first = next((one for _, one in entries if isinstance(one, Started)), None)
        if first is not None:
            shop.bundle = list(shop.fitted).index(first.bundle_sha256)
            shop.snapshot = int(first.snapshot_sha256.removeprefix("kb"))
        engine = SimulatedAssembly(settings, shop).engine
        self.ledger = ledger = Ledger(engine, _broken)
        # on plant time nothing is later than the newest sample, which therefore waits
        last = [(entries[-1][0], TickDue(final=True))] if entries else []
        for number, (now_ns, stimulus) in enumerate([*entries, *last]):
            for effect in ledger.handle(stimulus, now_ns=now_ns):
                if isinstance(effect, Publish) and number < len(entries):
                    if effect.retain:
                        self.retained[effect.topic] = effect.payload
                    if effect.key is not None:
                        key = (effect.topic, *effect.key)
                        if self.decided.setdefault(key, effect.payload) != effect.payload:
                            raise BrokenError(f"the engine decided {key} twice, otherwise")
                elif isinstance(effect, TextTold):
                    self.texts.append((effect.asset, effect.text))


def waiting(state: Path) -> int:
    """Messages of the outbox's file that nobody has confirmed."""
    with closing(sqlite3.connect(state / "outbox.sqlite")) as db:
        ((count,),) = db.execute("SELECT count(*) FROM outbox WHERE delivered = 0").fetchall()
    return int(count)


def keys_of(state: Path) -> set[Key]:
    """Of what stands in the outbox's file."""
    with closing(sqlite3.connect(state / "outbox.sqlite")) as db:
        return set(db.execute("SELECT topic, id, revision FROM outbox").fetchall())


def outbox_of(state: Path) -> dict[Key, bytes]:
    """What stands in the outbox's file."""
    with closing(sqlite3.connect(state / "outbox.sqlite")) as db:
        rows = db.execute("SELECT topic, id, revision, payload FROM outbox ORDER BY row").fetchall()
        ((waits,),) = db.execute("SELECT count(*) FROM outbox WHERE delivered = 0").fetchall()
    if waits:
        raise BrokenError(f"{waits} publications still wait")
    return {(topic, alert_id, revision): payload for topic, alert_id, revision, payload in rows}


def given_up(state: Path) -> set[Key]:
    """What an outbox that was full has let go, as its file says."""
    with closing(sqlite3.connect(state / "outbox.sqlite")) as db:
        rows = db.execute("SELECT topic, id, revision FROM outbox WHERE delivered = 2").fetchall()
    return set(rows)
