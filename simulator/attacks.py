"""Attacks on the decision: variants of one honest job, each with one thing wrong.

A variant is a disturbance of one robot and everything that speaks of work on it: tables, logs,
commands and the robot's own function-check bit. The honest variant is suppressed; in every other,
one fact is not what it must be, and the disturbance has to ring. Nothing is drawn from outside the
seed, so a number names a variant for good.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import numpy as np

from simulator.cells.paperwork import ORDER_COLUMNS, SCOPE_COLUMNS
from simulator.cells.weld_signals import CHANNEL_NAMES
from simulator.faults import Mark, Shape
from simulator.jobs import CALIBRATIONS, SECOND_NS, WORKS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulator.jobs import Work

ASSET: Final = "r1"
OTHER: Final = "r2"
LENGTH_S: Final = 2640
BEGIN_S: Final = 900  # of the job
MARK_S: Final = 960  # of the disturbance
MARK_END_S: Final = 1440
END_S: Final = 1500
FUSE_MIN: Final = 25  # of the scope row: longer than the job, shorter than the recording
BUDGET_S: Final = 120  # the longest that a ring may keep an operator waiting
DAY_S: Final = 86_400
BERLIN: Final = ZoneInfo("Europe/Berlin")
ORDER_ID: Final = "WO-4711"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One message of an operator, `t_s` seconds after the begin."""

    t_s: int
    name: str
    body: dict[str, Any]
    retain: bool = False
    age_s: int = 0  # how old its own time stamp is


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One plant with one disturbance and what is said about it.

    rings_from_s, rings_by_s: when it has to begin to ring; by 0: at no time may it be suppressed.
    bit: seconds at which the function-check bit is 1. ahead_s: how far the robot's clock is ahead.
    """

    family: str
    number: int
    begin_ns: int
    work: Work
    marks: tuple[Mark, ...]
    texts: dict[str, str]
    honest: bool = False
    told: tuple[Told, ...] = ()
    bit: tuple[tuple[int, int], ...] = ()
    ahead_s: int = 0
    safety: tuple[str, ...] = ()
    corrupt: bool = False
    rings_from_s: int = 0
    rings_by_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The honest job that a family spoils: an approved order, recorded the day before."""

    number: int
    rng: np.random.Generator
    begin_ns: int
    work: Work
    size: float

    # --- words ---

    def iso(self, at_s: float, *, zone: ZoneInfo = BERLIN) -> str:
        """A time of the plant with its zone."""
        utc = datetime.fromtimestamp(self.begin_ns // SECOND_NS, UTC) + timedelta(seconds=at_s)
        return utc.astimezone(zone).isoformat(timespec="seconds")

    def local(self, at_s: float) -> str:
        """The same without a zone."""
        return self.iso(at_s)[:19]

    def order_row(self, **changes: str) -> dict[str, str]:
        """The order's row, with changes."""
        return {
            "order_id": ORDER_ID,
            "asset": ASSET,
            "kind": self.work.kind.value,
            "instrument": self.work.instrument,
            "status": "APPR",
            "start": self.iso(BEGIN_S),
            "end": self.iso(END_S),
            "recorded_at": self.iso(-DAY_S + self.number % 3600),
            "approved_by": "maintenance planner",
            "description": f"{self.work.words[self.number % len(self.work.words)]} R1",
            **changes,
        }

    def scope_row(self, **changes: str) -> dict[str, str]:
        """The approved scope of the work, with changes."""
        return {
            "kind": self.work.kind.value,
            "asset": ASSET,
            "instrument": self.work.instrument,
            "channels": ";".join(self.work.channels),
            "expected_effect": "0.5",
            "duration_min_max": str(FUSE_MIN),
            "settle_s": str(self.work.settle_s),
            "approved_by": "reliability engineer",
            "approved_at": self.iso(-40 * DAY_S),
            **changes,
        }

    def texts(
        self,
        orders: Sequence[dict[str, str]] | None = None,
        scopes: Sequence[dict[str, str]] | None = None,
        *,
        more: dict[str, str] | None = None,
    ) -> dict[str, str]:
        """Files of the knowledge base: None is the honest table, () is none."""
        orders = [self.order_row()] if orders is None else orders
        scopes = [self.scope_row()] if scopes is None else scopes
        files = dict(more or {})
        if orders:
            files["orders.csv"] = table(ORDER_COLUMNS, orders)
        if scopes:
            files["scope.csv"] = table(SCOPE_COLUMNS, scopes)
        return files

    # --- signals ---

    def mark(
        self, channel: str = "", *, begin_s: int = MARK_S, end_s: int = MARK_END_S, size: float = 0
    ) -> Mark:
        """A disturbance of one channel; without a name, of the first that the work may disturb."""
        return Mark(
            channel=channel or self.work.channels[0],
            shape=Shape.STEP,
            size=size or self.size,
            begin_s=begin_s,
            end_s=end_s,
            pattern=self.number,
        )

    def outside(self) -> str:
        """A channel that the work may not disturb."""
        others = [name for name in CHANNEL_NAMES if name not in self.work.channels]
        return others[int(self.rng.integers(len(others)))]

    def variant(self, family: str, **facts: Any) -> Variant:  # noqa: ANN401 - fields of Variant
        """A variant of this job; what is not given is honest."""
        facts = {"marks": (self.mark(),), "texts": self.texts(), **facts}
        return Variant(
            family=family, number=self.number, begin_ns=self.begin_ns, work=self.work, **facts
        )

    def say(
        self,
        name: str,
        t_s: int,
        *,
        retain: bool = False,
        age_s: int = 0,
        **body: Any,  # noqa: ANN401 - fields of a command
    ) -> Told:
        """A command of an operator, with a reason where it needs one."""
        if name in ("confirm", "job", "shelve", "oos"):
            body.setdefault("reason", "as planned")
        return Told(t_s=t_s, name=name, body=body, retain=retain, age_s=age_s)

    def check_in(self, t_s: int = BEGIN_S, **changes: Any) -> Told:  # noqa: ANN401
        """The check-in of the honest job."""
        body = {
            "action": "check_in",
            "asset": ASSET,
            "kind": self.work.kind.value,
            "instrument": self.work.instrument,
        }
        retain, age_s = changes.pop("retain", False), changes.pop("age_s", 0)
        return self.say("job", t_s, retain=retain, age_s=age_s, **{**body, **changes})


def draft(seed: int, number: int, *, begin_ns: int, wired: Work | None = None) -> Draft:
    """Draw the honest job of one number. wired: the work that the robot's bit stands for."""
    rng = np.random.default_rng(np.random.SeedSequence([abs(seed), number]))
    works = (*CALIBRATIONS, *WORKS[len(CALIBRATIONS) : len(CALIBRATIONS) + 2])
    work = wired or works[int(rng.integers(len(works)))]
    size = float(rng.uniform(4.0, 9.0)) * (1 if rng.random() < 0.5 else -1)
    return Draft(number=number, rng=rng, begin_ns=begin_ns, work=work, size=size)


def table(columns: Sequence[str], rows: Sequence[dict[str, str]]) -> str:
    """A CSV file; columns that a row has beside the usual ones are added at the end."""
    more = [name for row in rows for name in row if name not in columns]
    names = [*columns, *dict.fromkeys(more)]
    out = io.StringIO()
    writer = csv.DictWriter(out, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
