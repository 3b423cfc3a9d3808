"""A welding robot of the simulator with many faults and bumps, its truth, and a bundle of it."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from edge.assessment.label_words import Label
from edge.assessment.truth import Fault, Truth
from edge.recordings.recording import TimedMessage
from models.bundles.assemble import make_bundle
from models.fitting.fit import FitOptions, fit_asset
from models.samples import TrainingSamples
from simulator.cells import simulate
from simulator.faults import FaultKind, fault_marks, render
from simulator.scenario import Scenario, _write_journal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from models.bundles.bundle import Bundle

S: Final = 1_000_000_000
FIT_ROWS: Final = 6_000
FIRST: Final = 2_200  # seconds: the detector has settled, and a stop is over
APART: Final = 540  # seconds between the begins
LASTS: Final = 150
KINDS: Final = (FaultKind.CONTACT_TIP_WEAR, FaultKind.GAS_FLOW_LOSS, FaultKind.WIRE_FEED_SLIP)
ROUNDS: Final = 3
BUMP: Final = "bump"  # on one channel, small: an alert of nothing
BUMPS: Final = 3
BUMP_SIGMA: Final = 2.6
BUMP_LASTS: Final = 20
SITE: Final = "weldcell"


@functools.cache
def calm() -> Scenario:
    """The robot without faults and jobs."""
    hours = (FIT_ROWS + FIRST + APART * (len(KINDS) * ROUNDS + BUMPS + 2)) / 3600
    return simulate("weld", seed=11, hours=hours, assets=1, faults=False, jobs=False)


@functools.cache
def asset() -> str:
    """Its id."""
    return calm().assets[0]


@functools.cache
def bundle() -> Bundle:
    """Fitted on the first rows of it."""
    cell, name = calm(), asset()
    samples = TrainingSamples(
        asset=name,
        channels=cell.channels,
        values=cell.values[name][:FIT_ROWS],
        t_ns=cell.t_ns[:FIT_ROWS],
        period_ns=cell.period_ns,
        running=cell.running(name)[:FIT_ROWS],
        sha256="0" * 64,
    )
    return make_bundle([fit_asset(samples, FitOptions(alignment="rows"))], alerts_per_day=6.0)


@functools.cache
def struck(rounds: int = ROUNDS) -> Scenario:
    """The rest of it with faults in turn, and bumps at the end; truth names both."""
    cell, name = calm(), asset()
    rows = FIRST + APART * (len(KINDS) * rounds + BUMPS)
    after = slice(FIT_ROWS, FIT_ROWS + rows)
    values = cell.values[name][after].copy()
    sigma, index = cell.sigma[name], {c.name: i for i, c in enumerate(cell.channels)}
    running = cell.running(name)[after]
    begin_ns = int(cell.t_ns[FIT_ROWS])
    found: list[Fault] = []
    rng = np.random.default_rng(7)
    at = FIRST
    for n in range(len(KINDS) * rounds):
        kind = KINDS[n % len(KINDS)]
        marks = fault_marks(
            kind, channels=tuple(index), size=5.0, begin_s=at, end_s=at + LASTS, rng=rng
        )
        for mark in marks:
            column = index[mark.channel]
            span = slice(mark.begin_s, mark.end_s)
            values[span, column] += running[span] * render(mark) * sigma[column]
        found.append(_fault(f"F-{n}", kind.value, begin_ns, at))
        at += APART
    for n in range(BUMPS):
        span = slice(at, at + BUMP_LASTS)
        values[span, 1] += running[span] * BUMP_SIGMA * sigma[1]
        found.append(_fault(f"B-{n}", BUMP, begin_ns, at, lasts=BUMP_LASTS))
        at += APART
    return replace(
        cell,
        begin_ns=begin_ns,
        values={name: values},
        context={name: cell.context[name][after]},
        truth=Truth(begin_ns=begin_ns, end_ns=begin_ns + rows * S, faults=tuple(found)),
        commands=(),
        normal=None,
    )


def _fault(fault_id: str, kind: str, begin_ns: int, at: int, lasts: int = LASTS) -> Fault:
    return Fault(
        fault_id=fault_id,
        kind=kind,
        asset=asset(),
        channels=(),
        begin_ns=begin_ns + at * S,
        end_ns=begin_ns + (at + lasts) * S,
    )


def written(folder: Path, *, said: Sequence[TimedMessage] = (), rounds: int = ROUNDS) -> Path:
    """The recording as a journal with its gateway.toml; said: what people sent besides."""
    cell = struck(rounds)
    folder.mkdir(parents=True, exist_ok=True)
    messages = sorted([*cell.messages(), *said], key=lambda one: one.t_ns)
    _write_journal(folder / "recording", iter(messages))
    (folder / "gateway.toml").write_text(cell.gateway, encoding="utf-8")
    return folder / "recording"


def word(t_ns: int, alert_id: str, label: str, *, by: str, note: str = "") -> TimedMessage:
    """A feedback command as an operator's panel sends it."""
    body: dict[str, Any] = {"ts": t_ns // 1_000_000, "alert_id": alert_id, "label": label}
    body |= {"note": note} if note else {}
    topic = f"andon/{SITE}/cmd/{by}/feedback"
    return TimedMessage(t_ns=t_ns, topic=topic, payload=msgspec.json.encode(body))


def truth_labels(rounds: int = ROUNDS) -> list[Label]:
    """What a person who knows all would say: the mode of each fault, and that bumps are nothing."""
    return [
        Label(
            asset=asset(),
            begin_ns=fault.begin_ns,
            end_ns=fault.end_ns,
            label="nuisance" if fault.kind == BUMP else fault.kind,
            source="table",
            said_by="ann",
        )
        for fault in struck(rounds).truth.faults
    ]
