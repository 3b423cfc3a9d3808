"""Readers of what the gateway itself wrote: journal, checkpoint, outbox, trail, chains, notes."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import zlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from edge.audit.chain import AuditRecord, chosen, verify
from edge.audit.trail import AuditTrail
from edge.bundles.store import Act, BundleStore
from edge.commissioning.book import CommissionBook, Word
from edge.errors import ConfigError, JournalError
from edge.records import Audited, MessageReceived, Started, TextTold, TickDue
from edge.storage import checkpoint as checkpoints
from edge.storage.checkpoint import Checkpoint, pack
from edge.storage.formats import STATE, magic
from edge.storage.journal import MAGIC, Position, read_journal
from edge.storage.journal_records import HEAD
from edge.storage.journal_writer import JournalWriter
from edge.storage.notebook import Notebook
from edge.storage.sealed_chain import NOTHING_SHA256
from tests.fuzz import engine_targets
from tests.fuzz.files import file_target, mutate_sqlite
from tests.fuzz.mutate import mutate_bytes, mutate_json, mutate_msgpack, mutate_text
from tests.fuzz.outbox_reader import begin_outbox, outbox_seed
from tests.fuzz.shapes import START, S
from tests.fuzz.target import BYTES, Target

if TYPE_CHECKING:
    import random

    from edge.storage.sealed_chain import Sealed
    from tests.fuzz.target import Read

    Facts = dict[str, str | int]

FINGERPRINT: Final = "f"
_ENTRIES: Final = (
    (START, Started(version="1", bundle_sha256="b", snapshot_sha256="", settings_sha256="s")),
    (START + 1, MessageReceived(topic="plant/r1", payload=b'{"c0":1}', received_ns=START)),
    (START + S, TickDue()),
    (START + 2 * S, TickDue(final=True)),
)


# --- journal -----------------------------------------------------------------------------------


def _record(body: bytes) -> bytes:
    return HEAD.pack(len(body), zlib.crc32(body)) + body


def _journal_seeds() -> list[bytes]:
    bodies = [msgspec.msgpack.encode(entry) for entry in _ENTRIES]
    whole = MAGIC + b"".join(map(_record, bodies))
    return [whole, MAGIC + _record(bodies[1]) * 20, MAGIC, whole[:-3]]


def _begin_journal(scratch: Path) -> Read:
    """Read, then gone on writing: what could be read stays, and what is written follows."""
    folder = scratch / "journal"

    def read(data: bytes) -> bool:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "00000001.journal").write_bytes(data)
        before = [(e.now_ns, e.stimulus) for e in read_journal(folder)]
        writer = JournalWriter(folder)
        try:
            writer.append(list(_ENTRIES[2:]))
        finally:
            writer.close()
        after = [(e.now_ns, e.stimulus) for e in read_journal(folder)]
        assert after == [*before, *_ENTRIES[2:]]
        assert writer.torn_bytes_total <= len(data)
        return True

    return read


def _begin_record(scratch: Path) -> Read:
    """One record whose checksum is right, whatever it says."""
    path = scratch / "00000001.journal"

    def read(data: bytes) -> bool:
        path.write_bytes(MAGIC + _record(data))
        for entry in read_journal(path):
            assert type(entry.now_ns) is int
            again = msgspec.msgpack.encode((entry.now_ns, entry.stimulus))
            assert msgspec.msgpack.decode(again, type=tuple[int, Any])[0] == entry.now_ns
        return True

    return read


# --- checkpoints -------------------------------------------------------------------------------


@cache
def _checkpoint() -> bytes:
    state = engine_targets.packed_state("wall")
    return pack(Checkpoint(position=Position(1, 8), fingerprint=FINGERPRINT, state=state))


def _sealed_checkpoint(body: bytes) -> bytes:
    return magic(STATE, 1) + zlib.crc32(body).to_bytes(4, "little") + body


def _checkpoint_files() -> list[bytes]:
    """Of the first format, and of today's without its histories, which then are missing."""
    state = engine_targets.packed_state("wall")
    today = Checkpoint(position=Position(1, 8), fingerprint=FINGERPRINT, state=state)
    with tempfile.TemporaryDirectory() as scratch:
        written = checkpoints.save(Path(scratch), today).read_bytes()
    return [_sealed_checkpoint(_checkpoint()), written]


def _newest(folder: Path) -> bool:
    found, troubles = checkpoints.newest(folder, fingerprint=FINGERPRINT)
    assert (found is None) == bool(troubles), "what is not taken is told"
    if found is not None:
        assert pack(found), "and can be kept again"
    return found is not None


def _begin_checkpoint(scratch: Path) -> Read:
    path = scratch / "00000001-000000000008.checkpoint"

    def read(data: bytes) -> bool:
        path.write_bytes(data)
        return _newest(scratch)

    return read


def _begin_sealed_checkpoint(scratch: Path) -> Read:
    read = _begin_checkpoint(scratch)
    return lambda data: read(_sealed_checkpoint(data))


# --- trail and chains --------------------------------------------------------------------------


def trail_seed() -> bytes:
    """A file of an audit trail, with three records."""
    lines, previous = [], NOTHING_SHA256
    facts: Facts = {"file": 1, "pruned_until": 0, "pruned_sha256": NOTHING_SHA256}
    told: list[tuple[str, Facts]] = [
        ("file_begins", facts),
        ("suppressed", {"job": "j"}),
        ("shelved", {"by": "ann"}),
    ]
    for k, (what, more) in enumerate(told, 1):
        record = AuditRecord(
            sequence=k,
            previous=previous,
            what=what,
            asset="r1" * (k > 1),
            t_ns=START,
            facts=more,
            written_ns=START,
        ).sealed()
        previous = record.sha256
        lines.append(record.line())
    return b"".join(lines)


def _begin_trail(scratch: Path) -> Read:
    folder = scratch / "audit"

    def read(data: bytes) -> bool:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "00000001.jsonl").write_bytes(data)
        chain = verify(folder)
        listed = sum(1 for _ in chosen(folder, asset="r1"))
        trail = AuditTrail(folder, bytes_max=1 << 20, days_max=36_500, clock_ns=lambda: START)
        try:
            trail.write([Audited(what="shelved", asset="r1", t_ns=START + 5, facts={"by": "bo"})])
        finally:
            trail.close()
        assert sum(1 for _ in chosen(folder, asset="r1")) == listed + 1
        after = verify(folder)
        assert chain.broken is not None or after.broken is None, "sound, and stays so"
        return chain.broken is None

    return read


def resealed_trail(data: bytes, *, first: int = 1, previous: str = NOTHING_SHA256) -> bytes:
    """The same lines with right hashes, where they are records; first: sequence of the first."""
    lines = []
    for k, line in enumerate(data.splitlines(keepends=True), first):
        try:
            record = msgspec.json.decode(line, type=AuditRecord)
            record = msgspec.structs.replace(record, previous=previous, sequence=k).sealed()
            lines.append(record.line())
            previous = record.sha256
        except (msgspec.MsgspecError, UnicodeError, RecursionError, OverflowError):
            lines.append(line)
    return b"".join(lines)


def _begin_sealed_trail(scratch: Path) -> Read:
    read = _begin_trail(scratch)
    return lambda data: read(resealed_trail(data))


def chained(*lines: Sealed) -> bytes:
    """Lines of a sealed chain, in their places."""
    made, previous = [], NOTHING_SHA256
    for k, line in enumerate(lines, 1):
        placed = msgspec.structs.replace(line, sequence=k, previous=previous).sealed()
        previous = placed.sha256
        made.append(msgspec.json.encode(placed) + b"\n")
    return b"".join(made)


def resealed(data: bytes, kind: type[Any]) -> bytes:
    """The lines that can be read, with places and hashes that fit."""
    told = []
    for line in data.splitlines():
        with contextlib.suppress(msgspec.MsgspecError, UnicodeError, RecursionError):
            told.append(msgspec.json.decode(line, type=kind))
    try:
        return chained(*told)
    except OverflowError:  # a number that JSON can say and msgspec cannot
        return data


def _begin_history(scratch: Path) -> Read:
    """The history of bundles; every second input with right hashes."""
    store = BundleStore(scratch / "bundles", scratch / "none")
    store.directory.mkdir(exist_ok=True)
    path = store.directory / "history.jsonl"

    def read(data: bytes) -> bool:
        path.write_bytes(resealed(data, Act) if len(data) % 2 else data)
        before = store.history()
        store.note("approved", "ab" * 32, by="ann")
        after = store.history()
        assert after[:-1] == before
        assert [act.sequence for act in after] == list(range(1, len(after) + 1))
        return True

    return read


def _begin_book(scratch: Path) -> Read:
    path = scratch / "commissioning.jsonl"
    book = CommissionBook(path)

    def read(data: bytes) -> bool:
        path.write_bytes(resealed(data, Word) if len(data) % 2 else data)
        told = book.words()
        book.write("accepted", {"r1": ""}, bundle_sha256="b", by="ann", because="")
        assert book.words().lines[:-1] == told.lines
        return not told.broken

    return read


def _history_seeds() -> list[bytes]:
    acts = [
        Act(what=what, bundle_sha256="cd" * 32, by="bo", at_ns=START, because="r")
        for what in ("promoted", "approved", "rolled_back")
    ]
    return [chained(*acts), chained(acts[0]), b""]


def _book_seeds() -> list[bytes]:
    words = [
        Word(what=what, asset="r1", bundle_sha256="b", by="bo", at_ns=START, because="r")
        for what in ("accepted", "withdrawn")
    ]
    return [chained(*words), chained(words[0]), b""]


def _read_pointer(path: Path) -> bool:
    store = BundleStore(path.parent, path.parent / "none")
    pointer = store.pointer()
    if pointer is not None:
        with contextlib.suppress(ConfigError):  # no such bundle is kept
            store.current()
    return pointer is not None


def _begin_notebook(scratch: Path) -> Read:
    """What stands in the inbox already, from whoever wrote there."""
    path = scratch / "inbox" / "2025-10-09.log"
    path.parent.mkdir(exist_ok=True)
    told = TextTold(asset="r1", text="changed a hose", operator="ann", t_ns=START)

    def read(data: bytes) -> bool:
        path.write_bytes(data)
        notebook = Notebook(scratch, None, zone="Europe/Berlin" if len(data) % 2 else "")
        notebook.write([told])
        notebook.sync()
        assert b"changed a hose" in path.read_bytes() or notebook.trouble
        assert data.strip() in path.read_bytes() or not data.strip()
        return True

    return read


def _pointer_seeds() -> list[bytes]:
    told = {
        "bundle_sha256": "ab" * 32,
        "configured_sha256": "",
        "before_sha256": "",
        "watch_until_ns": 0,
    }
    return [msgspec.json.encode(told)]


def mutate_lines(chance: random.Random, data: bytes) -> bytes:
    """JSON lines: one line as JSON, or all as text."""
    lines = data.splitlines(keepends=True)
    if not lines or chance.random() < 0.4:
        return mutate_text(chance, data)
    at = int(chance.random() * len(lines))
    lines[at] = mutate_json(chance, lines[at]) + b"\n"
    return b"".join(lines)


def _plain(name: str, begin: Any, seeds: Any, mutate: Any, count: int = 10_000) -> Target:  # noqa: ANN401 - as Target has them
    return Target(
        name=name,
        count=count,
        begin=begin,
        refusals=(JournalError, ConfigError),
        seeds=seeds,
        mutate=mutate,
    )


TARGETS: Final = (
    _plain("journal", _begin_journal, _journal_seeds, mutate_bytes),
    _plain(
        "journal-record",
        _begin_record,
        lambda: [msgspec.msgpack.encode(entry) for entry in _ENTRIES],
        mutate_msgpack,
        BYTES,
    ),
    _plain("checkpoint", _begin_checkpoint, _checkpoint_files, mutate_bytes),
    _plain("checkpoint-sealed", _begin_sealed_checkpoint, lambda: [_checkpoint()], mutate_msgpack),
    _plain("outbox", begin_outbox, lambda: [outbox_seed(), b""], mutate_sqlite),
    _plain("trail", _begin_trail, lambda: [trail_seed()], mutate_lines),
    _plain("trail-sealed", _begin_sealed_trail, lambda: [trail_seed()], mutate_lines),
    _plain("history", _begin_history, _history_seeds, mutate_lines),
    _plain("book", _begin_book, _book_seeds, mutate_lines),
    _plain(
        "notebook", _begin_notebook, lambda: [b"# zone: UTC\n2025-10-09 08:00 r1 x\n"], mutate_text
    ),
    file_target(
        "pointer",
        _read_pointer,
        refusals=(ConfigError,),
        seeds=_pointer_seeds,
        mutate=mutate_json,
        file="current",
    ),
)
