"""Payloads as plants send them: our own encoders', and the formats that gateways of others have."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any, Final

import numpy as np

from edge.wire import block
from edge.wire.readings import SHAPES, encode_rows
from edge.wire.sparkplug import BOOLEAN, DOUBLE, FLOAT, INT, LONG
from edge.wire.sparkplug_writing import (
    bytes_field,
    encode_birth,
    encode_data,
    encode_metric,
    encode_payload,
    number_field,
)
from edge.wire.waveform import encode_block

S: Final = 10**9
START: Final = 1_760_000_000 * S
MS: Final = START // 10**6
ISO: Final = "2025-10-09T08:53:20.123Z"
CHANNELS: Final = ("c0", "c1", "c2", "c3")
BLOCK: Final = 64
RATE_HZ: Final = 1024.0


def _json(*bodies: Any) -> list[bytes]:  # noqa: ANN401 - whatever JSON may hold
    return [json.dumps(body).encode() for body in bodies]


def own_readings() -> list[bytes]:
    """Every shape as our encoders write it, beside the examples of the documentation."""
    rows = [[3.1, 2.9, -4.0, 0.5], [3.2, 2.8, -4.5, 1e-3]]
    t_ns = [START, START + S]
    made = [p for shape in SHAPES[:3] for p in encode_rows(CHANNELS, t_ns, rows, shape=shape)]
    return made + _json(
        {"ts": MS, "asset": "r1", "tag": "c0", "value": 3.14, "quality": "GOOD"},
        {"ts": ISO, "c0": 3.1, "c1": None, "run": 1, "cal": True, "mode": "auto"},
        {"t0": MS, "dt_ms": 1, "tags": ["c0", "c1"], "v": [[3.1, 2.9], [3.2, 2.8]]},
        {
            "tags": ["c0", "c1"],
            "ts": [MS, MS + 1000],
            "v": [[1, True], ["x", None]],
            "units": {"c0": "A"},
        },
        [{"ts": MS, "c0": 1}, {"ts": MS + 1, "c0": 2, "quality": False}],
        {"c0": 1.5},
        {"ts": 1_760_000_000.25, "tag": "c0", "value": "text", "unit": "bar"},
    )


def row_blocks() -> list[bytes]:
    """Binary blocks of rows: in steps, with times of their own, as float32, empty."""
    rows = np.array([[3.1, 2.9, -4.0, 0.5], [3.2, np.nan, -4.5, 1e-3], [0.0, 1.0, 2.0, 1e300]])
    t_ns = START + S * np.arange(3)
    return [
        block.encode_block(CHANNELS, t_ns, rows),
        block.encode_block(CHANNELS, t_ns[[0, 2, 1]], rows),
        block.encode_block(CHANNELS[:1], t_ns[:2], rows[:2, :1], exact=False),
        block.encode_block(CHANNELS, t_ns[:0], rows[:0]),
    ]


def foreign_readings() -> list[bytes]:
    """Unified namespaces, Kepware, Siemens, Telegraf, OPC UA, SenML, Neuron, AVEVA, Sparkplug."""
    ua = {"Temperature": {"Value": 99, "SourceTimestamp": "2020-03-24T23:30:55.9891469Z"}}
    metric = {"name": "T1", "timestamp": MS, "dataType": "INT32", "value": 100}
    return _json(
        42.5,
        {"value": 42.5, "timestamp": MS},
        {"timestamp_ms": MS, "value": 42.5},
        {"timestamp": MS, "values": [{"id": "PSI.Device1.Tag", "v": 10, "q": True, "t": MS}]},
        [{"tagname": "c0", "timestamp": MS, "value": 1}],
        {"seq": 1, "vals": [{"id": "101", "qc": 3, "ts": ISO, "val": 3.14}]},
        {"seq": 1, "records": [{"ts": ISO, "rseq": 1, "vals": [{"id": "1", "val": "7", "qc": 3}]}]},
        {"fields": {"field_1": 30}, "name": "docker", "tags": {"host": "raynor"},
        "timestamp": MS // 1000},
        {"metrics": [{"fields": {"f": 1.5}, "name": "n", "tags": {}, "timestamp": MS // 1000}]},
        {
            "MessageId": "18", "MessageType": "ua-data", "PublisherId": "p1",
            "Messages": [{"DataSetWriterId": 2, "Timestamp": ISO, "Payload": ua}],
        },
        {"temperature": {"SourceTimestamp": ISO, "Value": 4558}},
        [{"bn": "urn:dev:press07:", "bt": MS // 1000, "bu": "mm/s", "n": "vib", "v": 3.14}],
        {"timestamp": MS, "node": "modbus", "group": "grp", "values": {"tag0": 123},
        "errors": {"tag1": 1}},
        {"d": 1.2, "dt": 5, "ts": "2021-06-17T22:46:07Z", "q": 192},
        {"topic": {"namespace": "spBv1.0", "type": "DDATA"}, "payload": {"timestamp": MS,
        "metrics": [metric], "seq": 2}},
    )  # fmt: skip


def not_json() -> list[bytes]:
    """What comes to the same topics and is none of ours: line protocol, protobuf, plain texts."""
    sparkplug = b"\x08" + b"\x80\x9d\x9f\xd7\xa6\x33" + b"\x12\x0f\x0a\x02T1\x18\x00\x20\x09\x65"
    return [
        b"vib,asset=press07 x=3.1,y=2.9 1760000000000000000",
        sparkplug + struct.pack("<f", 3.5) + b"\x18\x02",
        b"ONLINE",
        b"",
        b"\xff\xfe\x00\x01",
        b"\xef\xbb\xbf{}",
    ]


def sparkplug() -> list[bytes]:
    """Births, data of all kinds of values, flags and qualities of Sparkplug B."""
    good, bad = (
        bytes_field(9, bytes_field(1, b"Quality") + bytes_field(2, number_field(3, number)))
        for number in (192, 0)
    )
    fields = enumerate([FLOAT, DOUBLE, INT, LONG, BOOLEAN])
    kinds = [encode_metric(alias=i, t_ms=MS, field=field, value=1.0) for i, field in fields]
    odd = [
        encode_metric(alias=130, t_ms=MS - 9, value=3.5, more=good),
        encode_metric(alias=2, value=-3.5, more=bad + number_field(5, 1)),
        encode_metric(name="T2", field=INT, datatype=1, value=-3.0),
        bytes_field(1, b"T3") + bytes_field(15, b"running"),
        bytes_field(1, b"T4") + bytes_field(17, b"\x08\x02"),
    ]
    return [
        encode_birth(CHANNELS, t_ms=MS, seq=0),
        encode_data([1.5, -2.5, 0.0], t_ms=MS, seq=1),
        encode_data([1.5, -2.5, 0.25] * 40, t_ms=MS, seq=200),
        encode_payload(kinds, t_ms=MS, seq=3),
        encode_payload([*kinds[:2], *odd], t_ms=MS, seq=4),
        encode_payload(odd),
    ]


def blocks_json() -> list[bytes]:
    """Blocks of a waveform in the ways of JSON."""
    wave = ((np.arange(BLOCK, dtype=np.float32) - 30.0) / 8.0).astype("<f4")
    packed = base64.b64encode(wave.tobytes()).decode()
    values = wave.tolist()
    return _json(
        {"t": START, "values": values, "rate_hz": RATE_HZ, "rpm": 1480.2, "unit": "m/s2"},
        {"timestamp": MS, "data": values, "samplingInterval": 1 / RATE_HZ},
        [{"dateTime": ISO, "spacing": 1 / RATE_HZ, "value": values, "amplitudeUnit": "m/s^2"}],
        {"ts": MS, "samples": packed, "dtype": "float32", "fs": RATE_HZ},
        {"ts": MS, "samples": packed, "dtype": "int16", "rpm": 900},
        {"values": [None, *values[1:]]},
    )


def blocks_header() -> list[bytes]:
    """Blocks behind one line of JSON."""
    wave = np.linspace(-3, 3, BLOCK, dtype=np.float32)
    return [
        encode_block(wave, t_ns=START, rate_hz=RATE_HZ),
        encode_block(wave * np.float32(np.nan), t_ns=START + S, rate_hz=RATE_HZ, rpm=1500.0),
        b"{}\n" + wave.tobytes(),
    ]


def blocks_binary() -> list[bytes]:
    """Samples alone."""
    wave = np.linspace(-3, 3, BLOCK, dtype="<f4")
    return [wave.tobytes(), np.full(BLOCK, np.inf, "<f4").tobytes(), wave.tobytes() * 4]


def command_bodies() -> dict[str, list[dict[str, Any]]]:
    """Bodies of every command by its name."""
    return {
        "ack": [{"ts": MS, "alert_id": "r1-process-1", "reason": "seen"}],
        "feedback": [{"ts": MS, "alert_id": "r1-process-1", "label": "nuisance", "note": "n"}],
        "confirm": [
            {"ts": MS, "proposal_id": "wo-1", "instrument": "x", "valid_from": MS, "reason": "r"}
        ],
        "job": [
            {"ts": MS, "action": "check_in", "asset": "r1", "kind": "calibration",
            "instrument": "x",
             "valid_to": MS + 600_000},
            {"ts": MS, "action": "check_out", "job_id": "p-1"},
            {"ts": MS, "action": "extend", "job_id": "p-1", "minutes": 30},
            {"ts": MS, "action": "cancel", "job_id": "p-1", "reason": "not today"},
        ],
        "shelve": [
            {"ts": MS, "alert_id": "r1-process-1", "minutes": 60, "reason": "r"},
            {"ts": MS, "action": "unshelve", "asset": "r1", "track": "process"},
            {"ts": MS, "asset": "r1", "until": MS + 60_000, "reason": "r", "signature": "AAAA"},
        ],
        "oos": [
            {"ts": MS, "asset": "r1", "minutes": 60, "owner": "ann", "reason": "r"},
            {"ts": MS, "asset": "r1", "action": "in"},
        ],
        "text": [{"ts": MS, "asset": "r1", "text": "changed the hose of r1"}],
        "nothing": [{"ts": MS}],
    }  # fmt: skip
