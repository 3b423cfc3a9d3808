"""Formats of today on the disk: packed groups of a journal, checkpoints with their histories.

Behind every checksum and every packing: what is changed is what stands within.
"""

from __future__ import annotations

import shutil
import tempfile
import zlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from edge.brokers.inbox import Incoming
from edge.errors import JournalError
from edge.gateway.redelivery import Redelivery
from edge.gateway.telemetry import Telemetry
from edge.records import MessageReceived
from edge.storage import checkpoint as checkpoints
from edge.storage.checkpoint import Checkpoint, pack
from edge.storage.formats import HISTORY, LINK, LINK_SUFFIX, STATE, STATE_FORMAT, magic
from edge.storage.journal import Position, read_journal
from edge.storage.journal_columns import joined
from edge.storage.journal_records import COLUMNS, MAGIC_PACKED, PACKED, as_one, record
from edge.storage.journal_writer import JournalWriter
from edge.storage.packing import packed
from tests.fuzz import engine_targets
from tests.fuzz.mutate import mixed, mutate_bytes, mutate_msgpack
from tests.fuzz.shapes import START, S
from tests.fuzz.storage_targets import FINGERPRINT
from tests.fuzz.target import FILE, Target

if TYPE_CHECKING:
    import random

    from tests.fuzz.target import Mutate, Read

_TOLD: Final = tuple(
    (
        START + k * S,
        MessageReceived(
            topic="plant/r1", payload=b'{"c0":1}' * 9, received_ns=START + k * S, qos=k % 2
        ),
    )
    for k in range(24)
)
SEGMENT: Final = "00000001.journal"
STEM: Final = "00000001-000000000008"


def _records() -> list[bytes]:
    return [record(msgspec.msgpack.encode(entry)) for entry in _TOLD]


def _columns() -> bytes:
    """Messages by columns."""
    data = joined([(START, one) for _, one in _TOLD], bytes_max=1 << 20)
    assert data is not None
    return data


def _segments() -> list[bytes]:
    """Groups that are packed, beside records that are not."""
    rows = _records()
    groups = [as_one(g) or g for g in (b"".join(rows[:12]), b"".join(rows[12:]))]
    assert groups[0][8:9] == PACKED
    groups.append(record(COLUMNS + packed(_columns())))
    return [
        MAGIC_PACKED + groups[0] + rows[0] + groups[1],
        MAGIC_PACKED + groups[1] * 5,
        MAGIC_PACKED + groups[2] + rows[0],
    ]


def _comes_again(folder: Path) -> None:
    """Messages of small ids come again: whether they were taken is looked up, whatever stands."""
    memory, counts = Redelivery(), Telemetry()
    memory.remember(folder)
    again = [
        Incoming("plant/r1", b"{}", 1, retain=False, dup=True, mid=mid, received_ns=1)
        for mid in range(1, 4)
    ]
    assert len(memory.fresh(again, counts)) + counts.redelivered == len(again)


def _begin_mended(scratch: Path) -> Read:
    """As a gateway opens it: damage is mended, what is whole is kept, and it goes on writing."""
    folder = scratch / "journal"

    def read(data: bytes) -> bool:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / SEGMENT).write_bytes(data)
        before = _read_whole(folder)
        _comes_again(folder)
        writer = JournalWriter(folder, mend=True, compress=True)
        try:
            writer.append(list(_TOLD))
        finally:
            writer.close()
        if before is not None:
            after = [(e.now_ns, e.stimulus) for e in read_journal(folder)]
            assert after == [*before, *_TOLD]
        return before is not None

    return read


def _read_whole(folder: Path) -> list[tuple[int, object]] | None:
    try:
        return [(e.now_ns, e.stimulus) for e in read_journal(folder)]
    except JournalError:
        return None


def _begin_group(scratch: Path) -> Read:
    """One packed group whose checksum is right: what is packed in it is changed."""
    path = scratch / SEGMENT

    def read(data: bytes) -> bool:
        path.write_bytes(MAGIC_PACKED + record(PACKED + packed(data)))
        _comes_again(scratch)
        found = list(read_journal(path))
        assert all(type(entry.now_ns) is int for entry in found)
        return bool(found)

    return read


def _begin_columns(scratch: Path) -> Read:
    """Messages by columns, of which something was changed, packed and with a right checksum."""
    path = scratch / SEGMENT

    def read(data: bytes) -> bool:
        path.write_bytes(MAGIC_PACKED + record(COLUMNS + packed(data)))
        _comes_again(scratch)
        return bool(list(read_journal(path)))

    return read


def _mutate_records(chance: random.Random, data: bytes) -> bytes:
    """Records in a row: the body of one changed with its checksum, or all as bytes."""
    if chance.random() < 0.4:
        return mutate_bytes(chance, data)
    rows, offset = [], 0
    while offset + 8 <= len(data):
        size = int.from_bytes(data[offset : offset + 4], "little")
        rows.append(data[offset + 8 : offset + 8 + size])
        offset += 8 + size
    at = int(chance.random() * len(rows))
    rows[at] = mutate_msgpack(chance, rows[at])
    return b"".join(map(record, rows))


# --- checkpoints -------------------------------------------------------------------------------


@cache
def _parts() -> dict[str, bytes]:
    """Head, state, history and states of assets, before they are packed and sealed."""
    state = engine_targets.packed_state("wall")
    today = Checkpoint(position=Position(1, 8), fingerprint=FINGERPRINT, state=state)
    with tempfile.TemporaryDirectory() as scratch:
        made = checkpoints.Packer(Path(scratch)).packed(today)
    assert made.part is not None, "the first one holds all histories"
    told = {"head": made.head, "state": made.state(), "history": made.part()}
    return told | {"link": made.link()}


def _sealed(name: bytes, body: bytes) -> bytes:
    return magic(name, STATE_FORMAT) + zlib.crc32(body).to_bytes(4, "little") + body


def _checkpoint_target(which: str, mutate: Mutate) -> Target:
    """One of the four changed, with sizes, packing and checksums that fit."""

    def begin(scratch: Path) -> Read:
        def read(data: bytes) -> bool:
            held = {**_parts(), which: data}
            size = len(held["head"]).to_bytes(4, "little")
            body = size + held["head"] + packed(held["state"])
            (scratch / f"{STEM}.checkpoint").write_bytes(_sealed(STATE, body))
            (scratch / f"{STEM}.history").write_bytes(_sealed(HISTORY, held["history"]))
            (scratch / f"{STEM}{LINK_SUFFIX}").write_bytes(_sealed(LINK, held["link"]))
            found, troubles = checkpoints.newest(scratch, fingerprint=FINGERPRINT)
            assert (found is None) == bool(troubles), "what is not taken is told"
            if found is not None:
                assert pack(found), "and can be kept again"
            return found is not None

        return read

    return Target(
        name=f"checkpoint-{which}",
        count=FILE,
        begin=begin,
        refusals=(),
        seeds=lambda: [_parts()[which]],
        mutate=mutate,
    )


def _journal_target(name: str, begin: object, seeds: object, mutate: Mutate) -> Target:
    return Target(
        name=name,
        count=FILE,
        begin=begin,  # type: ignore[arg-type] # one of the two above
        refusals=(JournalError,),
        seeds=seeds,  # type: ignore[arg-type] # as Target has them
        mutate=mutate,
    )


TARGETS: Final = (
    _journal_target("packed-journal", _begin_mended, _segments, mutate_bytes),
    _journal_target(
        "packed-group", _begin_group, lambda: [b"".join(_records()[:6])], _mutate_records
    ),
    _journal_target("joined-messages", _begin_columns, lambda: [_columns()], mutate_msgpack),
    _checkpoint_target("head", mixed(mutate_msgpack, mutate_bytes)),
    _checkpoint_target("state", mixed(mutate_msgpack, mutate_msgpack, mutate_bytes)),
    _checkpoint_target("history", mixed(mutate_msgpack, mutate_msgpack, mutate_bytes)),
    _checkpoint_target("link", mixed(mutate_msgpack, mutate_msgpack, mutate_bytes)),
)
