"""What fuzzing found, input by input: each is refused as documented, or taken as it stands."""

from __future__ import annotations

import io
import random
import struct
import zipfile
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pytest
from onnx import ModelProto

from edge.storage.checkpoint import pack, unpack
from edge.storage.history import HistoryPart
from models.bundles.arrays import plain_arrays
from tests.fuzz.artifact_targets import snapshot_files
from tests.fuzz.box_targets import CONFIG as BOX_CONFIG
from tests.fuzz.document_targets import CALENDAR
from tests.fuzz.kept_targets import kept_readings
from tests.fuzz.model_mutate import mutate_onnx
from tests.fuzz.outbox_reader import outbox_seed
from tests.fuzz.paper_targets import shadow_report, tokenizer_seed
from tests.fuzz.table_targets import CONFIG, LIMITS, MAPPING
from tests.fuzz.targets import TARGETS
from tests.fuzz.trial import Trial

if TYPE_CHECKING:
    from pathlib import Path

BY_NAME: Final = {target.name: target for target in TARGETS}
DEEP: Final = b"[" * 1_200 + b"]" * 1_200
LONG: Final = b"9" * 5_000
# Where SQLite says what is wrong, the words are cut within a character.
BROKEN_SCHEMA: Final = outbox_seed()[:3_874] + b"\xcc\x10\0\0" + outbox_seed()[3_878:]
FOUND: Final[dict[str, tuple[str, bytes, bool]]] = {  # reader, input, whether it is taken
    "a deep command": ("commands", b'andon/s/cmd/ann/ack\n{"ts":' + DEEP + b"}", False),
    "a deep command, signed": (
        "commands",
        b'andon/s/cmd/ann/ack\n{"signature":"A","x":' + DEEP + b"}",
        False,
    ),
    "a deep command in the engine": (
        "engine-wall",
        b'andon/s/cmd/ann/ack 0 0\n{"ts":' + DEEP + b"}",
        True,
    ),
    "a log before the calendar begins": (
        "document-log",
        b"# zone: Europe/Berlin\n2026-03-02 06:40 R1 gas flow cal\n0001-01-01T00:00:00+23:59, JT\n",
        True,
    ),
    "a zone of a thousand parts": (
        "document-log",
        b"# zone: " + b"a/" * 5_000 + b"b\n2026-03-02 06:40 R1 gas flow cal done\n",
        False,
    ),
    "a record that is no text": ("journal-record", b"\x92\x01\x81\xa4type\xa2\xc2\xff", False),
    "a history that is no text": ("history", b'{"sequence":1,"previous":"\xff"}\n', False),
    "a pointer that is no text": ("pointer", b'{"bundle_sha256":"\xea"}', False),
    "notes in Latin-1": ("notebook", b"2025-10-09 08:00:00Z r1 gr\xfcn\r\n", True),
    "deep TOML": ("config", b"x = " + DEEP + b"\n" + CONFIG, False),
    "a number of 5,000 digits": ("config", b"x = " + LONG + b"\n" + CONFIG, False),
    "a path with NUL": ("config", CONFIG.replace(b"assets.csv", b"a\\u0000b"), False),
    "a deep variable": ("config-environment", b"ANDON__SITE=" + DEEP, False),
    "a deep mapping": ("mapping", b"x = " + DEEP + b"\n" + MAPPING, False),
    "deep windows": ("label-windows", b'{"k":' + DEEP + b"}", False),
    "limits with a column twice": ("limits", LIMITS.replace(b"unit", b"asset"), False),
    "a deep file about a document": ("document-meta", b"x = " + DEEP, True),
    "a model of who is no text": (
        "foreign-model",
        BY_NAME["foreign-model"].seeds()[0].replace(b"by hand", b"by\xe2and"),
        False,
    ),
    "a scope table approved beyond all years": (
        "scope-book",
        b'{"newest":{"calibration\\nr1\\n":1760338800000000000000}}',
        False,
    ),
    "a row of the outbox of other types": ("outbox", b"SQLite format 3\0" + b"\xff" * 84, False),
    "a broken exception of a series": (
        "document-calendar",
        CALENDAR.replace(b":20260309T060000", b":2\xc2\xb060309T060000"),
        True,
    ),
    "an event on a line that goes on": (
        "document-calendar",
        CALENDAR.replace(b"BEGIN:VEVENT\nUID:1", b"BEGIN:VEVENT\x0b\nUID:1"),
        True,
    ),
    "a pointer to a name with NUL": (
        "pointer",
        (
            b'{"bundle_sha256":"a\\u0000b","configured_sha256":"","before_sha256":"",'
            b'"watch_until_ns":0}'
        ),
        False,
    ),
    "a last word of ours that is no text": ("read-back", b'{"id":"\xff","revision":1}', False),
    "a deep last word of ours": ("read-back", b'{"id":"a","x":' + DEEP + b',"revision":1}', False),
    "a deep dead letter": ("dead-letters", b'{"x":' + DEEP + b"}\n", False),
    "a deep claim": (
        "fence",
        (
            b'{"schema":"andon/fence/1","box":"b","generation":3,"since_ms":1,"run":"r","run_ms":1,'
            b'"ts_ms":1,"x":' + DEEP + b"}"
        ),
        False,
    ),
    "a deep last word of the old box": (
        "inherit",
        b'{"id":"a","x":' + DEEP + b',"revision":1}',
        False,
    ),
    "a last word above which there is no number": (
        "inherit",
        b'{"id":"a","revision":9223372036854775807}',
        False,
    ),
    "a last word beyond all numbers": (
        "inherit",
        b'{"id":"a","revision":9223372036854775808}',
        False,
    ),
    "an identity that is no text": ("identity", b'{"box":"\xff"}', False),
    "a restored folder with too long a name": (
        "restore-config",
        BOX_CONFIG.replace(b'"state"', b'"' + b"z" * 5_000 + b'"'),
        True,
    ),
    "a restored outbox that is no text": (
        "restore-outbox",
        BROKEN_SCHEMA,
        True,
    ),
    "a backup of an outbox that is no text": (
        "backup-outbox",
        BROKEN_SCHEMA,
        False,
    ),
    "a deep last line in a backup": ("backup-lines", b'{"a":1}\n{"x":' + DEEP + b"}", True),
    "a last line that is no text in a backup": ("backup-lines", b'{"a":1}\n{"x":"\xff"}', True),
    "a deep alert of a retired asset": ("retired-alert", b'{"x":' + DEEP + b"}", False),
    "tags of an asset that are a text": (
        "config",
        CONFIG + b'[[asset]]\nid = "r2"\ntags = "tags.csv"\n',
        False,
    ),
    "a waveform without a rate": ("config", CONFIG.replace(b"4096.0", b"0.0"), False),
    "a port beyond all numbers": (
        "config-environment",
        b"ANDON__MQTT__PORT=" + b"9" * 400,
        False,
    ),
    "a time with one part twice": ("mapping", MAPPING.replace(b"%d.%m.", b"%d.%m.%m."), False),
    "label windows under too long a name": (
        "mapping",
        MAPPING.replace(b"windows.json", b"z" * 5_000),
        False,
    ),
    "a tokenizer that lacks what a text needs": (
        "tokenizer",
        tokenizer_seed().replace(b'"unk_token":"[UNK]"', b'"unk_token":"none"'),
        False,
    ),
    "a watchdog's time that is no number": ("supervisor", "3²".encode(), True),
    "a watchdog's time of 5,000 digits": ("supervisor", LONG, True),
    "a truth beyond all bounds": (
        "truth",
        b'{"begin_ns":0,"end_ns":1' + b"0" * 400 + b"}",
        False,
    ),
    "a shadow run beyond all bounds": (
        "shadow-report",
        shadow_report().replace(b'"end_ns":', b'"end_ns":1' + b"0" * 400),
        False,
    ),
    "kept readings with a time that is none": (
        "kept-readings",
        kept_readings()[0].replace(b"2026-03-02T06:30:00+01:00", b"2026-03-0rT06:30:00+01:00"),
        True,
    ),
    "a tokenizer that panics": (
        "tokenizer",
        tokenizer_seed().replace(b'"id":"[CLS]"', b'"id":"none"', 1),
        False,
    ),
    "a page nested without end": ("document-html", b"<html>" + b"<div>x" * 3_000, False),
}


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_stays_mended(name: str, tmp_path: Path) -> None:
    """No other error than the documented one, and what can be read is read."""
    reader, data, taken = FOUND[name]
    trial = Trial(BY_NAME[reader], tmp_path)
    assert trial.run(data) is None
    assert trial.accepted or not taken


def test_a_graph_that_names_another_shape_than_its_bundle_is_refused(tmp_path: Path) -> None:
    """Before anything is made in that shape: it would take 26 GiB."""
    target = BY_NAME["bundle-model"]
    model = ModelProto.FromString(target.seeds()[0])
    (said,) = (one for one in model.metadata_props if one.key == "andon_spec")
    trial = Trial(target, tmp_path)
    said.value = said.value.replace('"channels":4', '"channels":1760000000')
    assert trial.run(model.SerializeToString()) is None
    assert not trial.accepted


@pytest.mark.parametrize("field", ["domain", "op_type"])
def test_a_graph_whose_operators_are_no_text_is_refused(field: str, tmp_path: Path) -> None:
    """Protobuf gives what is no UTF-8 as bytes, which neither sort nor join with text."""
    target = BY_NAME["bundle-model"]
    model = ModelProto.FromString(target.seeds()[0])
    setattr(model.graph.node.add(), field, "QQQQ")
    stored = model.SerializeToString().replace(b"QQQQ", b"QQ\xffQ")
    trial = Trial(target, tmp_path)
    assert trial.run(stored) is None
    assert not trial.accepted


@pytest.mark.parametrize("said", ['{"a" 1}', "[" * 100_000, "{"])
def test_mutators_never_fail(said: str) -> None:
    """What an earlier change left of the words of a graph is changed like any other bytes."""
    model = ModelProto()
    model.metadata_props.add(key="andon_spec", value=said)
    stored = model.SerializeToString()
    made = {mutate_onnx(random.Random(seed), stored) for seed in range(100)}
    assert len(made) > 1


def _archive(header: bytes, body: bytes, *, packed: bool = False) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + body
        file.writestr("a.npy", array, zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED)
    return out.getvalue()


@pytest.mark.parametrize(
    ("header", "body", "packed"),
    [
        (b"{'descr': '<f8', 'fortran_order': False, 'shape': (9000000000000,), }\n", b"", False),
        (b"{'descr': '|O', 'fortran_order': False, 'shape': (2,), }\n", b"\x80\x04]\x94.", False),
        (b"{'descr': '<f4', 'shape': " + b"(" * 300, b"", False),
        (b"{'descr': '|b1', 'fortran_order': False, 'shape': (1,), }\n", b"\x07", False),
        (b"{'descr': '|u1', 'fortran_order': False, 'shape': (9,), }\n", b"\0" * 9, True),
    ],
)
def test_arrays_are_plain_and_as_large_as_they_stand(
    header: bytes,
    body: bytes,
    packed: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """No shape that is not there, no objects, no text that is parsed, nothing packed."""
    with pytest.raises(ValueError, match=r".+"):
        plain_arrays(_archive(header, body, packed=packed))


@pytest.mark.parametrize(
    "wrong",
    [
        {"values": np.zeros(1024, np.float32)},
        {"t_ns": np.zeros((1024, 1), np.int64)},
        {"unsound": np.zeros((3, 3), np.bool_)},
        {"unsound": np.zeros(3, np.bool_)},
        {"running": np.zeros(1024, "M8[s]")},
        {"capacity": 2**40},
        {"capacity": 1},
        {"channels": 2**40},
        {"samples": -1},
        {"written": 0},
        {"whole": 0},
        {"assets": "twice"},
    ],
)
def test_a_history_of_other_arrays_is_no_checkpoint(wrong: dict[str, Any], tmp_path: Path) -> None:
    """An index beyond an array, or memory for 2**40 samples, would stop every start."""
    target = BY_NAME["checkpoint-history"]
    held = unpack(target.seeds()[0], HistoryPart)
    trial = Trial(target, tmp_path)
    put: dict[str, object] = {}
    for name, value in wrong.items():
        kept = getattr(held, name)
        put[name] = np.full_like(kept, value) if isinstance(value, int) else value
        if name == "assets":
            put[name] = (kept[0],) * len(kept)
    assert trial.run(pack(msgspec.structs.replace(held, **put))) is None
    assert not trial.accepted
    assert trial.run(pack(held)) is None
    assert trial.accepted


def test_an_array_of_a_kind_that_numpy_parses_is_no_checkpoint(tmp_path: Path) -> None:
    """What numpy does not know by name it reads as Python, and raises as Python does."""
    target = BY_NAME["checkpoint-history"]
    stored = target.seeds()[0]
    trial = Trial(target, tmp_path)
    assert b"\xa3<i8" in stored
    assert trial.run(stored.replace(b"\xa3<i8", b"\xa3(2,")) is None
    assert not trial.accepted


@pytest.mark.parametrize(
    ("at", "put"),
    [
        (4, struct.pack("<i", 2**30)),  # width
        (8, struct.pack("<q", 2**40)),  # how many
        (37 + 8, struct.pack("<q", 2**40)),
        (74, struct.pack("<Q", 2**60)),  # size of the vectors
        (82, struct.pack("<f", float("nan"))),
    ],
)
def test_an_index_that_says_other_sizes_is_refused(at: int, put: bytes, tmp_path: Path) -> None:
    """Faiss would take what it says: gigabytes, or the process."""
    stored = snapshot_files()["vectors.faiss"]
    trial = Trial(BY_NAME["snapshot-vectors"], tmp_path)
    assert trial.run(stored[:at] + put + stored[at + len(put) :]) is None
    assert not trial.accepted
    assert trial.run(stored) is None
    assert trial.accepted
