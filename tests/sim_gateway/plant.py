"""A small plant: assets, detectors fitted once a process, what is known, and a schedule of a seed.

Machines run, stop, are calibrated and break; messages come late, twice, or not at all; operators
acknowledge, shelve, confirm and check in.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edge.settings import AssetSettings, ContextTag, EngineSettings
from edge.wire.readings import encode_rows
from kb.records import Proposal, WorkKind
from models.bundles.assemble import make_bundle
from models.fitting.fit import FitOptions, fit_asset
from tests.edge.rig import CHANNELS, QUOTE, fitted_of, knowledge, order, scope, var
from tests.models.plants import samples
from tests.sim_gateway.client import Message
from tests.sim_gateway.fate import SECOND_NS, START_NS

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge.desk import Knowledge
    from edge.takeover import Fitted

ASSETS: Final = ("r1", "r11", "r2", "r3")
OPERATORS: Final = ("ann", "bob")
NO_SCOPES: Final = 3  # the snapshot of which that is true
CALM_S: Final = 15  # at the end of a schedule, in which nothing fails any more
PLANT_S: Final = 4_000  # of each asset's normal operation


@functools.cache
def fitted(assets: int, version: int) -> Fitted:
    """The detector of so many assets; another version was fitted on other rows of the same."""
    options = FitOptions(alignment="rows")
    rows = [var(1500, seed=10 * version + i) for i in range(assets)]
    named = zip(ASSETS[:assets], rows, strict=True)
    return fitted_of(make_bundle([fit_asset(samples(x, asset=a), options) for a, x in named]))


@functools.cache
def normal(number: int) -> NDArray[np.float64]:
    """Normal operation of an asset (n, 4)."""
    return var(PLANT_S, seed=500 + number)


@functools.cache
def known(version: int) -> Knowledge:
    """What one of four snapshots says: scopes, orders with times and without, or nearly none.

    The last has none of the scopes that work goes by.
    """
    real = order(
        valid_from_ns=START_NS + 25 * SECOND_NS,
        valid_to_ns=START_NS + (40 + 10 * version) * SECOND_NS,
        recorded_at_ns=START_NS,
    )
    vague = msgspec.structs.replace(
        real, proposal_id="wo-2", real_times=False, valid_from_ns=None, valid_to_ns=None
    )
    proposals: tuple[Proposal, ...] = ((), (vague,), (real, vague))[version % 3]
    scopes = [scope(settle_s=20, duration_s_max=60), scope(asset="r11", scope_id="s2", settle_s=20)]
    scopes += [scope(scope_id="s3", instrument="y", channels=("c2",), settle_s=15)]
    assert QUOTE is not None
    scopes = scopes[2:] if version == NO_SCOPES else scopes[: 3 - version % 2]
    return knowledge(proposals=proposals, scopes=scopes, sha256=f"kb{version}")


def asset_settings(assets: int) -> tuple[AssetSettings, ...]:
    """r1 and r11 can be told that they are calibrated; all of them say whether they run."""
    run = ContextTag(tag="run", role="run")
    cal = ContextTag(tag="cal", role="witness", kind=WorkKind.CALIBRATION, instrument="x")
    return tuple(
        AssetSettings(id=name, context=(run, cal) if i < 2 else (run,), position=f"p{i % 2}")
        for i, name in enumerate(ASSETS[:assets])
    )


def engine_settings(draw: random.Random) -> EngineSettings:
    """Small times, so that everything happens within minutes."""
    return EngineSettings(
        tick_ms=draw.choice((500, 1_000, 3_000)),
        late_ms_max=draw.choice((500, 2_000)),
        clear_samples=draw.choice((5, 20)),
        cooldown_s=draw.choice((0, 30)),
        fuse_s=draw.choice((30, 3_600)),
        settle_s=20,
        comms_gap_s=draw.choice((10, 60)),
        retrieve_ms_max=draw.choice((200, 2_000)),
        score_publish_s=30,
        health_publish_s=60,
    )


@dataclass(slots=True)
class Stretch:
    """From second to second, what one asset is like."""

    asset: int
    begin_s: int
    end_s: int
    what: str  # fault, calibrated, stopped, stuck, silent, gap
    channel: int = 0
    sigmas: float = 0.0


@dataclass(slots=True)
class Sent:
    """A message and when it leaves; the plant time of its newest sample."""

    at_s: float
    message: Message


@dataclass
class Schedule:
    """What happens at one plant, drawn."""

    assets: int
    seconds: int
    stretches: list[Stretch] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)

    @classmethod
    def drawn(cls, draw: random.Random, *, assets: int, seconds: int) -> Schedule:
        """A schedule of a seed; its end is calm."""
        made = cls(assets, seconds)
        made.stretches = list(_stretches(draw, assets, seconds - CALM_S))
        batch = draw.choice((3, 6, 10))
        for begin in range(0, seconds, batch):
            made.sent += made._batch(
                draw, begin, min(begin + batch, seconds), calm=seconds - CALM_S
            )
        made.sent += _commands(draw, assets, seconds - CALM_S)
        made.sent.sort(key=lambda sent: sent.at_s)
        for number, sent in enumerate(made.sent):
            sent.message.number = number
        return made

    def _batch(self, draw: random.Random, begin: int, end: int, *, calm: int) -> list[Sent]:
        found = []
        for i in range(self.assets):
            live = [s for s in self.stretches if s.asset == i and s.begin_s <= begin < s.end_s]
            if any(one.what == "silent" for one in live):
                continue
            payloads = self._payloads(i, begin, end, live)
            for payload in payloads:
                at_s = end + draw.random() * 0.2
                rough = begin < calm
                if rough and draw.random() < 0.03:
                    at_s += draw.random() * 8.0  # later than the ones behind it
                qos = 1 if draw.random() < 0.9 else 0
                message = Message(f"plant/{ASSETS[i]}", payload, qos, retain=False)
                if rough and draw.random() < 0.02:
                    continue  # lost before the broker
                found.append(Sent(at_s, message))
                if rough and draw.random() < 0.04:  # the device had no answer, and said it twice
                    again = Message(message.topic, payload, qos, retain=draw.random() < 0.2)
                    found.append(Sent(at_s + draw.random() * 3.0, again))
        return found

    def _payloads(self, i: int, begin: int, end: int, live: Sequence[Stretch]) -> list[bytes]:
        model = fitted(self.assets, 0).bundle.assets[i]
        values = normal(i)[begin:end].copy()
        run = cal = 1.0
        cal = 0.0
        for one in live:
            if one.what in {"fault", "calibrated"}:
                values[:, one.channel] += one.sigmas * model.sigma[one.channel]
            if one.what == "stuck":
                values[:, one.channel] = normal(i)[0, one.channel]
            if one.what == "gap":
                values[:, one.channel] = np.nan
            run = 0.0 if one.what == "stopped" else run
            cal = 1.0 if one.what == "calibrated" else cal
        tags = [*CHANNELS, "run"] + (["cal"] if i < 2 else [])
        context = np.tile([run, cal][: len(tags) - len(CHANNELS)], (end - begin, 1))
        rows = np.column_stack([values, context]).round(9).tolist()
        t_ns = [START_NS + s * SECOND_NS for s in range(begin, end)]
        return list(encode_rows(tags, t_ns, rows, shape="columnar"))


def _stretches(draw: random.Random, assets: int, until_s: int) -> list[Stretch]:
    found = []
    for i in range(assets):
        at_s = draw.randrange(12, 25)
        while at_s < until_s:
            kinds = ["fault", "fault", "calibrated", "stopped", "stuck", "silent", "gap", "none"]
            what = draw.choice(kinds if i >= 2 else [*kinds, "calibrated", "calibrated"])
            if what == "calibrated" and i >= 2:
                what = "none"
            end_s = min(until_s, at_s + draw.randrange(6, 40))
            channel = 1 if what == "calibrated" else draw.randrange(4)
            sigmas = draw.choice((6.0, 9.0, -8.0))
            found.append(Stretch(i, at_s, end_s, what, channel, sigmas))
            if what == "calibrated" and draw.random() < 0.3:  # a fault while it is worked on
                found.append(Stretch(i, at_s + 2, end_s, "fault", 3, 9.0))
            at_s = end_s + draw.randrange(5, 40)
    return found


def _commands(draw: random.Random, assets: int, until_s: int) -> list[Sent]:
    found = []
    for _ in range(draw.randrange(10)):
        at_s = draw.randrange(15, max(until_s, 16))
        asset, operator = ASSETS[draw.randrange(assets)], draw.choice(OPERATORS)
        bodies: list[tuple[str, dict[str, object]]] = [
            (
                "job",
                {"action": "check_in", "asset": "r1", "kind": "calibration", "instrument": "x"},
            ),
            ("job", {"action": "check_out", "asset": "r1", "kind": "calibration"}),
            ("confirm", {"proposal_id": "wo-2"}),
            ("oos", {"asset": asset, "minutes": 1, "reason": "belt"}),
            ("oos", {"asset": asset, "action": "in"}),
            ("ack", {"alert_id": "?" + asset}),
            ("shelve", {"alert_id": "?" + asset, "minutes": 1, "reason": "known"}),
            ("feedback", {"alert_id": "?" + asset, "label": "nuisance"}),
            ("ack", {"alert_id": "nonsense"}),
            ("nothing", {}),
            ("text", {"asset": asset, "text": f"oiled at {at_s} s"}),
        ]
        name, body = draw.choice(bodies)
        stale_s = draw.choice((0, 0, 0, 1_000))
        body["ts"] = (START_NS + (at_s - stale_s) * SECOND_NS) // 1_000_000
        payload = msgspec.json.encode(body)
        sent = Message(f"andon/s/cmd/{operator}/{name}", payload, 1, retain=draw.random() < 0.05)
        found.append(Sent(at_s + draw.random(), sent))
    for at_s in itertools.islice(iter(lambda: draw.randrange(5, until_s), None), draw.randrange(3)):
        junk = bytes(draw.randrange(256) for _ in range(draw.randrange(40)))
        found.append(Sent(at_s, Message(f"plant/{ASSETS[0]}", junk, 1, retain=False)))
    return found
