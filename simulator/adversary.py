"""The adversarial suite: every variant through the real readers of texts and the real engine.

One small plant of two robots is fitted once; each variant is its own stretch of it, with its own
knowledge base and its own commands. A variant is wrong when something was suppressed that may not
be, or did not ring when it had to. Honest twins show that the suite could have been suppressed.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from edge.configuration.config import load as load_config
from edge.engine import Engine
from edge.knowledge.known import knowledge_of
from edge.recordings.recording import TimedMessage
from edge.replays.backtest import Backtest, with_ticks
from edge.verdicts.decide import decide
from edge.wire.readings import encode_rows
from kb.errors import KnowledgeError
from kb.snapshots.build import build
from kb.snapshots.snapshot import VECTORS, Snapshot
from models.bundles.rows import without
from models.detector import detectors_of
from simulator.attack_families import BY_BIT, FAMILIES, HONEST
from simulator.attacks import ASSET, LENGTH_S, MARK_S, OTHER, Variant, draft
from simulator.cells import weld
from simulator.cells.weld_signals import CHANNEL_NAMES, CHANNELS, character, reference
from simulator.faults import render
from simulator.trial import fit_scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from edge.desk import Knowledge, Rule
    from edge.samples.scoring import Score
    from edge.settings import AssetSettings, GatewaySettings
    from models.bundles.bundle import Bundle
    from simulator.attacks import Told

SECOND_NS: Final = 1_000_000_000
MILLISECOND_NS: Final = 1_000_000
BATCH_S: Final = 20  # rows in a message, and between ticks
RUNNING_MIN: Final = 0.75  # of the time around a disturbance
EARLY_S: Final = 400  # the earliest disturbance begins this long before the usual one
BEGUN_S: Final = 200
GAP_S: Final = 20  # between two parts
STRAY_S: Final = 300  # from here on a clock may be wrong
OPERATOR: Final = "op-07"
_GATED: Final = np.array([channel.gated for channel in CHANNELS])


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one variant. heard: an event opened; quiet: one was suppressed."""

    family: str
    number: int
    honest: bool
    heard: bool
    quiet: bool
    wrong: bool
    why: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Plant:
    """Two robots that run, fitted; starts: seconds at which a variant may begin."""

    seed: int
    begin_ns: int
    bundle: Bundle
    detectors: tuple[Score, ...]
    settings: GatewaySettings
    values: dict[str, NDArray[np.float64]]  # (n, c)
    running: dict[str, NDArray[np.bool_]]  # (n,)
    starts: tuple[int, ...]


def plant(seed: int, folder: Path) -> Plant:
    """Simulate and fit the plant of a seed into an empty folder."""
    cell = weld.simulate(seed=seed, robots=2, hours=8.0, faults=False, jobs=False)
    cell.write(folder)
    bundle = fit_scenario(folder)
    settings = load_config(folder / "gateway.toml").settings
    running = {asset: cell.running(asset) for asset in cell.assets}
    # what people do takes place while the robot works: before, in, and after the disturbance
    starts = [
        at
        for at in range(0, cell.rows - LENGTH_S, 60)
        if running[ASSET][at + MARK_S - 700 : at + LENGTH_S].mean() >= RUNNING_MIN
        and _longest_stop(running[ASSET][at + MARK_S - EARLY_S : at + MARK_S + BEGUN_S]) <= GAP_S
    ]
    if not starts:
        raise ValueError(f"seed {seed}: the robot never runs for {LENGTH_S} s; take another")
    return Plant(
        seed=seed,
        begin_ns=cell.begin_ns,
        bundle=bundle,
        detectors=detectors_of(bundle),
        settings=msgspec.structs.replace(settings, clock="wall"),
        values=dict(cell.values),
        running=running,
        starts=tuple(starts),
    )


def _longest_stop(running: NDArray[np.bool_]) -> int:
    """Longest stretch of standing still in (n,) samples."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], running, [True]]).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def variants(where: Plant, numbers: range) -> Iterator[Variant]:
    """One variant a number, the families in turn; each 31st beside an honest twin of each kind."""
    families = list(FAMILIES.items())
    wired = character(where.seed, int(ASSET.removeprefix("r"))).wired
    for number in numbers:
        name, family = families[number % len(families)]
        begin_ns = where.begin_ns + _start(where, number) * SECOND_NS
        of_bit = wired if name in BY_BIT else None
        yield family(draft(where.seed, number, begin_ns=begin_ns, wired=of_bit))
        if number % len(families) == 0:
            for twin, honest in HONEST.items():
                of_bit = wired if twin in BY_BIT else None
                yield honest(draft(where.seed, number, begin_ns=begin_ns, wired=of_bit))


def _start(where: Plant, number: int) -> int:
    return where.starts[number * 7919 % len(where.starts)]


def judge(variant: Variant, where: Plant, *, rule: Rule = decide) -> Outcome:
    """Run one variant and say what became of it; `rule` as the engine takes it."""
    with tempfile.TemporaryDirectory(prefix="andon-attack-") as folder:
        known = _known(variant, Path(folder))
    settings = _settings(where.settings, variant)
    engine = Engine(
        settings,
        bundle=where.bundle,
        detectors=where.detectors,
        derive=lambda row, keep: without(where.bundle, row, keep),
        knowledge=known,
        rule=rule,
    )
    backtest = Backtest(engine)
    backtest.run(with_ticks(_messages(variant, where), step_ns=BATCH_S * SECOND_NS))
    mine = [e for e in backtest.revisions if e["asset"] == ASSET]
    return _judged(variant, mine)


def _judged(variant: Variant, revisions: list[dict[str, Any]]) -> Outcome:
    def at_s(event: dict[str, Any]) -> float:
        t_ns: int = event["ts_ms"] * MILLISECOND_NS
        return (t_ns - variant.begin_ns) / SECOND_NS

    about = [e for e in revisions if at_s(e) >= variant.rings_from_s]
    quiet = any(e["suppressed"] for e in about)
    rang = [at_s(e) for e in about if e["active"] and e["track"] == "process"]
    why = ""
    if not variant.honest and variant.rings_by_s and about:
        if not any(t <= variant.rings_by_s for t in rang):
            why = f"did not ring by second {variant.rings_by_s}"
    elif not variant.honest and quiet:
        first = next(e for e in about if e["suppressed"])
        why = f"suppressed at second {at_s(first):.0f} by {first['job_id']}"
    return Outcome(
        family=variant.family,
        number=variant.number,
        honest=variant.honest,
        heard=bool(about),
        quiet=quiet,
        wrong=bool(why),
        why=why,
    )


# --- what the engine gets ---


def _known(variant: Variant, folder: Path) -> Knowledge | None:
    """The variant's texts, read as they are by the gateway; None where they cannot be used."""
    source, out = folder / "kb", folder / "snapshot"
    source.mkdir()
    for name, text in variant.texts.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    # what was recorded without a time is known from before the variant begins
    build(source, out, now_ns=variant.begin_ns - 86_400 * SECOND_NS)
    if variant.corrupt:
        broken = out / ("kb.sqlite", VECTORS)[variant.number % 2]
        stored = bytearray(broken.read_bytes())
        stored[variant.number * 7919 % len(stored)] ^= 1 << variant.number % 8
        broken.write_bytes(stored)
    try:
        with Snapshot.open(out) as snapshot:
            return knowledge_of(snapshot)
    except KnowledgeError:
        return None


def _settings(settings: GatewaySettings, variant: Variant) -> GatewaySettings:
    def of(asset: AssetSettings) -> AssetSettings:
        safety = variant.safety if asset.id == ASSET else ()
        return msgspec.structs.replace(asset, safety=safety)

    return msgspec.structs.replace(settings, asset=tuple(of(asset) for asset in settings.asset))


def _messages(variant: Variant, where: Plant) -> Iterator[TimedMessage]:
    told = sorted(
        (_command(t, variant, where.settings.site) for t in variant.told), key=lambda m: m.t_ns
    )
    rows = {asset: _rows(asset, variant, where) for asset in (ASSET, OTHER)}
    tags = [*CHANNEL_NAMES, "run_state", "cal_mode", "recipe"]
    for first in range(0, LENGTH_S, BATCH_S):
        sent_ns = variant.begin_ns + (first + BATCH_S - 1) * SECOND_NS
        while told and told[0].t_ns <= sent_ns:
            yield told.pop(0)
        for asset, values in rows.items():
            astray = asset == ASSET and first >= STRAY_S
            ahead_ns = variant.ahead_s * SECOND_NS if astray else 0
            times = [variant.begin_ns + ahead_ns + (first + i) * SECOND_NS for i in range(BATCH_S)]
            chosen = values[first : first + BATCH_S].tolist()
            for payload in encode_rows(tags, times, chosen, shape="columnar"):
                yield TimedMessage(t_ns=sent_ns, topic=f"plant/{asset}", payload=payload)


def _rows(asset: str, variant: Variant, where: Plant) -> NDArray[np.float64]:
    """Channels and context tags of one robot over a variant (n, c + 3)."""
    begin = (variant.begin_ns - where.begin_ns) // SECOND_NS
    chosen = slice(begin, begin + LENGTH_S)
    values = where.values[asset][chosen].copy()
    running = where.running[asset][chosen]
    _, sigma = reference(where.seed, int(asset.removeprefix("r")))
    bit = np.zeros(LENGTH_S)
    if asset == ASSET:
        for mark in variant.marks:
            k = CHANNEL_NAMES.index(mark.channel)
            at = slice(mark.begin_s, mark.end_s)
            shown = running[at] | ~_GATED[k]
            values[at, k] += np.where(shown, sigma[k] * render(mark), 0.0)
        for rise_s, fall_s in variant.bit:
            bit[rise_s:fall_s] = 1.0
    context = np.stack([running, bit, np.zeros(LENGTH_S)], axis=1)
    return np.hstack([values, context])


def _command(told: Told, variant: Variant, site: str) -> TimedMessage:
    t_ns = variant.begin_ns + told.t_s * SECOND_NS
    body = {"ts": (t_ns - told.age_s * SECOND_NS) // MILLISECOND_NS, **told.body}
    return TimedMessage(
        t_ns=t_ns,
        topic=f"andon/{site}/cmd/{OPERATOR}/{told.name}",
        payload=msgspec.json.encode(body),
        retain=told.retain,
    )


# --- many of them ---


def run(seed: int, numbers: range, *, rule: Rule = decide) -> list[Outcome]:
    """Judge a range of variants of one seed."""
    with tempfile.TemporaryDirectory(prefix="andon-adversary-") as folder:
        where = plant(seed, Path(folder))
        return [judge(variant, where, rule=rule) for variant in variants(where, numbers)]


def by_family(outcomes: list[Outcome]) -> dict[str, dict[str, int]]:
    """Total, heard, quiet and wrong of each family, honest twins among them."""
    counts: dict[str, Counter[str]] = {}
    for outcome in outcomes:
        count = counts.setdefault(outcome.family, Counter(total=0, heard=0, quiet=0, wrong=0))
        count.update(total=1, heard=outcome.heard, quiet=outcome.quiet, wrong=outcome.wrong)
    return {family: dict(count) for family, count in sorted(counts.items())}
