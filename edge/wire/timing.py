"""What health says of how long something takes, or how late it is."""

from __future__ import annotations

import msgspec


class TimingPayload(msgspec.Struct, frozen=True, kw_only=True):
    """Percentiles in ms since the last report, at most 4.4 % too high; null: there was none."""

    count: int = 0
    p50: float | None = None
    p99: float | None = None
    p999: float | None = None
    max: float | None = None


class TicksPayload(msgspec.Struct, frozen=True, kw_only=True):
    """Ticks since the last report.

    late_ms: from when one was due to when its work began, those that were left out included;
    end_ms: to when it ended. missed: ticks that were left out, because the one before them was
    still to come.
    """

    late_ms: TimingPayload = TimingPayload()
    end_ms: TimingPayload = TimingPayload()
    missed: int = 0


class RetrievalPayload(msgspec.Struct, frozen=True, kw_only=True):
    """Questions to the knowledge base since the last report; no verdict waits for one.

    answer_ms: from the question to its answer; searches: those of them that had to search;
    cached: that could be answered as one before; late, refused: those with no answer in time, and
    those of too many at once.
    """

    answer_ms: TimingPayload = TimingPayload()
    searches: int = 0
    cached: int = 0
    late: int = 0
    refused: int = 0


class LatencyPayload(msgspec.Struct, frozen=True, kw_only=True):
    """How late ticks come, and how long enrichment takes, which no verdict waits for."""

    ticks: TicksPayload = TicksPayload()
    retrieval: RetrievalPayload = RetrievalPayload()
