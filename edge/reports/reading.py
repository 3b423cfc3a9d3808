"""Revisions out of a gateway's outbox, read while it runs, without changing or holding anything.

In SQLite's WAL mode a reader keeps nobody from writing. What the gateway withheld was never said,
and is left out.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from edge.errors import UNREADABLE, JournalError
from edge.reports.transitions import GATEWAY_ASSET, GROUP_ASSET, Transition, members, transition
from edge.storage.outbox_table import WITHHELD, guarded
from edge.wire.topics import Topics

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

BUSY_S: Final = 5.0
OUTBOX: Final = "outbox.sqlite"
ROWS: Final = """
SELECT row, topic, id, revision, payload FROM outbox
WHERE row > ? AND delivered != ? AND (substr(topic, 1, ?) = ? OR substr(topic, 1, ?) = ?)
ORDER BY row
"""
# the newest row before which one is missing: what comes from there on is whole
WHOLE_FROM: Final = """
SELECT max(row) FROM outbox AS here
WHERE NOT EXISTS (SELECT 1 FROM outbox AS before WHERE before.row = here.row - 1)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What an outbox holds behind a row. whole_from: the row from which on none is missing."""

    found: list[tuple[int, Transition]]
    newest: int
    whole_from: int


def read_outbox(path: Path, *, prefix: str, site: str, after: int = 0) -> Rows:
    """Revisions behind a row, in the order of decisions. Raises JournalError."""
    if not path.exists():
        raise JournalError(
            f"{path}: there is no outbox; name the configuration of a gateway that has run here"
        )
    uri = f"{path.absolute().as_uri()}?mode=ro"
    try:
        with closing(guarded(sqlite3.connect(uri, uri=True, timeout=BUSY_S))) as database:
            topics = Topics(prefix, site)
            alerts, groups = topics.alerts.removesuffix("#"), topics.group("")
            rows = database.execute(
                ROWS, (after, WITHHELD, len(alerts), alerts, len(groups), groups)
            )
            found = _transitions(rows, alerts=alerts)
            ((newest,),) = database.execute("SELECT coalesce(max(row), 0) FROM outbox").fetchall()
            ((whole,),) = database.execute(WHOLE_FROM).fetchall()
    except (sqlite3.Error, *UNREADABLE, TypeError) as error:  # damaged cells are of other types
        raise JournalError(f"{path}: the outbox cannot be read: {error}") from error
    return Rows(found=found, newest=int(newest), whole_from=int(whole or 0))


def _transitions(
    rows: Iterable[tuple[int, str, str, int, bytes]], *, alerts: str
) -> list[tuple[int, Transition]]:
    """Alerts, each group with its members, which stand under the same id and revision."""
    found: list[tuple[int, Transition]] = []
    whose: dict[tuple[str, int], tuple[str, ...]] = {}
    newest_ms = 0
    for row, topic, alert_id, revision, payload in rows:
        if not topic.startswith(alerts):
            listed = members(payload)
            if listed is not None:
                whose[listed.id, listed.revision] = listed.assets
            continue
        asset, _, track = topic.removeprefix(alerts).rpartition("/")
        if asset == GATEWAY_ASSET:
            continue
        one = transition(payload, asset=asset, track=track)
        if not payload:
            one = _cleared(asset, track, alert_id, revision, newest_ms)
        if one is not None:
            newest_ms = max(newest_ms, one.t_ms)
            found.append((row, one))
    return [
        (row, msgspec.structs.replace(one, members=whose.get((one.id, one.revision), ())))
        if one.asset == GROUP_ASSET
        else (row, one)
        for row, one in found
    ]


def _cleared(asset: str, track: str, alert_id: str, revision: int, t_ms: int) -> Transition:
    """An asset was retired, and its topic forgotten: nothing of it stands any more."""
    return Transition(
        t_ms=t_ms,
        asset=asset,
        track=track,
        id=alert_id,
        revision=revision,
        state="NORMAL",
        count=0,
        rings=0,
        begin_ms=t_ms,
        active=0,
        acked=0,
    )
