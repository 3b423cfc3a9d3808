"""What fuzzing found, input by input: each is refused as documented, or taken as it stands."""

from __future__ import annotations

import io
import struct
import zipfile
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import pytest

from edge.storage.checkpoint import pack, unpack
from edge.storage.history import HistoryPart
from models.bundles.arrays import plain_arrays
from tests.fuzz.artifact_targets import snapshot_files
from tests.fuzz.document_targets import CALENDAR
from tests.fuzz.table_targets import CONFIG, LIMITS, MAPPING
from tests.fuzz.targets import TARGETS
from tests.fuzz.trial import Trial

if TYPE_CHECKING:
    from pathlib import Path

BY_NAME: Final = {target.name: target for target in TARGETS}
DEEP: Final = b"[" * 1_200 + b"]" * 1_200
LONG: Final = b"9" * 5_000
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
    "a page nested without end": ("document-html", b"<html>" + b"<div>x" * 3_000, False),
}


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_stays_mended(name: str, tmp_path: Path) -> None:
    """No other error than the documented one, and what can be read is read."""
    reader, data, taken = FOUND[name]
    trial = Trial(BY_NAME[reader], tmp_path)
    assert trial.run(data) is None
    assert trial.accepted or not taken


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
