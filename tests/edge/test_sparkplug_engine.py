"""Sparkplug B through the engine: births, data, deaths; quickly or not, no bit differs."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge.engine import Engine
from edge.errors import WireError
from edge.records import MessageReceived, RowsScored, Started, TickDue
from edge.samples.routes import Routes
from edge.samples.sparkplug import Birth, Sparkplug
from edge.settings import GatewaySettings, Source
from edge.state import EngineState
from edge.storage.checkpoint import pack, unpack
from edge.wire.readings import encode_rows
from edge.wire.sparkplug import BOOLEAN, DOUBLE, FLOAT, INT, LONG
from edge.wire.sparkplug_writing import (
    bytes_field,
    encode_birth,
    encode_data,
    encode_metric,
    encode_payload,
    number_field,
)
from tests.edge.rig import ASSETS, CHANNELS, START, S, bundle, derived, detectors, normal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.records import Effect, Stimulus

SEEDS = range(int(os.environ.get("SPARKPLUG_SEEDS", "3")))
DEVICES = Source(topic="spBv1.0/g/+/n/{asset}", format="sparkplug")
T0_MS = START // 10**6
HISTORICAL = number_field(5, 1)


def engine_of(source: Source = DEVICES, state: EngineState | None = None) -> Engine:
    """An engine of two assets with one source; it tells what becomes of every sample."""
    made = Engine(
        GatewaySettings(site="s", source=(source,)),
        bundle=bundle(),
        detectors=detectors(),
        derive=derived,
        state=state,
    )
    made.tell_rows()
    return made


def quality(number: int) -> bytes:
    """Properties with a quality."""
    value = number_field(1, 3) + number_field(3, number)
    return bytes_field(9, bytes_field(1, b"Quality") + bytes_field(2, value))


def message(kind: str, payload: bytes, *, asset: str = "r1", t_ms: int = T0_MS) -> MessageReceived:
    """One message of a device, or of its node."""
    topic = f"spBv1.0/g/{kind}/n" + ("" if kind[0] == "N" else f"/{asset}")
    return MessageReceived(topic=topic, payload=payload, received_ns=t_ms * 10**6)


class Devices:
    """Two devices that send as they like, from a seed."""

    def __init__(self, seed: int) -> None:
        self.chance = np.random.default_rng(seed)
        self.t_ms = T0_MS
        self.seq = 0

    def some(self) -> list[MessageReceived]:
        """What comes between two ticks."""
        found: list[MessageReceived] = []
        for asset in ASSETS:
            for _ in range(int(self.chance.integers(1, 4))):
                self.t_ms += int(self.chance.integers(0, 300))
                drawn = self.chance.random()
                if self.t_ms < T0_MS + 500 or drawn < 0.03:
                    birth = encode_birth([*CHANNELS, "stranger"], t_ms=self.t_ms, seq=0)
                    found.append(message("DBIRTH", birth, asset=asset, t_ms=self.t_ms))
                elif drawn < 0.04:
                    found.append(message("DDEATH", b"", asset=asset, t_ms=self.t_ms))
                elif drawn < 0.05:
                    session = encode_metric(name="bdSeq", field=LONG, value=1.0)
                    found.append(message("NBIRTH", encode_payload([session]), t_ms=self.t_ms))
                elif drawn < 0.06:
                    found.append(message("NDEATH", b"", t_ms=self.t_ms))
                else:
                    found.append(message("DDATA", self._data(), asset=asset, t_ms=self.t_ms))
        return found

    def _data(self) -> bytes:
        self.seq = (self.seq + 1) % 256
        chance = self.chance
        odd = chance.random() < 0.3
        metrics = []
        for alias in chance.permutation(5 + odd)[: int(chance.integers(1, 6))].tolist():
            field = int(chance.choice([FLOAT, FLOAT, DOUBLE, INT, LONG, BOOLEAN]))
            value: float | None = float(chance.normal()) * 10.0
            if field in (INT, LONG, BOOLEAN):
                value = float(chance.integers(-200, 200) if field != BOOLEAN else 1)
            more = b""
            if odd and chance.random() < 0.2:
                more = [HISTORICAL, quality(0), quality(192)][int(chance.integers(3))]
            if odd and chance.random() < 0.1:
                value, field = [(None, DOUBLE), (math.nan, FLOAT), (math.inf, DOUBLE)][
                    int(chance.integers(3))
                ]
            late = int(chance.integers(-3, 3)) if odd and chance.random() < 0.3 else 0
            metrics.append(
                encode_metric(
                    alias=alias % 200,
                    t_ms=self.t_ms + late,
                    datatype=int(chance.choice([0, 3])) if field == INT else 0,
                    field=field,
                    value=value,
                    more=more,
                )
            )
        if odd and chance.random() < 0.2:
            metrics.append(metrics[0])
        return encode_payload(metrics, t_ms=self.t_ms, seq=self.seq)


def all_of(engine: Engine) -> bytes:
    """All that it remembers, whatever the order of counting was."""
    state = unpack(pack(engine.state), EngineState)
    state.counts = dict(sorted(state.counts.items()))
    state.align.counts = dict(sorted(state.align.counts.items()))
    return pack(state)


@pytest.mark.parametrize("seed", SEEDS)
def test_quickly_or_not_all_is_the_same(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Effects of every tick and all that is remembered; and much goes quickly."""
    quick, long = engine_of(), engine_of()
    monkeypatch.setattr(long._arrivals._routes, "learn", lambda *_: None)
    taken = [0]
    read = Routes.read

    def counted(self: Routes, *given: Any, **named: Any) -> Any:  # noqa: ANN401
        found = read(self, *given, **named)
        taken[0] += found is not None
        return found

    monkeypatch.setattr(Routes, "read", counted)
    devices = Devices(seed)
    for _ in range(400):
        some: list[Stimulus] = [*devices.some(), TickDue()]
        now_ns = devices.t_ms * 10**6
        one, other = (engine.handle_group(some, now_ns=now_ns) for engine in (quick, long))
        assert list(map(repr, one)) == list(map(repr, other))
    assert all_of(quick) == all_of(long)
    assert taken[0] > 200
    told = quick.counts()
    expected = "waiting_for_birth historical bad_quality unknown_tag duplicate non_finite"
    assert set(expected.split()) <= set(told), told


def rows_of(effects: tuple[Effect, ...]) -> list[Any]:
    """What became of samples, in a form that compares."""
    return [repr(one) for one in effects if isinstance(one, RowsScored)]


def test_it_says_what_json_says() -> None:
    """The same values score the same, whether by alias or by name."""
    spark, json = engine_of(), engine_of(Source())
    spark.handle(message("DBIRTH", encode_birth(CHANNELS, t_ms=T0_MS, seq=0)), now_ns=START)
    (null,) = encode_rows(CHANNELS, [START], [[math.nan] * 4], shape="wide")
    json.handle(MessageReceived(topic="plant/r1", payload=null, received_ns=START), now_ns=START)
    told = 0
    for i, row in enumerate(normal("r1")[:200].tolist()):
        t_ms = T0_MS + 1000 * (i + 1)
        now_ns = t_ms * 10**6
        (wide,) = encode_rows(CHANNELS, [now_ns], [row], shape="wide")
        other = MessageReceived(topic="plant/r1", payload=wide, received_ns=now_ns)
        mine = message("DDATA", encode_data(row, t_ms=t_ms, seq=i % 256), t_ms=t_ms)
        found, wanted = (
            rows_of(engine.handle_group([one, TickDue()], now_ns=now_ns))
            for engine, one in ((spark, mine), (json, other))
        )
        assert found == wanted
        told += len(found)
    assert told > 150


def test_data_wait_for_their_birth_and_are_counted() -> None:
    """Nothing of them is taken, and nothing of them is lost in silence."""
    engine = engine_of()
    data = encode_data([1.0, 2.0, 3.0, 4.0], t_ms=T0_MS, seq=1)
    engine.handle(message("DDATA", data), now_ns=START)
    assert engine.counts()["waiting_for_birth"] == 4
    engine.handle(message("DBIRTH", encode_birth(CHANNELS[:3], t_ms=T0_MS, seq=2)), now_ns=START)
    engine.handle(message("DDATA", data), now_ns=START)
    assert engine.counts()["waiting_for_birth"] == 5
    assert engine.state.align.assets["r1"].values[0].tolist() == pytest.approx(
        [1.0, 2.0, 3.0, math.nan], nan_ok=True
    )


@pytest.mark.parametrize("kind", ["DDEATH", "NDEATH", "NBIRTH"])
def test_after_a_death_values_wait_for_the_next_birth(kind: str) -> None:
    """Of the device itself, or of its node; and so they do when its node is born anew."""
    engine = engine_of()
    for i in range(3):
        engine.handle(message("DBIRTH", encode_birth(CHANNELS, t_ms=T0_MS, seq=0)), now_ns=START)
        data = encode_data([1.0] * 4, t_ms=T0_MS + i, seq=1)
        engine.handle(message("DDATA", data), now_ns=START)
        engine.handle(message(kind, b""), now_ns=START)
        assert "r1" not in str(list(engine.state.births))
        engine.handle(message("DDATA", data), now_ns=START)
        assert engine.counts()["waiting_for_birth"] == 4 * (i + 1)


def test_the_death_of_an_older_session_is_late_news() -> None:
    """A broker may tell it after the node has come back."""
    engine = engine_of()

    def session(kind: str, number: int) -> None:
        metric = encode_metric(name="bdSeq", field=LONG, value=float(number))
        engine.handle(message(kind, encode_payload([metric])), now_ns=START)

    session("NBIRTH", 8)
    engine.handle(message("DBIRTH", encode_birth(CHANNELS, t_ms=T0_MS, seq=0)), now_ns=START)
    session("NDEATH", 7)
    assert set(engine.state.births) == {"g/n", "g/n/r1"}
    assert engine.counts()["sparkplug_deaths_late"] == 1
    session("NDEATH", 8)
    assert not engine.state.births


def test_births_come_through_a_restart() -> None:
    """A checkpoint carries them: the next data have names, and go the quick way again."""
    before = engine_of()
    before.handle(message("DBIRTH", encode_birth(CHANNELS, t_ms=T0_MS, seq=0)), now_ns=START)
    after = engine_of(state=unpack(pack(before.state), EngineState))
    begun = Started(version="1", bundle_sha256="", snapshot_sha256="", settings_sha256="")
    after.handle(begun, now_ns=START)
    for i in range(5):
        data = encode_data([1.0, 2.0, 3.0, 4.0], t_ms=T0_MS + 100 * i, seq=i)
        after.handle(message("DDATA", data, t_ms=T0_MS + 100 * i), now_ns=START + i * S // 10)
    assert "waiting_for_birth" not in after.counts()
    assert after._arrivals._sparkplug.births is after.state.births
    assert len(after.state.align.assets["r1"].t_ns) == 5


def test_nodes_may_be_assets_and_speak_for_their_devices() -> None:
    """Each device has aliases of its own; commands of others are none of ours."""
    engine = engine_of(Source(topic="spBv1.0/g/+/{asset}/#", format="sparkplug"))

    def send(topic: str, payload: bytes) -> None:
        told = MessageReceived(topic=f"spBv1.0/g/{topic}", payload=payload, received_ns=START)
        engine.handle(told, now_ns=START)

    send("NBIRTH/r1", encode_birth(CHANNELS[:2], t_ms=T0_MS, seq=0))
    send("DBIRTH/r1/d", encode_birth(CHANNELS[2:], t_ms=T0_MS, seq=1))
    send("NDATA/r1", encode_data([1.0, 2.0], t_ms=T0_MS, seq=2))
    send("DDATA/r1/d", encode_data([3.0, 4.0], t_ms=T0_MS, seq=3))
    send("NCMD/r1", encode_data([9.0], t_ms=T0_MS, seq=4))
    assert engine.state.align.assets["r1"].values.tolist() == [[1.0, 2.0, 3.0, 4.0]]
    assert engine.counts()["sparkplug_other"] == 1


def test_names_need_no_birth() -> None:
    """Whoever sends them with the data says enough."""
    engine = engine_of()
    metrics = [encode_metric(name=name, field=FLOAT, value=2.5) for name in CHANNELS]
    for _ in range(3):
        engine.handle(message("DDATA", encode_payload(metrics, t_ms=T0_MS)), now_ns=START)
    assert engine.state.align.assets["r1"].values.tolist() == [[2.5] * 4]
    assert engine.counts()["duplicate"] == 8


def test_births_of_others_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are: what our assets mean stays known, and no memory is filled."""
    monkeypatch.setattr("edge.samples.sparkplug.SPARKPLUG_NAMES_MAX", 1_000)
    births: dict[str, Birth] = {}
    counts: dict[str, int] = {}
    sparkplug = Sparkplug(births, counts, assets={"r1", "r2"})

    def born(asset: str, names: Sequence[str]) -> None:
        payload = encode_birth(names, t_ms=T0_MS, seq=0)
        topic = f"spBv1.0/g/DBIRTH/n/{asset}"
        sparkplug.take(payload, topic=topic, asset=asset, received_ns=START)

    born("r1", CHANNELS)
    for i in range(40):
        born(f"other{i}", [f"n{k}" for k in range(60)])
        assert sum(len(one.names) for one in births.values()) <= 1_000
    assert "g/n/r1" in births
    assert 10 < len(births) < 40
    assert counts["sparkplug_births_forgotten"] == 41 - len(births)
    born("r2", CHANNELS)
    assert {"g/n/r1", "g/n/r2"} <= set(births)


def test_a_birth_with_many_times_is_taken_in_rows_of_their_own() -> None:
    """A matrix of all times and tags would be too large: each time has but its own."""
    metrics = [encode_metric(name=f"n{i}", t_ms=T0_MS + i, value=1.0 + i) for i in range(600)]
    payload = encode_payload(metrics)
    sparkplug = Sparkplug({}, {})
    found = sparkplug.take(payload, topic="spBv1.0/g/DDATA/n/r1", asset="r1", received_ns=START)
    assert [(one.tags, one.values.tolist(), one.t_ns.tolist()) for one in found] == [
        ((f"n{i}",), [[1.0 + i]], [START + i * 10**6]) for i in range(600)
    ]
    more = encode_payload(
        encode_metric(name=f"n{i}", t_ms=T0_MS + i, value=1.0) for i in range(10_001)
    )
    with pytest.raises(WireError, match="times"):
        sparkplug.take(more, topic="spBv1.0/g/DDATA/n/r1", asset="r1", received_ns=START)


@pytest.mark.parametrize("born", [True, False])
@pytest.mark.parametrize("names", [CHANNELS, (*CHANNELS[:3], CHANNELS[0])])
def test_metrics_of_many_times_are_rows_with_a_layout_or_without(
    names: Sequence[str], *, born: bool
) -> None:
    """The same readings and counts; also where an alias has no name, or two have one."""
    quick, long = (Sparkplug({}, {}) for _ in range(2))
    chance = np.random.default_rng(1)
    for i in range(20):
        metrics = [
            encode_metric(
                alias=alias,
                t_ms=T0_MS + i * 100 + int(chance.integers(0, 3)),
                field=(FLOAT, INT, BOOLEAN, LONG)[alias],
                value=float(chance.integers(2, 9)) if alias != 2 else 1.0,
                datatype=3 * (alias == 1),
            )
            for alias in range(4)
        ]
        payload = encode_payload([*metrics, encode_metric(name="c9", t_ms=T0_MS, value=0.5)])
        quick.layouts.learn(payload)
        taken = []
        for one in (quick, long):
            if born and not i:
                birth = encode_birth(names, t_ms=T0_MS, seq=0)
                topic = "spBv1.0/g/DBIRTH/n/r1"
                one.take(birth, topic=topic, asset="r1", received_ns=START)
            topic = "spBv1.0/g/DDATA/n/r1"
            (found,) = one.take(payload, topic=topic, asset="r1", received_ns=START)
            taken.append((found.tags, found.t_ns.tolist(), repr(found.values)))
        assert taken[0] == taken[1]
    assert quick._counts == long._counts


def test_metrics_of_many_times_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of them by itself, once their layout is known."""
    sparkplug = Sparkplug({}, {})
    metrics = [encode_metric(name=f"n{i}", t_ms=T0_MS + i % 7, value=float(i)) for i in range(50)]
    payload = encode_payload(metrics)
    sparkplug.layouts.learn(payload)
    monkeypatch.setattr("edge.samples.sparkplug.read_payload", None)
    topic = "spBv1.0/g/DDATA/n/r1"
    (found,) = sparkplug.take(payload, topic=topic, asset="r1", received_ns=START)
    assert found.values.shape == (7, 50)
    assert [found.values[i % 7, i] for i in range(50)] == list(range(50))
    assert np.isnan(found.values).sum() == 6 * 50
