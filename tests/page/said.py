"""Messages of a gateway as tests of the page's picture send them."""

from __future__ import annotations

from typing import Final

import msgspec

from edge.alerts.group import GROUP
from edge.page.picture import Picture
from edge.wire.outgoing import (
    ALERT_SCHEMA,
    EVENT_SCHEMA,
    GROUP_SCHEMA,
    AlertPayload,
    EventPayload,
    GroupAlertPayload,
    GroupPayload,
    HealthPayload,
    JobPayload,
    JobsPayload,
    MemberPayload,
    ScorePayload,
    encode,
)
from edge.wire.topics import Topics

TOPICS: Final = Topics("andon", "s")
SHIFT_S: Final = 28_800
T0_MS: Final = 1_772_409_600_000  # a shift begins


def picture() -> Picture:
    """A picture that has heard nothing yet."""
    return Picture(TOPICS, shift_s=SHIFT_S, shift_start_s=0)


def alert(
    asset: str = "r1", *, number: int = 1, revision: int = 1, **fields: object
) -> AlertPayload:
    """A revision of an alert of an asset: its `number`-th one, each a minute after the last."""
    begin_ms = T0_MS + number * 60_000
    given = {
        "schema": ALERT_SCHEMA,
        "id": f"{asset}-process-{number}",
        "revision": revision,
        "site": "s",
        "area": "line 1",
        "asset": asset,
        "functional_location": f"L1-{asset}",
        "track": "process",
        "class": "process anomaly",
        "state": "ACTIVE_UNACK",
        "active": 1,
        "acked": 0,
        "suppressed": 0,
        "shelved": 0,
        "out_of_service": 0,
        "suppressed_or_shelved": 0,
        "severity": "HIGH",
        "severity_num": 600,
        "priority": 2,
        "audience": "operator",
        "decision": "ALERT",
        "job_id": "",
        "rings_again_ms": None,
        "score": 7.5,
        "threshold": 5.0,
        "ts": "2026-03-02T00:00:00.000Z",
        "ts_ms": begin_ms + revision * 1_000,
        "begin_ms": begin_ms,
        "first_seen": "2026-03-02T00:00:00.000Z",
        "count": 1,
        "rings": 1,
        "message": f"{asset}: Flow is 11 l/min, below its usual 12 to 13 l/min",
        "top_channel": "Flow",
        "top_value": 11.0,
        "top_unit": "l/min",
        "usual_low": 12.0,
        "usual_high": 13.0,
        "advice": "read the gauge",
        "source": "",
        "respond_min": 15,
    } | fields
    return msgspec.convert(given, AlertPayload)


def quiet(
    asset: str = "r1", *, number: int = 1, revision: int = 1, **fields: object
) -> AlertPayload:
    """A revision of an alert that a job keeps quiet."""
    given: dict[str, object] = {
        "state": "NORMAL",
        "active": 0,
        "rings": 0,
        "suppressed": 1,
        "suppressed_or_shelved": 1,
        "decision": "SUPPRESSED",
        "job_id": "WO-1",
        "rings_again_ms": T0_MS + 3_600_000,
    }
    return alert(asset, number=number, revision=revision, **(given | fields))


def event_of(said: AlertPayload, **more: object) -> EventPayload:
    """The event beside a revision of an alert."""
    given = msgspec.to_builtins(said) | {
        "schema": EVENT_SCHEMA,
        "clauses": [],
        "contributions": [],
        "explanation": [],
        "resembles": [],
        "explained": False,
        "history": [],
        "lineage": {},
    }
    return msgspec.convert(given | more, EventPayload)


def group_of(*members: AlertPayload, more: int = 0) -> tuple[GroupAlertPayload, GroupPayload]:
    """The alert of a group, and the list of whom it rings for; more: whom the list leaves out."""
    first, total = members[0], len(members) + more
    given = msgspec.to_builtins(first) | {
        "id": "group-1",
        "asset": GROUP,
        "track": "utility-air",
        "group_id": "",
        "message": f"{total} assets, common utility air",
        "cause_kind": "utility",
        "cause": "air",
        "first_out_asset": first.asset,
        "first_out_channel": first.top_channel,
        "first_out_id": first.id,
        "members_total": total,
        "members_active": total,
    }
    listed = tuple(
        MemberPayload(
            id=one.id,
            count=1,
            asset=one.asset,
            track=one.track,
            top_channel=one.top_channel,
            severity_num=one.severity_num,
            begin_ms=one.begin_ms,
            rang_ms=one.begin_ms,
            over_ms=None,
        )
        for one in members
    )
    told = GroupPayload(
        schema=GROUP_SCHEMA,
        id="group-1",
        revision=1,
        state=first.state,
        active=1,
        cause_kind="utility",
        cause="air",
        first_out_asset=first.asset,
        first_out_channel=first.top_channel,
        ts_ms=first.ts_ms,
        reason="common cause",
        members_total=total,
        members=listed,
    )
    return msgspec.convert(given, GroupAlertPayload), told


def jobs(
    asset: str, *, ts_ms: int = T0_MS, proposals: int = 0, quote: str = "q", instrument: str = "tcp"
) -> JobsPayload:
    """The retained list of an asset."""
    made = tuple(
        JobPayload(
            job_id=f"{asset}-p{i}",
            kind="calibration",
            instrument=instrument,
            state="proposed",
            witness="",
            opened_by="",
            source="log",
            valid_from_ms=ts_ms,
            valid_to_ms=None,
            fuse_ms=None,
            scope=(),
            quotes=(quote,),
        )
        for i in range(proposals)
    )
    return JobsPayload(asset=asset, ts_ms=ts_ms, jobs=(), proposals=made)


def health(plant_ms: int = T0_MS) -> HealthPayload:
    """A report of a gateway that is well."""
    return HealthPayload(
        ts_ms=plant_ms,
        plant_ms=plant_ms,
        uptime_s=1.0,
        messages_per_s=10.0,
        queue_depth=0,
        queue_depth_max=10,
        lag_ms=1.0,
        tick_ms_max=1.0,
        rss_mb=100.0,
        journal_mb=1.0,
        outbox_pending=0,
        counts={},
        drops={"invalid_not_json": 2},
        blind=(),
    )


def message(said: msgspec.Struct) -> tuple[str, bytes]:
    """Topic and bytes of a payload."""
    match said:
        case EventPayload():
            topic = TOPICS.event(said.asset)
        case AlertPayload() | GroupAlertPayload():
            topic = TOPICS.alert(said.asset, said.track)
        case GroupPayload():
            topic = TOPICS.group(f"{said.cause_kind}-{said.cause}")
        case JobsPayload():
            topic = TOPICS.job(said.asset)
        case ScorePayload():
            topic = TOPICS.score(said.asset)
        case _:
            topic = TOPICS.health
    return topic, encode(said)
