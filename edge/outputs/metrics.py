"""Figures for monitoring, made of what was published: health, status, alerts and scores.

Names and units as Prometheus wants them: seconds, bytes, `_total` for what only grows. Labels are
assets, tracks and reasons, all of them bounded; text is never a label.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

from edge.errors import UNREADABLE

SERIES_MAX: Final = 5_000  # of one metric; what is beyond is counted and left out


class Series(NamedTuple):
    """One series of a metric: the values of its labels, and its own."""

    labels: tuple[str, ...]
    value: float


@dataclass(slots=True)
class Family:
    """One metric with its series. kind: gauge or counter, whose name is without `_total`."""

    name: str
    kind: str
    text: str
    labels: tuple[str, ...] = ()
    series: list[Series] = field(default_factory=list)


# metric, kind, what it says, and where health has it
HEALTH: Final = (
    ("andon_uptime_seconds", "gauge", "Since the process began.", ("uptime_s",), 1.0),
    ("andon_plant_time_seconds", "gauge", "Plant time, since 1970.", ("plant_ms",), 1e-3),
    ("andon_queue_depth", "gauge", "Messages that wait to be journaled.", ("queue_depth",), 1.0),
    ("andon_queue_depth_limit", "gauge", "Most that may wait.", ("queue_depth_max",), 1.0),
    ("andon_lag_seconds", "gauge", "Median from arrival to decision.", ("lag_ms",), 1e-3),
    ("andon_tick_seconds_max", "gauge", "Longest tick of the last report.", ("tick_ms_max",), 1e-3),
    ("andon_resident_memory_bytes", "gauge", "Memory of the gateway.", ("rss_mb",), 1e6),
    ("andon_journal_bytes", "gauge", "What the journal keeps.", ("journal_mb",), 1e6),
    (
        "andon_outbox_pending",
        "gauge",
        "Alert messages not confirmed yet.",
        ("outbox_pending",),
        1.0,
    ),
    ("andon_outbox_bytes", "gauge", "The same in bytes.", ("outbox_mb",), 1e6),
    ("andon_durable", "gauge", "0: the disk does not take what must survive.", ("durable",), 1.0),
    ("andon_drifting_assets", "gauge", "Assets whose normal operation moved.", ("drifting",), 1.0),
    ("andon_learning_assets", "gauge", "Assets that learn.", ("learning",), 1.0),
    ("andon_shadow_assets", "gauge", "Assets not in service yet.", ("in_shadow",), 1.0),
    ("andon_faults_active", "gauge", "Troubles of its own.", ("counts", "faults_active"), 1.0),
    ("andon_messages", "counter", "Messages received.", ("counts", "link_received"), 1.0),
    ("andon_commands", "counter", "Commands taken.", ("counts", "commands"), 1.0),
    (
        "andon_overload_active",
        "gauge",
        "1 while messages are given up.",
        ("overload", "active"),
        1.0,
    ),
    ("andon_topics_set_aside", "gauge", "Topics not read.", ("overload", "set_aside_topics"), 1.0),
    ("andon_clock_doubted", "gauge", "1: sources outvote the box.", ("clock", "doubted"), 1.0),
)
OUTPUTS: Final = (
    ("andon_output_sent", "counter", "What an output has told.", "sent"),
    ("andon_output_failed", "counter", "Its tries that failed.", "failed"),
    ("andon_output_dropped", "counter", "What it gave up.", "dropped"),
    ("andon_output_waiting", "gauge", "What it has not told yet.", "waiting"),
)


class _Alert(msgspec.Struct, frozen=True):
    """What counts of an alert, or of a trouble of our own."""

    active: int
    asset: str = "_gateway"
    track: str = "system"
    severity: str = "MEDIUM"
    suppressed: int = 0
    shelved: int = 0
    out_of_service: int = 0


class _Score(msgspec.Struct, frozen=True):
    """What counts of a score."""

    asset: str
    score: float | None
    threshold: float


@dataclass(slots=True)
class Published:
    """The newest of everything that metrics are made of, by kind and topic; payloads as said.

    rings, suppressions: since the start, by asset and track.
    """

    status: bytes = b""
    health: bytes = b""
    alerts: dict[str, bytes] = field(default_factory=dict)
    scores: dict[str, bytes] = field(default_factory=dict)
    rings: dict[tuple[str, str], int] = field(default_factory=dict)
    suppressions: dict[tuple[str, str], int] = field(default_factory=dict)
    series_dropped: int = 0  # of one look
    unreadable: int = 0


def families(said: Published, *, now_s: float, knowledge_s: float | None) -> list[Family]:
    """All metrics. knowledge_s: when what is known was built; None: nothing is."""
    found = _of_health(said)
    found += _of_status(said)
    if knowledge_s is not None:
        age = Family("andon_knowledge_age_seconds", "gauge", "Since the knowledge was built.")
        age.series.append(Series((), max(0.0, now_s - knowledge_s)))
        found.append(age)
    found += _of_alerts(said)
    found += _of_scores(said)
    for name, text, counted in (
        ("andon_alert_rings", "Times that an alert asked for attention.", said.rings),
        (
            "andon_suppressions",
            "Suppressions begun, as work explained an event.",
            said.suppressions,
        ),
    ):
        series = [Series(labels, float(count)) for labels, count in sorted(counted.items())]
        found.append(Family(name, "counter", text, ("asset", "track"), series))
    for family in found:
        said.series_dropped += max(0, len(family.series) - SERIES_MAX)
        del family.series[SERIES_MAX:]
    told = [
        Series(("series",), float(said.series_dropped)),
        Series(("unreadable",), float(said.unreadable)),
    ]
    text = "What these metrics leave out."
    return [*found, Family("andon_metrics_left_out", "gauge", text, ("reason",), told)]


def _of_health(said: Published) -> list[Family]:
    health = _decoded(said, said.health, dict[str, Any])
    if health is None:
        return []
    found = []
    for name, kind, text, place, factor in HEALTH:
        value: Any = health
        for key in place:
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, int | float):
            found.append(Family(name, kind, text, (), [Series((), value * factor)]))
    for name, key, text in (
        ("andon_drops", "drops", "What was not taken, or was given up, by reason."),
        ("andon_events", "counts", "Everything that is counted, by what."),
    ):
        series = [Series((reason,), float(count)) for reason, count in sorted(health[key].items())]
        found.append(Family(name, "counter", text, ("reason",), series))
    blind, blinds = "1: its newest sample has no score.", sorted(health["blind"])
    found.append(
        Family("andon_blind", "gauge", blind, ("asset",), [Series((a,), 1.0) for a in blinds])
    )
    number = Family("andon_blind_assets", "gauge", "Assets whose newest sample has no score.")
    number.series.append(Series((), float(len(blinds))))
    found.append(number)
    links = [Series((one["broker"],), float(one["connected"])) for one in health["links"]]
    text = "1: there is a connection."
    found.append(Family("andon_broker_connected", "gauge", text, ("broker",), links))
    for name, kind, text, key in OUTPUTS:
        series = [Series((one["output"],), float(one[key])) for one in health.get("outputs", ())]
        found.append(Family(name, kind, text, ("output",), series))
    return found


def _of_status(said: Published) -> list[Family]:
    status = _decoded(said, said.status, dict[str, Any])
    if status is None:
        return []
    hashes = tuple(str(status[key])[:12] for key in ("version", "bundle", "snapshot"))
    labels = ("version", "bundle", "snapshot")
    return [Family("andon_build_info", "gauge", "What runs.", labels, [Series(hashes, 1.0)])]


def _of_alerts(said: Published) -> list[Family]:
    labels = ("asset", "track", "severity")
    rings = Family("andon_alert_active", "gauge", "1: it rings.", labels)
    quiet = Family(
        "andon_alert_silenced",
        "gauge",
        "1: a job or an operator keeps it quiet.",
        ("asset", "track", "by"),
    )
    totals: dict[str, float] = dict.fromkeys(("CRITICAL", "HIGH", "MEDIUM", "LOW"), 0.0)
    for payload in said.alerts.values():
        alert = _decoded(said, payload, _Alert)
        if alert is None:
            continue
        labelled = alert.asset, alert.track, alert.severity
        rings.series.append(Series(labelled, float(alert.active)))
        totals[alert.severity] = totals.get(alert.severity, 0.0) + alert.active
        for by in ("suppressed", "shelved", "out_of_service"):
            if getattr(alert, by):
                quiet.series.append(Series((alert.asset, alert.track, by), 1.0))
    total = Family("andon_alerts_active", "gauge", "How many ring.", ("severity",))
    total.series += [Series((severity,), count) for severity, count in totals.items()]
    return [rings, quiet, total]


def _of_scores(said: Published) -> list[Family]:
    scores = Family("andon_score", "gauge", "How strange an asset is.", ("asset",))
    bars = Family("andon_score_threshold", "gauge", "Score that opens an event.", ("asset",))
    for payload in said.scores.values():
        one = _decoded(said, payload, _Score)
        if one is not None:
            value = float("nan") if one.score is None else one.score
            scores.series.append(Series((one.asset,), value))
            bars.series.append(Series((one.asset,), one.threshold))
    return [scores, bars]


class Heard(msgspec.Struct, frozen=True):
    """What counts of an event."""

    id: str
    asset: str
    track: str
    rings: int
    suppressed: int
    history: list[msgspec.Raw]


def event_of(payload: bytes) -> Heard | None:
    """What counts of an event; None of what is none."""
    try:
        return msgspec.json.decode(payload, type=Heard)
    except UNREADABLE:
        return None


def _decoded(said: Published, payload: bytes, kind: Any) -> Any:  # noqa: ANN401 - as msgspec has it
    if not payload:
        return None
    try:
        return msgspec.json.decode(payload, type=kind)
    except UNREADABLE:
        said.unreadable += 1
        return None
