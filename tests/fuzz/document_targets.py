"""Files of a source folder, each read as production reads it: folder, texts, rows, proposals.

Whatever a file holds, the folder is read: what cannot be believed is quarantined with its cause.
"""

from __future__ import annotations

import csv
import io
import zipfile
from functools import cache
from typing import TYPE_CHECKING, Final

from kb.errors import KnowledgeError
from kb.snapshots.workshop import Workshop
from tests.fuzz.mutate import mixed, mutate_bytes, mutate_text
from tests.fuzz.storage_targets import mutate_lines
from tests.fuzz.target import FILE, Target
from tests.kb import conftest as texts
from tests.kb.test_pages import HTML, docx, pdf, xlsx

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from kb.snapshots.workshop import Prepared
    from tests.fuzz.target import Mutate, Read

NOW_NS: Final = texts.NOW_NS
UNPACKED_MAX: Final = 1 << 20  # of a member that is changed as text
PAGES_COUNT: Final = FILE
CALENDAR: Final = b"""\
BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//x//x//EN
X-WR-TIMEZONE:Europe/Berlin
BEGIN:VEVENT
UID:1
DTSTAMP:20260301T060000Z
DTSTART:20260302T060000Z
DTEND:20260302T070000Z
SUMMARY:Calibration gas flow R1
LOCATION:r1
RESOURCES:gas_flow
END:VEVENT
BEGIN:VEVENT
UID:2
DTSTART;TZID=Europe/Berlin:20260302T060000
DURATION:PT1H
RRULE:FREQ=WEEKLY;BYDAY=MO,TU;COUNT=20
EXDATE;TZID=Europe/Berlin:20260303T060000
SUMMARY:Cleaning
X-ANDON-ASSET:r2
STATUS:CONFIRMED
END:VEVENT
BEGIN:VEVENT
UID:2
RECURRENCE-ID;TZID=Europe/Berlin:20260309T060000
DTSTART;TZID=Europe/Berlin:20260309T080000
DTEND;TZID=Europe/Berlin:20260309T090000
SUMMARY:Cleaning
END:VEVENT
END:VCALENDAR
"""
RST: Final = b"""\
Pump
====

The pump P-101 starves when the filter is clogged.

Seals
-----

* Check the seal.
* Replace it.

.. note:: mind the pressure
"""
JSONL: Final = b"""\
{"order_id":"WO-1","asset":"r1","kind":"calibration","instrument":"gas_flow","status":"APPR","start":"2026-03-02T06:00:00+01:00","end":"2026-03-02T06:30:00+01:00"}
{"order_id":"WO-2","asset":"r2","kind":"repair","status":"CAN","tags":["a","b"],"n":3,"x":null}
"""
FAILURES: Final = b"""\
mode,asset,channels,cause,action
leak,r1,Pressure low;Flow high,a worn seal,replace the seal
"""
LIMITS: Final = b"""\
asset,channel,unit,low_low,low,high,high_high,approved_by,approved_at
r1,Pressure,bar,,1.0,9.5,12,engineer,2026-01-15T08:00:00+01:00
"""
SENSORS: Final = b"""\
asset,channel,unit,low,high,aliases
r1,Pressure,bar,0,16,p1;line pressure
"""
SCHEDULE: Final = b"""\
asset,kind,planned_start,planned_end
r1,calibration,2026-03-05T06:00:00+01:00,2026-03-05T07:00:00+01:00
"""
FOREIGN: Final = """\
WO Number;Beschreibung;Start;Ende;Status
4711;Kalibrierung R1;02.03.2026 06:00;02.03.2026 07:00;REL
"""
MAPPING: Final = b"""\
zone = "Europe/Berlin"
day_first = true
[columns]
"WO Number" = "order_id"
Beschreibung = "description"
[join]
start = ["Start", "Ende"]
[status]
REL = "approved"
[kind]
ZCAL = "calibration"
"""
META: Final = b"""\
kind = "manual"
title = "Pump"
assets = ["r1"]
revision = "2"
effective_from = 2026-03-01
language = "en"
"""


def _check(prepared: Prepared) -> None:
    """Spans lie within their texts, and nothing that withdraws or proposes is without a source."""
    for one in prepared.extracts:
        text = one.document.text
        assert "\0" not in text
        for passage in one.passages:
            assert 0 <= passage.start <= passage.end <= len(text)
            assert passage.known_from_ns >= 0
        for proposal in one.proposals:
            assert proposal.citation.quote in text
            begin, end = proposal.valid_from_ns, proposal.valid_to_ns
            assert begin is None or end is None or begin <= end or not proposal.approved
        for scope in one.scope_rows:
            assert scope.channels
            assert scope.expected_effect == scope.expected_effect
            assert 0 < scope.duration_s_max <= 86_400 * 7
    assert all(one.cause for one in prepared.quarantined)


def _begin(name: str, beside: dict[str, bytes]) -> object:
    def begin(scratch: Path) -> Read:
        source = scratch / "texts"
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        for other, content in beside.items():
            (source / other).write_bytes(content)

        def read(data: bytes) -> bool:
            path.write_bytes(data)
            prepared = Workshop().prepare(source, first_seen={}, now_ns=NOW_NS)
            _check(prepared)
            return any(one.partition("#")[0] == name for one in prepared.paths) or bool(beside)

        return read

    return begin


def _packed(inner: Mutate) -> Mutate:
    """An office file: one of its members with other text, or another size, or other bytes."""

    def mutate(chance: random.Random, data: bytes) -> bytes:
        if chance.random() < 0.25:
            return mutate_bytes(chance, data)
        members = dict(_members(data))
        name = sorted(members)[int(chance.random() * len(members))]
        way = chance.random()
        if way < 0.8:
            members[name] = inner(chance, members[name][:UNPACKED_MAX])
        elif way < 0.85:
            del members[name]
        elif way < 0.9:
            members[f"../{name}"] = members[name]
        elif way < 0.95:
            members[name] = _ENTITIES + members[name].partition(b"?>")[2]
        else:
            members[name] = members[name] + b" " * (30 << 20)  # small when it is packed
        out = io.BytesIO()
        stored = zipfile.ZIP_STORED if way < 0.4 else zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(out, "w", stored, compresslevel=1) as packed:
            for one, content in members.items():
                packed.writestr(one, content)
        return out.getvalue()

    return mutate


_ENTITIES: Final = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">
<!ENTITY b "&a;&a;&a;&a;&a;&a;">
<!ENTITY c SYSTEM "file:///etc/passwd">]>"""


@cache
def _members(data: bytes) -> tuple[tuple[str, bytes], ...]:
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        return tuple((one, packed.read(one)) for one in packed.namelist())


def _mutate_xml(chance: random.Random, data: bytes) -> bytes:
    """Tags of a member: left out, doubled, nested deeply, with other words."""
    parts = data.split(b"<")
    at = int(chance.random() * len(parts))
    way = chance.random()
    if way < 0.3:
        return mutate_bytes(chance, data)
    if way < 0.5:
        parts[at] = mutate_text(chance, parts[at])
    elif way < 0.65:
        del parts[at]
    elif way < 0.8:
        parts[at:at] = parts[at : at + 5] * (1 + int(chance.random() ** 3 * 300))
    elif way < 0.85:
        parts[at:at] = [parts[at]] * 3_000
    else:
        other = int(chance.random() * len(parts))
        parts[at], parts[other] = parts[other], parts[at]
    return b"<".join(parts)


def _mutate_html(chance: random.Random, data: bytes) -> bytes:
    if chance.random() < 0.02:
        tag = (
            b"<div>",
            b"<b>",
            b"<ul><li>",
            b"<table><tr><td>",
            b"<p><del>",
            b"<a href=x>",
            b"<h1>",
        )
        return data + tag[int(chance.random() * 7)] * int(10 ** (1 + 3.6 * chance.random()))
    return mixed(_mutate_xml, mutate_text)(chance, data)


def _workbook() -> bytes:
    rows: list[list[object]] = [[*row] for row in csv.reader(texts.ORDERS.splitlines())]
    return xlsx(orders=rows, notes=[["a", 1], ["b", None]])


def _target(
    name: str, file: str, seeds: list[bytes], mutate: Mutate, beside: dict[str, bytes] | None = None
) -> Target:
    return Target(
        name=f"document-{name}",
        count=FILE,
        begin=_begin(file, beside or {}),  # type: ignore[arg-type] # a Begin
        refusals=(KnowledgeError,),
        seeds=lambda: seeds,
        mutate=mutate,
    )


_ROWS: Final = mixed(mutate_text, mutate_text, mutate_bytes)
TARGETS: Final = (
    _target("markdown", "a.md", [texts.GAS_MANUAL.encode(), texts.ARM_MANUAL.encode()], _ROWS),
    _target("rst", "a.rst", [RST], _ROWS),
    _target("text", "a.txt", [RST, texts.LOG.encode(), FOREIGN.encode("utf-16")], _ROWS),
    _target("log", "logs/a.log", [texts.LOG.encode()], _ROWS),
    _target("orders", "o.csv", [texts.ORDERS.encode()], _ROWS, {"s.csv": texts.SCOPE.encode()}),
    _target("scope", "s.csv", [texts.SCOPE.encode()], _ROWS, {"o.csv": texts.ORDERS.encode()}),
    _target("tables", "t.csv", [FAILURES, LIMITS, SENSORS, SCHEDULE, FOREIGN.encode()], _ROWS),
    _target("jsonl", "o.jsonl", [JSONL], mutate_lines),
    _target("html", "a.html", [HTML.encode()], _mutate_html),
    _target("pdf", "a.pdf", [pdf("Pump P-101\nCheck the seal."), pdf("a", "b", "c")], mutate_text),
    _target("docx", "a.docx", [docx()], _packed(_mutate_xml)),
    _target("xlsx", "a.xlsx", [_workbook()], _packed(_mutate_xml)),
    _target("calendar", "a.ics", [CALENDAR], _ROWS),
    _target("mapping", "mapping.toml", [MAPPING], mutate_text, {"o.csv": FOREIGN.encode()}),
    _target("meta", "a.meta.toml", [META], mutate_text, {"a.rst": RST}),
)
