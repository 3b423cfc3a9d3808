"""Discovery judged against simulated plants of which everything is known, and by properties."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.configuration.config import load
from edge.discovery.guesses import role_of, unit_of, words_of
from edge.discovery.judging import judged
from edge.discovery.observed import Observed
from edge.discovery.offset import Lags
from edge.discovery.rhythm import rhythm_of
from edge.discovery.series import DISTINCT_MAX, TIMES_MAX, Series
from edge.discovery.written import written
from edge.samples.decoders import Decoders
from edge.samples.sparkplug import Sparkplug
from edge.wire.topics import match_source
from tests.edge.discovered_plants import BEGIN_NS, CONTEXT, MS_NS, UNITS, simulated

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.configuration.config import GatewayConfig
    from edge.discovery.findings import Findings

SEEDS = range(12)
SECOND_NS = 1_000 * MS_NS


def observed_of(
    messages: Sequence[tuple[str, bytes]], *, step_ns: int = SECOND_NS, retained: bool = False
) -> Observed:
    """What is observed of messages that come one after another."""
    observed = Observed(prefix="andon")
    for i, (topic, payload) in enumerate(messages):
        at_ns = BEGIN_NS + i * step_ns
        observed.take(topic, payload, received_ns=at_ns, retained=retained)
    return observed


def found_in(seed: int) -> Findings:
    """Findings of a simulated plant."""
    observed = Observed(prefix="andon")
    for message in simulated(seed).messages:
        observed.take(
            message.topic, message.payload, received_ns=message.received_ns, retained=False
        )
    return judged(observed)


def configured(findings: Findings, folder: Path) -> GatewayConfig:
    """The configuration that is written of findings, as a gateway reads it."""
    path = folder / "gateway.toml"
    path.write_text(
        written(findings, site="s", prefix="andon", mqtt={"host": "127.0.0.1"}, name=path.name),
        encoding="utf-8",
    )
    return load(path, environment={})


@pytest.mark.parametrize("seed", SEEDS)
def test_what_a_plant_sends_is_found(seed: int) -> None:
    """Assets, rates within 5 %, how each tag comes, clocks within 50 ms and their jitter."""
    plant, findings = simulated(seed), found_in(seed)
    assert {one.id for one in findings.assets} == set(plant.truths)
    for asset in findings.assets:
        truth = plant.truths[asset.id]
        channels = {one.tag: one for one in asset.channels}
        assert set(channels) == set(UNITS), asset.id
        for tag, period_s in truth.cyclic.items():
            told = channels[tag].rhythm
            assert told.cyclic, (asset.id, tag)
            assert told.period_ns / SECOND_NS == pytest.approx(period_s, rel=0.05), (asset.id, tag)
        for tag in truth.by_exception:
            assert not channels[tag].rhythm.cyclic, (asset.id, tag)
            assert channels[tag].held
        assert asset.offset is not None
        off_ms = abs(asset.offset.ns / MS_NS - truth.offset_ms)
        assert off_ms <= 50 + truth.jitter_ms, (asset.id, off_ms)


@pytest.mark.parametrize("seed", SEEDS)
def test_tags_of_state_are_found_and_none_is_a_witness(seed: int) -> None:
    """Each with its role; what might keep an alert quiet is a candidate for a person, no more."""
    for asset in found_in(seed).assets:
        context = {one.tag: one for one in asset.context}
        expected = {tag for tag in CONTEXT if tag != "product" or asset.form == "json"}
        assert set(context) == expected, asset.id
        assert {tag: one.role for tag, one in context.items()} == {
            tag: CONTEXT[tag][0] for tag in expected
        }
        assert {tag for tag, one in context.items() if one.work} == {"bypass"}
        units = {one.tag: one.unit for one in asset.channels}
        assert units == UNITS
        assert all(one.unit_guess for one in asset.channels if one.unit)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_gateway_takes_what_is_written(seed: int, tmp_path: Path) -> None:
    """Every topic leads to its asset, and every tag is one of its channels or of its context."""
    findings = found_in(seed)
    config = configured(findings, tmp_path)
    assets = {one.id: one for one in config.asset}
    for found in findings.assets:
        settings = assets[found.id]
        assert set(settings.tags) == {one.tag for one in found.channels}
        assert {one.tag for one in settings.context} == {one.tag for one in found.context}
        assert set(settings.on_change) == {one.tag for one in found.channels if one.held}
        for topic in found.topics:
            match = match_source(topic.replace("/+/", "/DDATA/"), config.source)
            assert match is not None
            assert (match[0].format, match[1]) == (found.form, found.id)
    assert config.commissioning is not None
    assert not any(tag.role == "witness" for one in config.asset for tag in one.context)


def test_candidates_for_a_witness_stand_in_comments_that_fit(tmp_path: Path) -> None:
    """A person takes the mark of the comment away, and the next line: that is all it takes."""
    text = written(found_in(0), site="s", prefix="andon", mqtt={}, name="gateway.toml")
    assert 'role = "witness"' not in str(tomllib.loads(text))
    lines = text.splitlines()
    at = next(i for i, line in enumerate(lines) if 'role = "witness"' in line)
    lines[at] = lines[at].replace("# ", "", 1)
    path = tmp_path / "gateway.toml"
    path.write_text("\n".join([*lines[: at + 1], *lines[at + 3 :]]), encoding="utf-8")
    roles = [tag.role for one in load(path, environment={}).asset for tag in one.context]
    assert roles.count("witness") == 1


def test_what_cannot_be_read_is_counted_with_how_it_begins() -> None:
    """Nothing is passed over in silence."""
    observed = observed_of(
        [
            ("plant/cam", b"\xff\xd8\xff\xe0 a picture"),
            ("plant/cam", b"\xff\xd8\xff\xe0 another"),
            ("plant/r1", b'{"ts": 1772427600000, "Pressure": 3.1}'),
            ("andon/s/health", b"{}"),
            ("plant/r1/set", b'{"Pressure": 4}'),
            ("spBv1.0/g/NCMD/n", b""),
            ("spBv1.0/g/NDEATH/n", b""),
        ]
    )
    counts = observed.counts
    assert (counts.values, counts.unread, counts.own, counts.commands, counts.other) == (
        1, 2, 1, 2, 1,
    )  # fmt: skip
    refused = observed.refused["plant/cam"]
    assert (refused.count, refused.reason) == (2, "unknown_format")
    assert refused.begins.startswith("'\\xff\\xd8")


def test_memory_is_bounded_and_what_is_beyond_is_counted() -> None:
    """A broker with more than there is room for is said to be one."""
    observed = Observed(prefix="andon", streams_max=3, series_max=5)
    for i in range(10):
        payload = msgspec.json.encode({"a": i, "b": i})
        observed.take(f"plant/r{i}", payload, received_ns=BEGIN_NS + i, retained=False)
    assert (len(observed.streams), observed.series) == (3, 5)
    assert (observed.counts.beyond, observed.tags_beyond) == (7, 1)
    assert any("narrow --topic" in note for note in judged(observed).notes)
    series = Series()
    for i in range(10 * TIMES_MAX):
        series.take(float(i), t_ns=i, timed=True, retained=False)
        series.take(f"text {i}", t_ns=i, timed=True, retained=False)
    assert len(series.times) == TIMES_MAX
    assert (len(series.distinct), len(series.texts)) == (DISTINCT_MAX, DISTINCT_MAX)
    assert series.times.tolist() == sorted(series.times.tolist())


def test_retained_messages_say_nothing_of_rates_and_clocks() -> None:
    """They tell a value that may be days old."""
    told = [("plant/r1", b'{"ts": 1700000000000, "Pressure": 3.5}')] * 20
    (asset,) = judged(observed_of(told, retained=True)).assets
    assert asset.offset is None
    assert not asset.channels[0].rhythm.sure


def test_a_clock_that_the_gateway_will_suspect_is_told() -> None:
    """Otherwise nothing of that asset would count, and nobody would know why."""
    slow = [
        ("plant/r1", msgspec.json.encode({"ts": BEGIN_NS // MS_NS + i * 1000 - 90_000, "a": i}))
        for i in range(20)
    ]
    findings = judged(observed_of(slow))
    assert any("90.0 s behind" in note for note in findings.notes)


def test_two_assets_of_one_name_stay_apart(tmp_path: Path) -> None:
    """Lines that number their machines alike."""
    told = [
        (f"works/{place}/data", b'{"Pressure": 3.1}')
        for place in ("line1/press", "line2/press", "line1/oven")
    ]
    findings = judged(observed_of(told * 3))
    assert {one.id for one in findings.assets} == {"line1-press", "line2-press", "oven"}
    config = configured(findings, tmp_path)
    for topic, _ in told:
        match = match_source(topic, config.source)
        assert match is not None
        _, line, machine, _ = topic.split("/")
        assert match[1] == (machine if machine == "oven" else f"{line}-press")


def test_a_payload_that_names_its_asset_is_believed() -> None:
    """Its topic is that of a gateway, and names nobody."""
    told = [
        ("gw/readings", msgspec.json.encode({"asset": asset, "tag": "temp", "value": 1.5}))
        for asset in ("r1", "r2")
    ]
    findings = judged(observed_of(told * 4))
    assert [one.id for one in findings.assets] == ["r1", "r2"]
    assert [(one.topic, one.asset) for one in findings.sources] == [("gw/readings", "")]


names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
KEPWARE = {
    "timestamp": 1772427600000,
    "values": [
        {"id": f"Line4.Lathe{i}.{tag}", "v": 3.5 + i, "q": True, "t": 1772427600000}
        for i in (1, 2)
        for tag in ("SpindleCurrent", "Coolant.Flow")
    ],
}
NEURON = {"timestamp": 1772427600000, "node": "plc7", "group": "main", "values": {"temp": 41.5}}
TELEGRAF = {
    "name": "press", "tags": {"host": "press7"}, "fields": {"force": 30.5}, "timestamp": 1772427600,
}  # fmt: skip
OPCUA = {
    "MessageId": "1", "MessageType": "ua-data", "PublisherId": "p1",
    "Messages": [{"DataSetWriterId": 2, "Timestamp": "2026-03-02T05:00:00.123Z",
                  "Payload": {"Temperature": {"Value": 99.5}}}],
}  # fmt: skip
SENML = [{"bn": "urn:dev:press7:", "bt": 1772427600, "n": "force", "v": 3.25}]
METADATA = {
    "connections": [{"name": "PLC1", "dataPoints": [
        {"dataPointDefinitions": [{"name": "Speed", "id": "101", "dataType": "Real"}]}
    ]}]
}  # fmt: skip
DATABUS = {"vals": [{"id": "101", "qc": 3, "ts": "2026-03-02T05:00:00.123Z", "val": 3.25}]}
APPLICATION = "simatic/v1/s7c1/dp"
OTHERS: dict[str, tuple[list[tuple[str, Any]], set[str]]] = {
    "kepware": ([("iotgateway", KEPWARE)], {"Line4.Lathe1", "Line4.Lathe2"}),
    "neuron": ([("neuron/plc7", NEURON)], {"plc7"}),
    "telegraf": ([("telegraf/press", TELEGRAF)], {"press7"}),
    "influx": ([("lines", b"vib,machine=press7 x=3.5,y=2.5 1772427600000000000")], {"press7"}),
    "opcua": ([("opcua/json/data/p1", OPCUA)], {"p1.2"}),
    "senml": ([("senml", SENML)], {"urn:dev:press7"}),
    "databus": (
        [(f"ie/m/j/{APPLICATION}", METADATA), (f"ie/d/j/{APPLICATION}/r/PLC1/default", DATABUS)],
        {"PLC1"},
    ),
    "raw": (
        [
            ("acme/berlin/line1/mixer/temperature", b"41.5"),
            ("acme/berlin/line1/mixer/motor/current", b"3.25"),
            ("acme/berlin/line1/mixer/running", b"true"),
            ("acme/berlin/line1/oven/temperature", {"value": 41.5, "timestamp": 1772427600000}),
        ],
        {"mixer", "oven"},
    ),
}


def messages_of(form: str) -> list[tuple[str, bytes]]:
    """Messages of a format."""
    return [
        (topic, body if isinstance(body, bytes) else msgspec.json.encode(body))
        for topic, body in OTHERS[form][0]
    ]


@pytest.mark.parametrize("forms", [*([form] for form in OTHERS), [*OTHERS]], ids=", ".join)
def test_each_format_leads_to_its_assets_in_a_gateway(forms: list[str], tmp_path: Path) -> None:
    """What is written is read by the gateway's own decoders: assets and tags that it knows."""
    told = [one for form in forms for one in messages_of(form)]
    findings = judged(observed_of(told * 8))
    assert {one.id for one in findings.assets} == {one for form in forms for one in OTHERS[form][1]}
    config = configured(findings, tmp_path)
    known = {one.id: {*one.tags, *(tag.tag for tag in one.context)} for one in config.asset}
    decoders = Decoders({}, sparkplug=Sparkplug({}, {}), points={})
    came: dict[str, set[str]] = {}
    for topic, payload in told:
        match = match_source(topic, config.source)
        assert match is not None, topic
        for readings in decoders.take(
            payload, topic=topic, source=match[0], asset=match[1], received_ns=BEGIN_NS
        ):
            came.setdefault(readings.asset, set()).update(readings.tags)
    assert came == known


def test_values_of_a_namespace_have_the_rest_of_the_topic_as_tag() -> None:
    """What lies below a machine is part of it."""
    assets = {one.id: one for one in judged(observed_of(messages_of("raw") * 8)).assets}
    assert {one.tag for one in assets["mixer"].channels} == {"temperature", "motor/current"}
    assert [(one.tag, one.role) for one in assets["mixer"].context] == [("running", "run")]
    assert [one.tag for one in assets["oven"].channels] == ["temperature"]


levels = names.map(lambda name: name.replace("#", "").replace("+", "") or "x")
topics = st.lists(levels, min_size=1, max_size=4).map("/".join)
bodies = st.dictionaries(
    names, st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | names, max_size=4
).map(msgspec.json.encode)


@given(st.lists(st.tuples(topics, bodies | st.binary(max_size=30)), max_size=20))
def test_whatever_is_heard_what_is_written_can_be_read(told: list[tuple[str, bytes]]) -> None:
    """Any names and values: the file is TOML, each asset stands in it once, nothing is lost."""
    observed = observed_of(told)
    findings = judged(observed)
    counts = observed.counts
    heard = (counts.values, counts.own, counts.commands, counts.other, counts.unread, counts.beyond)
    assert sum(heard) == len(told)
    text = written(findings, site="s", prefix="andon", mqtt={}, name="gateway.toml")
    data = tomllib.loads(text)
    assert [one["id"] for one in data.get("asset", [])] == [one.id for one in findings.assets]
    tags = [list(one["tags"]) for one in data.get("asset", [])]
    assert tags == [[channel.tag for channel in one.channels] for one in findings.assets]


@given(
    period_ms=st.integers(20, 5_000),
    lost=st.floats(0, 0.05),
    jitter=st.floats(0, 0.08),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_period_is_found_through_losses_and_jitter(
    period_ms: int, lost: float, jitter: float, seed: int
) -> None:
    """Within 5 % from a hundred values on."""
    rng = np.random.default_rng(seed)
    at = np.arange(150) + rng.normal(0, jitter, 150)
    times = np.sort((at * period_ms * MS_NS).astype(np.int64)[rng.random(150) >= lost])
    told = rhythm_of(times, count=len(times), repeats=0)
    assert told.cyclic
    assert told.period_ns == pytest.approx(period_ms * MS_NS, rel=0.05)


@given(change=st.floats(0.05, 0.55), seed=st.integers(0, 2**32 - 1))
def test_what_is_sent_on_change_is_not_taken_for_cyclic(change: float, seed: int) -> None:
    """At a scan of a second, however regular the scan is."""
    rng = np.random.default_rng(seed)
    times = np.flatnonzero(rng.random(2_000) < change).astype(np.int64) * SECOND_NS
    assert not rhythm_of(times[:TIMES_MAX], count=len(times), repeats=0).cyclic


@given(
    offset_ms=st.integers(-(10**6), 10**6),
    jitter_ms=st.floats(0, 200),
    seed=st.integers(0, 2**32 - 1),
)
def test_an_offset_is_found_to_its_jitter(offset_ms: int, jitter_ms: float, seed: int) -> None:
    """The way of a message counts to its sender's clock: nobody can tell them apart here."""
    rng, lags = np.random.default_rng(seed), Lags()
    for i in range(60):
        at_ns = BEGIN_NS + i * SECOND_NS
        way_ns = round(rng.exponential(jitter_ms) * MS_NS)
        lags.take(newest_ns=at_ns + offset_ms * MS_NS, received_ns=at_ns + way_ns)
    assert lags.offset is not None
    assert abs(lags.offset.ns / MS_NS - offset_ms) <= 50 + jitter_ms


@pytest.mark.parametrize(
    ("tag", "unit"),
    [
        ("oil_temp_degC", "degC"),
        ("OilTemperature", "degC"),
        ("TT_101.PV", "degC"),
        ("PT-7", "bar"),
        ("motor current", "A"),
        ("Motor.Power_kW", "kW"),
        ("flow_lpm", "l/min"),
        ("MotorCurrentTemp", "degC"),
        ("fan_speed_pct", "%"),
        ("x17", None),
        ("attempt", None),
        ("PTO", None),
    ],
)
def test_units_by_name(tag: str, unit: str | None) -> None:
    """Whole words count, the last of them; parts of words do not."""
    found = unit_of(tag)
    assert (found.unit if found else None) == unit, words_of(tag)


@given(names, st.booleans(), st.booleans(), st.booleans())
def test_no_name_makes_a_witness(tag: str, binary: bool, state: bool, beating: bool) -> None:  # noqa: FBT001 - of hypothesis
    """Whatever a tag is called."""
    found = role_of(tag, binary=binary, state=state, beating=beating)
    assert found is None or found.role in ("run", "mode", "heartbeat", "info")
