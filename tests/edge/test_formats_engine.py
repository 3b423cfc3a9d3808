"""Payloads of other gateways through the engine: the samples of JSON, and what is remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from edge.configuration.config import load
from edge.engine import Engine
from edge.errors import ConfigError
from edge.records import MessageReceived, RowsScored, TickDue
from edge.settings import GatewaySettings, Source
from edge.state import EngineState
from edge.storage.checkpoint import pack, unpack
from edge.wire.readings import encode_rows
from tests.edge.format_writers import WRITERS, Cell
from tests.edge.rig import CHANNELS, START, S, bundle, derived, detectors, normal

if TYPE_CHECKING:
    from pathlib import Path

    from edge.records import Effect, Stimulus

METADATA: Final = (
    b'{"connections": [{"name": "r1", "dataPoints": [{"dataPointDefinitions": ['
    b'{"name": "c0", "id": "1", "dataType": "Real"}]}]}]}'
)
DATABUS: Final = Source(topic="ie/d/j/simatic/v1/+/dp/r/#", format="databus")


def engine_of(source: Source, state: EngineState | None = None) -> Engine:
    """An engine that tells what becomes of every sample."""
    made = Engine(
        GatewaySettings(site="s", source=(source,)),
        bundle=bundle(),
        detectors=detectors(),
        derive=derived,
        state=state,
    )
    made.tell_rows()
    return made


def rows_of(effects: tuple[Effect, ...]) -> list[str]:
    """What became of samples, in a form that compares."""
    return [repr(one) for one in effects if isinstance(one, RowsScored)]


@pytest.mark.parametrize("format_", sorted(WRITERS))
def test_it_says_what_json_says(format_: str) -> None:
    """The same values score the same, whoever wrote them; over many messages of one form."""
    writer = WRITERS[format_]
    points = writer.points([Cell("r1", tag, 0, 1.0, good=True) for tag in CHANNELS])
    theirs, json = engine_of(writer.source), engine_of(Source())
    theirs.state.points.update(points)
    told = 0
    for i, row in enumerate(normal("r1")[:120].tolist()):
        now_ns = START + (i + 1) * S
        cells = [
            Cell("r1", tag, now_ns // 10**6, value, good=True)
            for tag, value in zip(CHANNELS, row, strict=True)
        ]
        (wide,) = encode_rows(CHANNELS, [now_ns], [row], shape="wide")
        other: list[Stimulus] = [
            MessageReceived(topic="plant/r1", payload=wide, received_ns=now_ns), TickDue()
        ]  # fmt: skip
        mine: list[Stimulus] = [
            MessageReceived(topic=topic, payload=payload, received_ns=now_ns)
            for topic, payload in writer.messages(cells)
        ]
        found = rows_of(theirs.handle_group([*mine, TickDue()], now_ns=now_ns))
        assert found == rows_of(json.handle_group(other, now_ns=now_ns))
        told += len(found)
    assert told > 80


def test_metadata_come_through_a_restart() -> None:
    """A checkpoint carries them; before them values wait, and are counted."""
    before = engine_of(DATABUS)
    data = MessageReceived(
        topic="ie/d/j/simatic/v1/s7/dp/r/c/d",
        payload=b'{"vals": [{"id": "1", "val": 1.5, "qc": 3}]}',
        received_ns=START,
    )
    before.handle(data, now_ns=START)
    assert before.counts()["waiting_for_metadata"] == 1
    names = MessageReceived(
        topic="ie/m/j/simatic/v1/s7/dp", payload=METADATA, received_ns=START, retain=True
    )
    before.handle(names, now_ns=START)
    after = engine_of(DATABUS, unpack(pack(before.state), EngineState))
    after.handle(data, now_ns=START)
    assert after.counts()["waiting_for_metadata"] == 1
    assert after.state.align.assets["r1"].values[0][0] == 1.5


WRONG: Final[list[tuple[dict[str, Any], str]]] = [
    ({"format": "kepwear"}, "expected one of json, sparkplug"),
    ({"format": "kepware", "asset_from": "{machine}"}, "there is {asset}, {id}, {channel}"),
    ({"format": "raw"}, "name the level of the tag in the topic"),
    ({"format": "raw", "topic": "a/{tag...}/b"}, "no topic filter"),
    ({"format": "raw", "topic": "a/{tag}/{tag}"}, "no topic filter"),
    ({"format": "databus", "topic": "ie/d/#"}, "expected ie/d/j/simatic"),
    ({"format": "json", "tag_from": "{name}"}, "names its values itself"),
    ({"format": "json", "topic": "a/{line}/{asset}"}, "names its values itself"),
    ({"format": "paths"}, "belong together"),
    ({"format": "json", "paths": {"tag": "n", "value": "v"}}, "belong together"),
    ({"format": "paths", "paths": {"tag": "n"}}, "neither values, nor tag and value"),
    ({"format": "paths", "paths": {"values": "v", "tag": "n"}}, "name either"),
    ({"format": "paths", "paths": {"values": "a..b"}}, "has an empty key"),
    ({"format": "raw", "topic": "a/{tag}", "rebirth": True}, "rebirth is of Sparkplug B"),
]


@pytest.mark.parametrize(("change", "says"), WRONG)
def test_a_source_that_cannot_be_is_refused(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    """With the source, what is wrong with it, and what there would be."""
    lines = ['site = "s"', "[commissioning]", "[[source]]"]
    tables = []
    for key, value in ({"topic": "a/{asset}"} | change).items():
        if isinstance(value, dict):
            tables += [f"[source.{key}]", *(f'{name} = "{path}"' for name, path in value.items())]
        else:
            lines.append(f'{key} = "{value}"' if isinstance(value, str) else f"{key} = true")
    file = tmp_path / "gateway.toml"
    file.write_text("\n".join([*lines, *tables]))
    with pytest.raises(ConfigError) as refused:
        load(file, environment={})
    assert says in str(refused.value)
