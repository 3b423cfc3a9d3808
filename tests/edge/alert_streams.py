"""Streams of alerts as gateways publish them, from a seed, and outboxes that hold them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edge.configuration.config import load
from edge.records import Publish
from edge.storage.outbox import Outbox
from edge.wire import outgoing as out

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from edge.configuration.config import GatewayConfig

DAY_MS: Final = 86_400_000
OCTOBER_MS: Final = 1_790_805_600_000  # 2026-10-01T00:00 in Berlin
SEVERITIES: Final = (("low", 3), ("medium", 2), ("high", 1))
MESSAGES: Final = (
    "Führungsspiel außerhalb des Üblichen: 4,2 µm statt 0,8 bis 1,9 µm",
    "<script>alert(1)</script> & \"quoted\" 'too'",
    "Vibration above usual: bearing outer race " + "with a very long explanation " * 9,
    "Druckabfall-am-" + "Kühlwasserrücklauf" * 12,
    "flow 3.1 m3/h, usually 3.9 to 4.2",
)


@dataclass(kw_only=True)
class Told:
    """A revision, and what it was of. by_job: a job kept it quiet."""

    t_ms: int
    asset: str
    id: str
    payload: out.AlertPayload


def alert(
    *,
    t_ms: int,
    asset: str,
    begin_ms: int,
    revision: int,
    state: str,
    count: int = 1,
    rings: int = 1,
    track: str = "process",
    suppressed: int = 0,
    shelved: int = 0,
    shadow: int = 0,
    severity: tuple[str, int] = SEVERITIES[1],
    message: str = MESSAGES[-1],
) -> Told:
    """One revision; it rings where its state is active and nothing keeps it quiet."""
    active = int(state.startswith("ACTIVE") and not suppressed and not shelved)
    alert_id = f"{asset}-{track}-{begin_ms}"
    payload = out.AlertPayload(
        schema=out.ALERT_SCHEMA, id=alert_id, revision=revision, site="s", area="", asset=asset,
        functional_location="", track=track, klass="process", state=state, active=active,
        acked=int(state.endswith("_ACK")), suppressed=suppressed, shelved=shelved,
        out_of_service=0, suppressed_or_shelved=int(bool(suppressed or shelved)),
        severity=severity[0], severity_num=100, priority=severity[1], audience="operator",
        decision="suppress" if suppressed else "alert", job_id="job-7" if suppressed else "",
        rings_again_ms=t_ms + 3_600_000 if suppressed else None, score=9.0, threshold=4.0, ts="",
        ts_ms=t_ms, begin_ms=begin_ms, first_seen="", count=count, rings=rings, message=message,
        top_channel="flow", top_value=3.1, top_unit="m3/h", usual_low=3.9, usual_high=4.2,
        advice="", source="", respond_min=10, annunciate=int(active and not shadow),
        shadow=shadow,
    )  # fmt: skip
    return Told(t_ms=t_ms, asset=asset, id=alert_id, payload=payload)


def month_of(seed: int, *, days: int = 31, assets: int = 12, a_day: float = 30.0) -> list[Told]:
    """Events of a month: some kept quiet, some acknowledged, some chattering, one that stays."""
    draw = random.Random(seed)
    found: list[Told] = []
    free_ms = dict.fromkeys((f"m{i:02}" for i in range(assets)), OCTOBER_MS - DAY_MS)
    for _ in range(round(days * a_day)):
        asset = draw.choice(list(free_ms))
        gap = draw.expovariate(1 / (assets * DAY_MS / a_day))
        if draw.random() < 0.25:
            gap = draw.uniform(20_000, 200_000)
        begin_ms = free_ms[asset] + 1_000 + round(gap)
        if begin_ms > OCTOBER_MS + days * DAY_MS:
            continue
        told = _event(draw, asset, begin_ms, brief=gap < 200_000)
        free_ms[asset] = told[-1].t_ms
        found += told
    return sorted(found, key=lambda one: (one.t_ms, one.asset))


def _event(draw: random.Random, asset: str, begin_ms: int, *, brief: bool) -> list[Told]:
    severity, message = draw.choice(SEVERITIES), draw.choice(MESSAGES)
    revision = rings = 0
    t_ms, told = begin_ms, list[Told]()
    acked = shelved = suppressed = 0
    suppressed = int(draw.random() < 0.3)
    shadow = int(draw.random() < 0.05)

    def say(state: str) -> None:
        nonlocal revision
        revision += 1
        told.append(
            alert(
                t_ms=t_ms, asset=asset, begin_ms=begin_ms, revision=revision, rings=rings,
                state=state, suppressed=suppressed, shelved=shelved, shadow=shadow,
                severity=severity, message=message,
            )
        )  # fmt: skip

    rings += not suppressed
    say("ACTIVE_UNACK")
    for _ in range(0 if brief else draw.randrange(5)):
        t_ms += round(draw.expovariate(1 / 400_000)) + 1
        match draw.randrange(5):
            case 0:
                rings += bool(suppressed or not shelved)
                suppressed = 0
            case 1 if not suppressed:
                acked = 1
            case 2:
                shelved = 1 - shelved
            case 3 if not suppressed:
                rings += 1
            case _:
                pass
        say("ACTIVE_ACK" if acked else "ACTIVE_UNACK")
    t_ms += round(draw.expovariate(1 / (9_000 if brief else 900_000))) + 1
    if draw.random() < 0.03:
        t_ms += 2 * DAY_MS
    say("CLEARED_ACK" if acked or suppressed else "CLEARED_UNACK")
    if not acked and not suppressed and not brief and draw.random() < 0.8:
        t_ms += round(draw.expovariate(1 / 600_000)) + 1
        say("CLEARED_ACK")
    return told


def keep(told: Iterable[Told], path: Path) -> None:
    """An outbox as a gateway leaves it: each revision in full, and the event beside it."""
    outbox = Outbox(path)
    rows = list(told)
    for first in range(0, len(rows), 500):
        outbox.put([each for one in rows[first : first + 500] for each in _messages(one)])
    outbox.delivered([row.row for row in outbox.pending(limit=10**6)])
    outbox.close()


def site(tmp_path: Path, told: list[Told], more: str = "") -> GatewayConfig:
    """A gateway that has published these."""
    (tmp_path / "state").mkdir(exist_ok=True)
    keep(told, tmp_path / "state" / "outbox.sqlite")
    path = tmp_path / "gateway.toml"
    zone = '[reports]\ntimezone = "Europe/Berlin"\n'
    path.write_text(f'site = "s"\n[model]\nbundle = "b"\n{zone}{more}')
    return load(path)


def _messages(one: Told) -> list[Publish]:
    key = (one.id, one.payload.revision)
    payload = out.encode(one.payload)
    topics = (f"andon/s/alert/{one.asset}/{one.payload.track}", f"andon/s/event/{one.asset}")
    return [
        Publish(topic=topic, payload=payload, qos=1, retain=i == 0, key=key)
        for i, topic in enumerate(topics)
    ]
