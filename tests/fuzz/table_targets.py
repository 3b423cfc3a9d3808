"""Readers of configuration, tables, mappings, labels, jobs, keys: what people write."""

from __future__ import annotations

import base64
import io
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from edge.assessment.label_words import Label
from edge.audit.signatures import new_key, read_key, unsigned_because
from edge.bundles.limit_bundle import read_limits
from edge.bundles.work_times import read_jobs
from edge.configuration.config import effective, load
from edge.errors import ConfigError, RecordingError
from edge.labels.book import add_labels, read_labels
from edge.labels.labels import read_windows
from edge.labels.modes import ModeNames
from edge.labels.table import codes_of, table_labels
from edge.recordings.mapping import LabelWindows, find_mapping, parse_mapping
from edge.recordings.recording import accepted_rows, read_table
from edge.records import Job, JobState, Witness
from edge.trust import Signs, TrustedKey
from kb.drafts.channel_tables import channel_table
from kb.errors import KnowledgeError
from kb.records import WorkKind
from kb.retrieval.tuning_pairs import read_pairs
from tests.fuzz.files import file_target
from tests.fuzz.mutate import mixed, mutate_bytes, mutate_json, mutate_text
from tests.fuzz.shapes import START
from tests.fuzz.storage_targets import mutate_lines
from tests.fuzz.target import FILE, Target

if TYPE_CHECKING:
    from tests.fuzz.target import Read

CONFIG: Final = b"""\
site = "s"
clock = "wall"
[mqtt]
port = 1883
keepalive_s = 30
[model]
bundle = "b"
watch_s = 60.5
[journal]
dir = "state"
bytes_max = 2147483648
[engine]
tick_ms = 100
fuse_s = 3600
[include]
assets = "assets.csv"
tags = "tags.csv"
[trust]
require_signed = false
[[source]]
topic = "plant/{asset}"
interval_ms_max = 5000
[[position]]
name = "hall"
assets = ["r1"]
alerts_per_day = 2.0
[[asset]]
id = "r1"
severity = 500
tags = { Pressure = "pressure" }
units = { pressure = "bar" }
safety = ["pressure"]
[[asset.context]]
tag = "run"
role = "run"
[[asset.context]]
tag = "cal"
role = "witness"
kind = "calibration"
instrument = "x"
[[asset.waveform]]
tag = "v"
topic = "plant/{asset}/v"
rate_hz = 4096.0
block = 2048
rpm = 1500.0
stages = [{ driving = 11, driven = 20 }]
bearings = [{ name = "b", balls = 9, ball_mm = 7.9, pitch_mm = 39.0 }]
"""
ASSETS: Final = b"id,severity,safety,action\nr2,300,flow;temp,look at the valve\nr3,,,\n"
TAGS: Final = b"asset,tag,channel,unit\nr2,T1,temp,degC\nr2,F1,flow,l/min\n"
MAPPING: Final = b"""\
asset = "{stem}"
delimiter = ";"
decimal = ","
ignore = ["Comment"]
[time]
column = ["Date", "Time"]
format = "%d.%m.%Y %H:%M:%S"
zone = "Europe/Berlin"
[channels]
"Hyd. pressure" = { channel = "pressure", unit = "bar" }
"Temp 1" = { unit = "degC" }
[context]
State = { tag = "run_state", role = "run", running = [1], values = { stop = 0, run = 1 } }
[labels]
anomaly = "fault"
[label_windows]
file = "windows.json"
"""
TABLE: Final = "Date;Time;Hyd. pressure;Temp 1;State;anomaly;Comment\n" + "".join(
    f"0{1 + k // 30}.03.2026;06:{k % 60:02d}:00;{3 + k / 10:.2f};{20 + k};run;0;x\n".replace(
        f"{3 + k / 10:.2f}", f"{3 + k / 10:.2f}".replace(".", ",")
    )
    for k in range(40)
)  # fmt: skip
PLAIN_TABLE: Final = "time,a,b\n" + "".join(
    f"2026-03-01T06:{k:02d}:00Z,{k}.5,{k * k}\n" for k in range(30)
)
LIMITS: Final = b"""\
asset,channel,unit,low_low,low,high,high_high,approved_by,approved_at
r1,pressure,bar,,1.0,9.5,12,engineer,2026-01-15T08:00:00+01:00
"""
LABELS: Final = b"""\
asset;begin;end;label;said by;note
r1;2026-03-01 06:00+01:00;2026-03-01 07:00+01:00;nuisance;ann;x
r1;1772340000;1772343600;real;bo;
"""


def _read_config(path: Path) -> bool:
    config = load(path, environment={})
    assert effective(config)
    assert config.settings.site == config.site
    assert config.path("x") == path.parent / "x"
    for asset in config.asset:
        for waveform in asset.waveform:
            assert waveform.named
            assert waveform.units
    return True


def _begin_config(scratch: Path) -> Read:
    """The file itself, and every fourth input one of the tables that it includes."""
    for name, content in (("assets.csv", ASSETS), ("tags.csv", TAGS)):
        (scratch / name).write_bytes(content)

    def read(data: bytes) -> bool:
        path = scratch / "gateway.toml"
        path.write_bytes(data)
        return _read_config(path)

    return read


def _begin_included(scratch: Path) -> Read:
    """One of the two tables, by its first column."""
    path = scratch / "gateway.toml"
    path.write_bytes(CONFIG)

    def read(data: bytes) -> bool:
        assets = data.startswith((b"id", b"sev"))
        (scratch / "assets.csv").write_bytes(data if assets else ASSETS)
        (scratch / "tags.csv").write_bytes(TAGS if assets else data)
        return _read_config(path)

    return read


def _begin_environment(scratch: Path) -> Read:
    """Variables, one a line."""
    for name, content in (("assets.csv", ASSETS), ("tags.csv", TAGS), ("gateway.toml", CONFIG)):
        (scratch / name).write_bytes(content)

    def read(data: bytes) -> bool:
        lines = data.decode("utf-8", "surrogateescape").replace("\0", "").splitlines()
        told = dict(line.partition("=")[::2] for line in lines)
        load(scratch / "gateway.toml", environment=told)
        return True

    return read


def _read_mapping(path: Path) -> bool:
    mapping = parse_mapping(path.read_bytes().decode("utf-8", "replace"), where=str(path), name="x")
    assert mapping.asset_settings("a").id == "a"
    table = path.with_name("press.csv")
    table.write_text(TABLE, encoding="utf-8")
    found = read_table(table, mapping=mapping)
    assert len(found.t_ns) == len(found.values)
    return True


def _read_recording(path: Path) -> bool:
    mapping = parse_mapping(MAPPING.decode(), where="m", name="m")
    found = read_table(path, mapping=mapping)
    n = len(found.t_ns)
    assert found.values.shape == (n, len(found.channels))
    assert found.t_ns.dtype == np.int64
    assert (found.t_ns >= 0).all()
    assert not np.isinf(found.values).any()
    kept = found.t_ns[accepted_rows(found)]
    assert (np.diff(kept) > 0).all(), "times that alignment takes go forward"
    assert found.truth is None or found.truth.end_ns >= found.truth.begin_ns
    return True


def _read_any_table(path: Path) -> bool:
    """Nobody says what it is: the mapping is found, or drafted in the refusal."""
    find_mapping(path)
    return True


def _parquet_seeds() -> list[bytes]:
    import pyarrow as pa  # noqa: PLC0415 - it takes long, and one target needs it
    import pyarrow.parquet as pq  # noqa: PLC0415

    columns = {
        "Date": [f"{1 + k // 30:02d}.03.2026" for k in range(40)],
        "Time": [f"06:{k % 60:02d}:00" for k in range(40)],
        "Hyd. pressure": [k / 7 for k in range(40)],
        "Temp 1": list(range(40)),
        "State": ["run"] * 40,
        "anomaly": [0] * 40,
        "Comment": [None] * 40,
    }
    made = []
    for compression in ("snappy", "none"):
        out = io.BytesIO()
        pq.write_table(pa.table(columns), out, compression=compression)
        made.append(out.getvalue())
    return made


def _read_windows(path: Path) -> bool:
    t_ns = np.arange(10, dtype=np.int64) * 10**9 + START
    windows = LabelWindows(file=path.name, key="k")
    found = read_windows(windows, table=path.with_name("t.csv"), t_ns=t_ns, zone="UTC")
    assert found is None or found.shape == (10,)
    return found is not None


def _read_labels(path: Path) -> bool:
    before = read_labels(path)
    add_labels(path, [_label("e")])
    after = read_labels(path)
    assert after[: len(before)] == before
    assert len({label.label_id for label in after}) <= len(after)
    return True


def _read_label_table(path: Path) -> bool:
    labels, bad = table_labels(path, names=ModeNames(None), zone="Europe/Berlin", asset="r1")
    assert all(0 < label.begin_ns < label.end_ns for label in labels)
    assert all(one.line() for one in bad)
    return bool(labels)


def _read_codes(path: Path) -> bool:
    return all(ours for ours in codes_of(path).values())


def _read_jobs(path: Path) -> bool:
    return all(not job.signed for job in read_jobs(path))


def _read_key(path: Path) -> bool:
    read_key(path).sign(b"x")
    return True


_TRUSTED: Final = tuple(
    TrustedKey(name="k", public_key=key, signs=(Signs.SCOPE,))
    for key in (base64.b64encode(bytes([b]) * 32).decode() for b in (1, 2))
)


def _read_signature(path: Path) -> bool:
    """It never raises: what cannot be read is not signed."""
    path.with_name("f.csv").write_bytes(b"content")
    because = unsigned_because(path.with_name("f.csv"), _TRUSTED, now_ns=START)
    assert because
    return False


def _read_channels(path: Path) -> bool:
    channels, _ = channel_table(path)
    return all(channel.name for channel in channels)


def _label(note: str) -> Label:
    return Label(
        asset="r1", begin_ns=START, end_ns=START + 10**9, label="real", source="table",
        reference=note, said_by="ann", recorded_at_ns=START, quote="q", place="t:1",
    )  # fmt: skip


def _job_line() -> bytes:
    job = Job(
        job_id="j", kind=WorkKind.CALIBRATION, asset="r1", functional_location="x",
        valid_from_ns=START, valid_to_ns=START + 10**9, witness=Witness.PERSON, opened_by="ann",
        opened_at_ns=START, recorded_at_ns=START, source="s", scope=("c1",), expected_effect=0.5,
        settle_s=60, fuse_s=600, state=JobState.OPEN,
    )  # fmt: skip
    return msgspec.json.encode(job) + b"\n"


def _key_seeds() -> list[bytes]:
    with tempfile.TemporaryDirectory() as place:
        private, _ = new_key(Path(place), "k")
        return [private.read_bytes()]


def _config_target(name: str, begin: object, seeds: list[bytes]) -> Target:
    return Target(
        name=name,
        count=FILE,
        begin=begin,  # type: ignore[arg-type] # one of the three above
        refusals=(ConfigError,),
        seeds=lambda: seeds,
        mutate=mutate_text,
    )


_RECORDING: Final = (RecordingError,)
TARGETS: Final = (
    _config_target("config", _begin_config, [CONFIG]),
    _config_target("config-included", _begin_included, [ASSETS, TAGS]),
    _config_target(
        "config-environment",
        _begin_environment,
        [b"ANDON__MQTT__PORT=1884\nANDON__SITE=x\nANDON__ENGINE__TICK_MS=50\nHOME=/"],
    ),
    file_target("mapping", _read_mapping, refusals=_RECORDING, seeds=lambda: [MAPPING],
                mutate=mutate_text, file="m.toml"),
    file_target("recording", _read_recording, refusals=_RECORDING, seeds=lambda: [TABLE.encode()],
                mutate=mutate_text, file="press.csv"),
    file_target("recording-any", _read_any_table, refusals=_RECORDING, mutate=mutate_text,
                seeds=lambda: [TABLE.encode(), PLAIN_TABLE.encode(),
                               PLAIN_TABLE.encode("utf-16")], file="press.csv"),
    file_target("recording-parquet", _read_recording, refusals=_RECORDING, seeds=_parquet_seeds,
                mutate=mutate_bytes, file="press.parquet"),
    file_target("label-windows", _read_windows, refusals=_RECORDING, mutate=mutate_json,
                seeds=lambda: [b'{"k":[["2025-10-09T08:53:20Z","2025-10-09T08:53:25Z"]]}']),
    file_target("labels", _read_labels, refusals=_RECORDING, mutate=mutate_lines,
                seeds=lambda: [b"".join(msgspec.json.encode(_label(n)) + b"\n" for n in "abc")]),
    file_target("label-table", _read_label_table, refusals=_RECORDING, seeds=lambda: [LABELS],
                mutate=mutate_text, file="l.csv"),
    file_target("codes", _read_codes, refusals=_RECORDING, mutate=mutate_text,
                seeds=lambda: [b"code,label\nF01,leak\nF02,nuisance\n"]),
    file_target("jobs", _read_jobs, refusals=_RECORDING, seeds=lambda: [_job_line() * 2],
                mutate=mutate_lines, file="jobs.jsonl"),
    file_target("limits", lambda path: bool(read_limits(path)),
                refusals=(ConfigError,), seeds=lambda: [LIMITS], mutate=mutate_text, file="l.csv"),
    file_target("key", _read_key, refusals=(ConfigError,), seeds=_key_seeds,
                mutate=mixed(mutate_text, mutate_bytes), file="k.key"),
    file_target("signature", _read_signature, refusals=(), seeds=lambda: [b"A" * 88 + b"\n", b""],
                mutate=mutate_bytes, file="f.csv.sig"),
    file_target("channels", _read_channels, refusals=(KnowledgeError,), mutate=mutate_text,
                seeds=lambda: [b"channel,unit,aliases,asset\nflow,l/min,F1;F2,r1\n"]),
    file_target("pairs", lambda path: bool(read_pairs(path)), refusals=(KnowledgeError,),
                mutate=mutate_lines, file="p.jsonl",
                seeds=lambda: [b'{"query":"what to do","passage":"clean the nozzle"}\n' * 2]),
)  # fmt: skip
