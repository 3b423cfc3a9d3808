"""Exports of Kepware and Ignition, and what a strange broker carries: damaged, read, written, read.

What is made of either is a configuration that the gateway itself reads.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import msgspec
from rich.console import Console

from edge.configuration.config import load
from edge.discovery.judging import judged
from edge.discovery.observed import REASONS_MAX, Observed
from edge.discovery.shown import as_json, show
from edge.discovery.written import written as discovered
from edge.errors import ConfigError
from edge.imports.ignition import read_ignition, read_json
from edge.imports.kepware import decoded, period_s, read_kepware
from edge.imports.sorting import sorted_out
from edge.imports.written import CONFIG, summary, written
from edge.wire.formats import FORMATS
from tests.edge.exports import BOUND, folder, kepware_csv, opc, row
from tests.fuzz import decoder_inputs
from tests.fuzz.mutate import (
    TEXTS,
    json_of,
    mixed,
    mutate_bytes,
    mutate_json,
    mutate_text,
)
from tests.fuzz.shapes import START, S
from tests.fuzz.target import BYTES, FILE, Target

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from edge.imports.tags import Export
    from tests.fuzz.target import Read

STREAMS, SERIES = 60, 150  # places of a short listening, so that they are all taken
LOOK_EVERY: Final = 100  # messages, and what was heard is shown and written
SPAN: Final = 500
# Where somebody else's messages may come: never one with + # or a zero byte, which no broker takes.
TOPICS: Final = (
    "/", "//", "a", "a/b/c/d/e/f/g/h", "andon/s/alert/x", "plant/_clock", "$SYS/broker/uptime",
    "spBv1.0", "spBv1.0/g", "spBv1.0/g/DDATA/n/d/e", "spBv1.0//DDATA/n/d", "spBv1.0/STATE/host",
    "ie/m", "ie/d/j/simatic/v1/s/dp/r", "x/set", "x/cmd/y", "{asset}/{tag...}", "a b/\u202e/\xe9",
    "x" * 400, "/".join("y" * 100), "a/\"'\\/\n/b", "_gateway/1", "_group/x/y",
)  # fmt: skip


def _check_export(export: Export, scratch: Path) -> bool:
    """All that the command does with it; True: something was written, and the gateway reads it."""
    imported = sorted_out(export)
    told = imported.export
    assert len(told.tags) + len(told.left_out) == len(export.tags) + len(export.left_out)
    assert all(isinstance(line, str) for line in summary(imported))
    if not imported.assets:
        return False
    texts = written(
        imported, name="x", site="s", host="h", port=1883, period_s=period_s(export.tags)
    )
    for name, text in texts.items():
        (scratch / name).write_text(text, encoding="utf-8", newline="")
    try:
        config = load(scratch / CONFIG, environment={})
    except ConfigError as error:
        raise AssertionError("our own tables cannot be read") from error
    assert {one.id for one in config.asset} == {one.id for one in imported.assets}
    return True


def _begin_kepware(scratch: Path) -> Read:
    def read(data: bytes) -> bool:
        text = decoded(data, name="x.csv")
        export = read_kepware(text, name="x.csv", device="C.D1", topic="iotgateway")
        return _check_export(export, scratch)

    return read


def _begin_ignition(scratch: Path) -> Read:
    def read(data: bytes) -> bool:
        tree = read_json(data, name="x.json")
        way = len(data) % 3
        export = read_ignition(
            tree,
            name="x.json",
            below=("", "G/N", "G/N/D")[way],
            types=tree if way == 1 else None,
        )
        return _check_export(export, scratch)

    return read


def _kepware_seeds() -> list[bytes]:
    rows = [
        row("Cell4.Press.PT_101", Eng_Units="bar", Scaling="Linear", Scaled_Low="0",
            Scaled_High="250", Clamp_High="1", Scaled_Data_Type="Double"),
        row("Cell4.Press.Running", "Boolean"),
        row("Cell4.Press.Mode", "Short"),
        row("Cell4.Press.Lot", "String"),
        row("Oil_temp", "Float", Eng_Units="\xb0C"),
        row("Reset.Cmd", "Float", Client_Access="WO"),
    ]  # fmt: skip
    texts = [kepware_csv(rows, delimiter=mark) for mark in ",;\t"]
    return [
        *(text.encode() for text in texts),
        texts[0].encode("utf-8-sig"),
        texts[1].encode("cp1252"),
        texts[2].encode("utf-16"),
    ]


def _ignition_seeds() -> list[bytes]:
    high = {"name": "hi", "mode": "AboveValue", "setpointA": 30.0}
    motor = folder(
        "Motor", opc("Amps", engUnit="A", alarms=[high]), opc("Speed", engUnit=BOUND),
        opc("Serial", "String"), kind="UdtType",
    )  # fmt: skip
    instance = {
        "name": "M1",
        "tagType": "UdtInstance",
        "typeId": "Motor",
        "parameters": {"unit": {"dataType": "String", "value": "1/min"}},
    }
    line = folder("Line3", folder("Press", opc("PT_101", engUnit="bar", engHigh=250.0), instance))
    types = folder("_types_", motor)
    return [
        json_of(folder("", types, folder("Plant", line), kind="Provider")),
        json_of(folder("Plant", types, line)),
        json_of({"tags": [types, opc("Alone"), instance]}),
        json_of([opc("A", "Int4"), opc("B", "Boolean")]),
    ]


# --- a strange broker ----------------------------------------------------------------------------


def _begin_discovery(scratch: Path) -> Read:
    """A broker that carries everything at once, for as long as one listens."""
    observed = Observed(prefix="andon", streams_max=STREAMS, series_max=SERIES)
    heard = 0

    def read(data: bytes) -> bool:
        nonlocal heard
        heard += 1
        head, _, payload = data.partition(b"\n")
        observed.take(
            head.decode("utf-8", "replace"),
            payload,
            received_ns=START + heard * S // 10,
            retained=len(data) % 5 == 0,
        )
        counts = observed.counts
        assert sum(getattr(counts, name) for name in counts.__slots__) == heard
        assert len(observed.streams) <= STREAMS
        held = sum(len(one.series) for one in observed.streams.values())
        assert held == observed.series <= SERIES
        assert len(observed.refused) <= REASONS_MAX
        if heard % LOOK_EVERY == 0:
            _check_found(observed, scratch)
        return True

    return read


def _check_found(observed: Observed, scratch: Path) -> None:
    """What was heard is shown, and written as a configuration that is read again."""
    findings = judged(observed)
    show(findings, dropped=0, console=Console(file=io.StringIO(), width=100))
    assert msgspec.json.decode(as_json(findings, dropped=0))
    if not findings.assets:
        return
    text = discovered(findings, site="s", prefix="andon", mqtt={"host": "h"}, name="g.toml")
    path = scratch / "g.toml"
    path.write_text(text, encoding="utf-8", newline="")
    try:
        config = load(path, environment={})
    except ConfigError as error:
        raise AssertionError(f"our own configuration cannot be read: {error}") from error
    assert {one.id for one in config.asset} == {one.id for one in findings.assets}


def _mutate_heard(chance: random.Random, seed: bytes) -> bytes:
    """A message of any format, mostly where it belongs."""
    format_ = FORMATS[int(chance.random() * len(FORMATS))]
    mine = decoder_inputs.seeds(format_)
    made = decoder_inputs.mutator(format_)(chance, mine[int(chance.random() * len(mine))])
    way = chance.random()
    head, _, payload = made.partition(b"\n")
    if way < 0.2:
        head = TOPICS[int(chance.random() * len(TOPICS))].replace("\n", " ").encode()
    elif way < 0.35:
        words = head.split(b"/")
        text = TEXTS[int(chance.random() * len(TEXTS))].encode("utf-8", "replace")
        words[int(chance.random() * len(words))] = text.translate(None, b"+#\0\n")
        head = b"/".join(words) or b"a"  # a topic has a character
    elif way < 0.4:
        head, payload = seed.partition(b"\n")[0], seed.partition(b"\n")[2]
    return head + b"\n" + payload


TARGETS: Final = (
    Target(
        name="import-kepware",
        count=FILE,
        begin=_begin_kepware,
        refusals=(ConfigError,),
        seeds=_kepware_seeds,
        mutate=mutate_text,
    ),
    Target(
        name="import-ignition",
        count=FILE,
        begin=_begin_ignition,
        refusals=(ConfigError,),
        seeds=_ignition_seeds,
        mutate=mixed(mutate_json, mutate_json, mutate_bytes),
    ),
    Target(
        name="discovery",
        count=BYTES,
        begin=_begin_discovery,
        refusals=(),
        seeds=lambda: [one for format_ in FORMATS for one in decoder_inputs.seeds(format_)],
        mutate=_mutate_heard,
        span=SPAN,
    ),
)
