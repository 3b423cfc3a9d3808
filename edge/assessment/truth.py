"""What really happened in a recording: faults and jobs, for judging a backtest.

Times are int ns, UTC.
"""

from __future__ import annotations

import msgspec

from kb.records import WorkKind


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """A fault that was really there.

    `size_sigma` NaN-free; 0.0 where the size is unknown (labelled tables).
    """

    fault_id: str
    kind: str
    asset: str
    channels: tuple[str, ...]  # empty: unknown
    begin_ns: int
    end_ns: int
    size_sigma: float = 0.0
    situation: str = "alone"  # alone | during_job | neighbour | after_cancelled


class TrueJob(msgspec.Struct, frozen=True, kw_only=True):
    """Work that really happened, or was planned and cancelled.

    `witness` "" means nobody told the system. `told`: how people wrote of it all the same:
    planned, begun, done (log lines), late_order.
    """

    job_id: str
    kind: WorkKind
    asset: str
    instrument: str
    channels: tuple[str, ...]
    begin_ns: int
    end_ns: int
    witness: str = ""  # plant | person | order | ""
    cancelled: bool = False
    size_sigma: float = 0.0
    settle_s: int = 900  # after its end, for which the signals may still show it
    told: tuple[str, ...] = ()


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """What moved the signals and was neither work nor a fault: it rings, and nothing is broken."""

    cause_id: str
    kind: str  # changeover | material_lot | warm_up
    asset: str
    channels: tuple[str, ...]
    begin_ns: int
    end_ns: int
    told: tuple[str, ...] = ()


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """Labels of one recording."""

    begin_ns: int
    end_ns: int
    faults: tuple[Fault, ...] = ()
    jobs: tuple[TrueJob, ...] = ()
    causes: tuple[Cause, ...] = ()
