"""Payloads of other gateways: golden ones, ones that a small writer makes, and any bytes."""

from __future__ import annotations

import contextlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import WireError
from edge.samples.decoders import Decoders
from edge.samples.sparkplug import Sparkplug
from edge.settings import Source
from edge.wire.formats import FORMATS, NAMED, READERS
from edge.wire.quality_codes import da_good, siemens_good, ua_good
from edge.wire.recognise import recognise
from edge.wire.told import Message, as_number
from edge.wire.topics import levels_of, match_source, subscriptions
from tests.edge.format_writers import WRITERS, Cell
from tests.edge.rig import START
from tests.fuzz.decoder_inputs import told
from tests.fuzz.wire_targets import check_readings

if TYPE_CHECKING:
    from edge.wire.databus import Point
    from edge.wire.told import Told

GOLDEN: Final = sorted(
    (Path(__file__).resolve().parent.parent / "golden" / "payloads").glob("*.json")
)
VALS_101: Final = b'{"vals": [{"id": "101", "val": 3}]}'
START_UA: Final = 1_760_000_000 * 10**9  # 2025-10-09T08:53:20Z
BIG: Final = st.floats(-1e15, 1e15, allow_nan=False)
NAMES: Final = st.text("abcXYZ019_", min_size=1, max_size=8)
CELLS: Final = st.lists(
    st.builds(
        Cell,
        asset=st.sampled_from(["press7", "press8"]),
        tag=NAMES,
        t_ms=st.integers(1_600_000_000_000, 1_800_000_000_000),
        value=st.one_of(BIG, st.booleans().map(float), st.text("ABC xyz,=\\'", min_size=1)),
        good=st.booleans(),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda cell: (cell.asset, cell.tag, cell.t_ms),
)


def decoders(points: dict[str, dict[str, Point]] | None = None) -> tuple[Decoders, dict[str, int]]:
    """Decoders, and their counts."""
    counts: dict[str, int] = {}
    known = {} if points is None else points
    return Decoders(counts, sparkplug=Sparkplug({}, counts), points=known), counts


def heard(made: Decoders, source: Source, topic: str, payload: bytes) -> list[tuple[Any, ...]]:
    """Values as (asset, tag, t_ns, value or text, unit), in the order of rows and tags."""
    match = match_source(topic, [source])
    assert match is not None
    found = []
    for rows in made.take(payload, topic=topic, source=source, asset=match[1], received_ns=START):
        check_readings(rows)
        texts = {(tag, t_ns): text for tag, t_ns, text in rows.texts}
        cells = [
            (rows.asset, tag, t_ns, texts.get((tag, t_ns), value), (rows.units or {}).get(tag, ""))
            for t_ns, row in zip(rows.t_ns.tolist(), rows.values.tolist(), strict=True)
            for tag, value in zip(rows.tags, row, strict=True)
        ]
        found += cells
    return found


def is_nan(value: object) -> bool:
    """Whether a value is absent."""
    return isinstance(value, float) and math.isnan(value)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_payloads_say_what_they_always_said(path: Path) -> None:
    """Each value, its time, its unit, and what is absent."""
    golden = json.loads(path.read_text("utf-8"))
    source = msgspec.convert(golden["source"], Source)
    made, counts = decoders()
    found: list[tuple[Any, ...]] = []
    for message in golden["messages"]:
        found += heard(made, source, message["topic"], told(message["payload"]))
    present = {
        (a, tag, t_ns, value, unit) for a, tag, t_ns, value, unit in found if not is_nan(value)
    }
    wanted = [
        (asset, tag, START if t_ns == "arrival" else t_ns, value, unit[0] if unit else "")
        for asset, tag, t_ns, value, *unit in golden["expected"]
    ]
    assert present == {one for one in wanted if one[3] is not None}
    absent = {(asset, tag, t_ns) for asset, tag, t_ns, value, _ in found if is_nan(value)}
    assert {one[:3] for one in wanted if one[3] is None} <= absent
    for reason, number in golden["counts"].items():
        assert counts[reason] == number


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_payloads_are_recognised(path: Path) -> None:
    """By topic and payload alone; what has paths is a shape of its own."""
    golden = json.loads(path.read_text("utf-8"))
    formats = {
        recognise(message["topic"], told(message["payload"])) for message in golden["messages"]
    }
    expected = golden["source"]["format"]
    assert formats == {expected if expected != "paths" else ""}, formats


def test_every_format_has_a_golden_payload() -> None:
    """A decoder without one is not held to anything."""
    assert {path.stem for path in GOLDEN} == set(FORMATS)
    assert set(FORMATS) == {"json", "sparkplug", *NAMED}
    assert set(WRITERS) == set(NAMED)


@pytest.mark.parametrize("format_", sorted(WRITERS))
@given(cells=CELLS)
def test_what_a_writer_wrote_is_read_again(format_: str, cells: list[Cell]) -> None:
    """Every value comes back under its asset, tag and time; what is bad is absent, and counted."""
    writer = WRITERS[format_]
    made, _ = decoders(writer.points(cells))
    found: dict[tuple[str, str, int], Any] = {}
    for topic, payload in writer.messages(cells):
        for asset, tag, t_ns, value, _ in heard(made, writer.source, topic, payload):
            if not is_nan(value):
                found[asset, tag, t_ns] = value
    wanted = {
        (cell.asset, cell.tag, cell.t_ms * 10**6): cell.value
        for cell in cells
        if cell.good or not writer.tells_quality
    }
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        assert found[key] == value, key


@pytest.mark.parametrize("format_", sorted(READERS))
@given(data=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_any_bytes_are_read_or_refused(format_: str, data: bytes) -> None:
    """Nothing but WireError comes out of a reader."""
    found: list[Told] = []
    with contextlib.suppress(WireError):
        found = READERS[format_](Message(data, "a/b"))
    assert all(one.value is None or math.isfinite(one.value) for one in found)


@pytest.mark.parametrize(
    ("judge", "good", "bad"),
    [
        (da_good, [True, 192, 216, 255, None, "GOOD", "good, local override", "192"],
         [False, 0, 64, 191, 4_000_000, -1, "BAD", "uncertain", "0", [], 1.5, ""]),
        (ua_good, [0, None, True, "Good", "Good_Clamped", {"Code": 0}, {}, {"Symbol": "Good"}],
         [0x40000000, 0x80000000, 0x80AB0000, False, "BadInvalidArgument", {"Code": 0x80000000},
          {"Symbol": "Bad"}, {"Code": 0, "Symbol": "Uncertain"}, 1 << 32, -1, [], {"x": 1}]),
        (siemens_good, [3, 2, None], [0, 1, 4, True, "3", 3.0, 192]),
    ],
)  # fmt: skip
def test_quality_is_that_of_its_family(judge: Any, good: list[Any], bad: list[Any]) -> None:  # noqa: ANN401
    """0 is bad in OPC DA and at Siemens, and good in OPC UA; what is no code is never good."""
    assert [judge(code) for code in good] == [True] * len(good)
    assert [judge(code) for code in bad] == [False] * len(bad)


@pytest.mark.parametrize(
    "text", ["1_0", " 1", "1 ", "nan", "inf", "-inf", "", "0x10", "1e999", "x"]
)
def test_a_text_in_quotes_is_a_number_only_where_it_is_one(text: str) -> None:
    """What only Python reads as a number is none."""
    assert as_number(text) is None


def test_levels_of_a_topic_have_names() -> None:
    """The last name may be all that follows; a template of levels names the asset."""
    source = Source(topic="acme/{site}/{line}/+/{tag...}", format="raw", asset_from="{site}.{line}")
    assert subscriptions(source) == ["acme/+/+/+/#"]
    topic = "acme/w1/l1/x/drive/mode"
    assert levels_of(source, topic) == {"site": "w1", "line": "l1", "tag": "drive/mode"}
    assert match_source(topic, [source]) == (source, "w1.l1")
    assert match_source("acme/w1/l1/x", [source]) is None
    assert match_source("other/w1/l1/x/y", [source]) is None


@pytest.mark.parametrize("null", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_a_null_time_of_opc_ua_is_none(null: str) -> None:
    """Part 6: the least and the greatest date say that none is told; then the next one counts."""
    source = Source(topic="ua/{asset}", format="opcua")
    sent = "2025-10-09T08:53:20Z"
    fields = {
        "a": {"Value": 1.5, "SourceTimestamp": null},
        "b": {"Value": 2.5, "SourceTimestamp": null, "ServerTimestamp": "2025-10-09T08:53:19Z"},
    }
    for stamp, t_ns in ((sent, START_UA), (null, START)):
        body = {"Messages": [{"DataSetWriterId": 2, "Timestamp": stamp, "Payload": fields}]}
        found = heard(decoders()[0], source, "ua/p7", json.dumps(body).encode())
        told = {(tag, at, value) for _, tag, at, value, _ in found if not is_nan(value)}
        assert told == {("a", t_ns, 1.5), ("b", START_UA - 10**9, 2.5)}


@pytest.mark.parametrize("null", [{"SourceTimestamp": "2025-10-09T08:53:20Z"}, {}])
def test_a_data_value_without_a_value_is_null(null: dict[str, str]) -> None:
    """Part 6 leaves out what is null; the fields beside it are taken."""
    source = Source(topic="ua/{asset}", format="opcua")
    body = {"Messages": [{"DataSetWriterId": 2, "Payload": {"a": null, "b": {"Value": 2.5}}}]}
    found = heard(decoders()[0], source, "ua/p7", json.dumps(body).encode())
    told = {(tag, value) for _, tag, _, value, _ in found if not is_nan(value)}
    assert told == {("b", 2.5)}
    assert "a" in {tag for _, tag, _, _, _ in found}


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        ("+42.5", 42.5), (".5", 0.5), ("-.5", -0.5), ("42.", 42.0), ("007", 7.0), ("1E3", 1000.0),
        ("NaN", None), ("-inf", None), ("Infinity", None),
        ("0x10", "0x10"), ("1_000", "1_000"), ("4 2", "4 2"), ("INFO", "INFO"), ("42,5", "42,5"),
    ],
)  # fmt: skip
def test_a_number_that_is_no_json_is_one(payload: str, value: float | str | None) -> None:
    """Small senders print them so; as a text the tag would have no values."""
    source = Source(topic="uns/{asset}/{tag...}", format="raw")
    ((_, tag, t_ns, found, _),) = heard(decoders()[0], source, "uns/p7/a/b", payload.encode())
    assert (tag, t_ns) == ("a/b", START)
    assert is_nan(found) if value is None else found == value


def test_small_times_of_senml_count_from_now() -> None:
    """RFC 8428, 4.5.3: a pack of the last seconds, each value at its own."""
    source = Source(topic="senml/{asset}", format="senml")
    pack = [
        {"n": "a", "t": -2, "v": 1.5},
        {"n": "a", "t": -0.5, "v": 2.5},
        {"n": "a", "v": 3.5},
        {"bt": -10, "n": "b", "t": 4, "v": 4.5},
        {"n": "c", "v": 5.5},
    ]
    made, counts = decoders()
    found = heard(made, source, "senml/p7", json.dumps(pack).encode())
    told = {(tag, t_ns - START, value) for _, tag, t_ns, value, _ in found if not is_nan(value)}
    half = 5 * 10**8
    assert told == {
        ("a", -4 * half, 1.5), ("a", -half, 2.5), ("a", 0, 3.5), ("b", -12 * half, 4.5),
        ("c", -20 * half, 5.5),
    }  # fmt: skip
    assert counts.get("duplicate", 0) == 0
    for bad in (-(1 << 28), -1e300, 1e300, True):
        with pytest.raises(WireError) as refused:
            heard(made, source, "senml/p7", json.dumps([{"n": "a", "t": bad, "v": 1}]).encode())
        assert refused.value.reason == "bad_time"


def test_metadata_of_the_databus_are_listened_to() -> None:
    """They come beside the values, and are nobody's."""
    source = Source(topic="ie/d/j/simatic/v1/+/dp/r/#", format="databus")
    assert subscriptions(source) == [source.topic, "ie/m/j/simatic/v1/+/dp"]
    assert match_source("ie/m/j/simatic/v1/s7c1/dp", [source]) == (source, "")
    assert match_source("ie/m/j/simatic/v1/s7c1/other", [source]) is None


def metadata(*connections: tuple[str, str, str, str]) -> bytes:
    """Metadata of (connection, topic, id, name) each; topic "" is not told."""
    told = [
        {
            "name": connection,
            "dataPoints": [
                {
                    "name": "default",
                    **({"topic": topic} if topic else {}),
                    "dataPointDefinitions": [{"name": name, "id": ident, "dataType": "Real"}],
                }
            ],
        }
        for connection, topic, ident, name in connections
    ]
    return json.dumps({"seq": 1, "connections": told}).encode()


@pytest.mark.parametrize("told", [True, False])
def test_ids_of_the_databus_are_those_of_their_connection(*, told: bool) -> None:
    """Two PLCs of one connector may both have an id 101: the topic says whose value it is."""
    source = Source(topic="ie/d/j/simatic/v1/+/dp/r/#", format="databus")
    head = "ie/d/j/simatic/v1/s7c1/dp/r"
    made, counts = decoders()
    names = metadata(
        ("PLC1", f"{head}/PLC1/default" if told else "", "101", "Speed"),
        ("PLC2", f"{head}/PLC2/default" if told else "", "101", "Torque"),
        ("PLC2", f"{head}/PLC2/default" if told else "", "102", "Heat"),
        ("Plant 3", f"{head}/Plant_3/default", "101", "Flow"),
    )
    assert heard(made, source, "ie/m/j/simatic/v1/s7c1/dp", names) == []
    for place, asset, tag in (
        ("PLC1", "PLC1", "Speed"), ("PLC2", "PLC2", "Torque"), ("Plant_3", "Plant 3", "Flow"),
    ):  # fmt: skip
        found = heard(made, source, f"{head}/{place}/default", VALS_101)
        assert [one[:2] for one in found] == [(asset, tag)]
    if told:  # of a connection that has no such id it is not known yet
        one = b'{"vals": [{"id": "102", "val": 3}]}'
        assert heard(made, source, f"{head}/PLC1/default", one) == []
        assert counts["waiting_for_metadata"] == 1


def test_metadata_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes up applications fills no memory; the oldest are forgotten, and counted."""
    monkeypatch.setattr("edge.samples.decoders.APPLICATIONS_MAX", 2)
    points: dict[str, dict[str, Point]] = {}
    made, counts = decoders(points)
    source = Source(topic="ie/d/j/simatic/v1/+/dp/r/#", format="databus")
    for i in range(5):
        made.take(
            b'{"connections": []}',
            topic=f"ie/m/j/simatic/v1/a{i}/dp",
            source=source,
            asset="",
            received_ns=START,
        )
    assert list(points) == ["j/simatic/v1/a3", "j/simatic/v1/a4"]
    assert counts == {"databus_metadata": 5, "databus_forgotten": 3}


def test_values_of_nobody_are_counted_and_of_nobody_alone_refused() -> None:
    """An id of too few levels has no device."""
    source = Source(topic="k", format="kepware", asset_from="{device}")
    made, counts = decoders()
    one = '{"id": "Line1.Press7.Force", "v": 1}'
    two = '{"id": "Force", "v": 1}'
    taken = heard(made, source, "k", f'{{"values": [{one}, {two}]}}'.encode())
    assert [one[:2] for one in taken] == [("Press7", "Line1.Press7.Force")]
    assert counts["nameless"] == 1
    with pytest.raises(WireError, match="asset_from") as refused:
        heard(made, source, "k", f'{{"values": [{two}]}}'.encode())
    assert refused.value.reason == "no_asset"
