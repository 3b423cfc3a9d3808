"""What is kept beside: trails in several files, words on assets that are gone.

And readings for the next update, snapshots beside the newest, commands in a journal.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from edge.audit.chain import AuditRecord, chosen, verify
from edge.audit.trail import AuditTrail
from edge.boxes.retirement import Retirement, Word, last_words
from edge.bundles.work_times import Texts, WorkTimes
from edge.errors import JournalError
from edge.knowledge.kept_snapshots import find
from edge.records import Audited, MessageReceived, Publish
from edge.storage.journal_records import MAGIC, record
from edge.storage.outbox import Outbox
from edge.storage.patience import NoPatience
from edge.storage.standby import StandbyOutbox
from edge.wire import outgoing
from edge.wire.topics import Topics
from kb.errors import KnowledgeError
from kb.snapshots.history import kept, kept_name
from kb.snapshots.snapshot import MANIFEST
from kb.snapshots.workshop import MAGIC as KEPT_MAGIC
from kb.snapshots.workshop import Workshop
from tests.edge import rig
from tests.fuzz import shapes
from tests.fuzz.artifact_targets import snapshot_files
from tests.fuzz.files import reader_target
from tests.fuzz.mutate import (
    behind_line,
    json_of,
    mixed,
    mutate_bytes,
    mutate_json,
    mutate_msgpack,
)
from tests.fuzz.shapes import START, S
from tests.fuzz.storage_targets import chained, mutate_lines, resealed, resealed_trail, trail_seed
from tests.fuzz.wire_targets import COMMAND_HEADS
from tests.kb import conftest as texts

if TYPE_CHECKING:
    from tests.fuzz.target import Read

TOPICS: Final = Topics("andon", "s")
ALERT: Final = TOPICS.alert("r1", "process")
DAY_NS: Final = 86_400 * S


# --- trails in several files, and words on assets that are gone --------------------------------


@cache
def _segments() -> dict[str, bytes]:
    """A trail that began its second file."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "00000001.jsonl").write_bytes(trail_seed())
        trail = AuditTrail(folder, bytes_max=16, days_max=36_500, clock_ns=lambda: START)
        try:
            for k in range(3):
                facts: dict[str, str | int] = {"by": "ann", "k": k}
                trail.write([Audited(what="shelved", asset="r1", t_ns=START + k, facts=facts)])
        finally:
            trail.close()
        return {path.name: path.read_bytes() for path in sorted(folder.glob("*.jsonl"))}


def _begin_segments(scratch: Path) -> Read:
    """The newest file damaged, every second time with right hashes; it is gone on with."""
    folder = scratch / "audit"
    stored = _segments()
    newest = max(stored)
    begins = msgspec.json.decode(stored[newest].splitlines()[0], type=AuditRecord)

    def read(data: bytes) -> bool:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if len(data) % 2:
            data = resealed_trail(data, first=begins.sequence, previous=begins.previous)
        for name, content in {**stored, newest: data}.items():
            (folder / name).write_bytes(content)
        sound = verify(folder).broken is None
        trail = AuditTrail(folder, bytes_max=1 << 20, days_max=36_500, clock_ns=lambda: START)
        try:
            facts: dict[str, str | int] = {"by": "bo"}
            trail.write([Audited(what="acked", asset="r2", t_ns=START + 9, facts=facts)])
        finally:
            trail.close()
        assert sum(one.t_ns == START + 9 for one in chosen(folder, asset="r2")) == 1
        assert not sound or verify(folder).broken is None, "sound, and stays so"
        return sound

    return read


def _word(**change: Any) -> Word:  # noqa: ANN401 - fields of a word
    told = Word(asset="r1", by="ann", because="scrapped", at_ns=START, until_row=9)
    return msgspec.structs.replace(told, **change)


def _alert() -> bytes:
    fields: dict[str, Any] = {}
    for field in msgspec.structs.fields(outgoing.AlertPayload):
        kind = field.type
        fields[field.name] = 1 if kind in (int, float) else "x" if kind is str else None
    fields |= {"id": "a", "revision": 1, "state": "ACTIVE_UNACK", "asset": "r1"}
    return outgoing.encode(outgoing.AlertPayload(**fields))


def _outbox(scratch: Path, payload: bytes) -> StandbyOutbox:
    for beside in scratch.glob("outbox.sqlite*"):
        beside.unlink()
    made = StandbyOutbox(lambda: Outbox(scratch / "outbox.sqlite"), patience=NoPatience())
    one = Publish(topic=ALERT, payload=payload, qos=1, retain=True, key=("a", 1))
    assert made.put([one]) == []
    return made


def _begin_retired(scratch: Path) -> Read:
    """The book of assets that are gone, every second time with right hashes."""
    outbox = _outbox(scratch, _alert())

    def read(data: bytes) -> bool:
        (scratch / "retired.jsonl").write_bytes(resealed(data, Word) if len(data) % 2 else data)
        retirement = Retirement(scratch, TOPICS, outbox)
        effects = retirement.look()
        assert not (effects and retirement.trouble)
        for one in effects:
            assert not isinstance(one, Publish) or one.topic.startswith("andon/s/")
        return bool(effects)

    return read


def _begin_retired_alert(scratch: Path) -> Read:
    """What stood on the topic of a retired asset is whatever another version wrote there."""

    def read(data: bytes) -> bool:
        outbox = _outbox(scratch, data)
        try:
            said = last_words(_word(), TOPICS, outbox)
        finally:
            outbox.close()
        assert said[-1].payload == b"" or not data
        return len(said) > 2

    return read


# --- what saves time, and what is kept beside --------------------------------------------------


@cache
def _source() -> dict[str, bytes]:
    return {"scope.csv": texts.SCOPE.encode(), "orders.csv": texts.ORDERS.encode()}


def kept_readings() -> list[bytes]:
    """What a first look at a folder leaves for the next."""
    with tempfile.TemporaryDirectory() as place:
        source = Path(place) / "texts"
        source.mkdir()
        for name, content in _source().items():
            (source / name).write_bytes(content)
        workshop = Workshop()
        workshop.prepare(source, first_seen={}, now_ns=texts.NOW_NS)
        workshop.save(Path(place) / "kept")
        stored = (Path(place) / "kept").read_bytes()
        return [stored[len(KEPT_MAGIC) + hashlib.sha256().digest_size :]]


def _begin_readings(scratch: Path) -> Read:
    """Its hash fits; what cannot be used is read anew."""
    source = scratch / "texts"
    source.mkdir(exist_ok=True)
    for name, content in _source().items():
        (source / name).write_bytes(content)

    def read(data: bytes) -> bool:
        (scratch / "kept").write_bytes(KEPT_MAGIC + hashlib.sha256(data).digest() + data)
        workshop = Workshop.load(scratch / "kept")
        found = workshop.prepare(source, first_seen={}, now_ns=texts.NOW_NS)
        assert len(found.extracts) + len(found.quarantined) >= 2
        return True

    return read


def _begin_kept_snapshots(scratch: Path) -> Read:
    """The manifest of one that is kept beside: it is named by its hash, or it is none."""
    out = scratch / "current"
    beside = kept_name(out, msgspec.json.decode(snapshot_files()[MANIFEST])["sha256"])
    beside.mkdir(exist_ok=True)
    for name, content in snapshot_files().items():
        (beside / name).write_bytes(content)
    sha256 = msgspec.json.decode(snapshot_files()[MANIFEST])["sha256"]

    def read(data: bytes) -> bool:
        (beside / MANIFEST).write_bytes(data)
        listed = kept(out)
        assert all(kept_name(out, manifest.sha256) == path for path, manifest in listed)
        found = find(out, sha256)
        if found is not None:
            found.close()
        assert found is None or listed
        return found is not None

    return read


def _begin_command_journal(scratch: Path) -> Read:
    """Commands as they stand in a journal, whether they were refused then or not."""
    path = scratch / "00000001.journal"
    settings = rig.settings()
    known = Texts(proposals=(rig.order(),))

    def read(data: bytes) -> bool:
        head, _, body = data.partition(b"\n")
        topic = head.decode("utf-8", "replace")
        message = MessageReceived(topic=topic, payload=body, received_ns=START)
        path.write_bytes(MAGIC + record(msgspec.msgpack.encode((START, message))))
        work = WorkTimes(settings, known)
        work.take_journal(path)
        found = work.found("r1")
        assert all(type(one.begin_ns) is int and type(one.over_ns) is int for one in found)
        return bool(found)

    return read


def _command_seeds() -> list[bytes]:
    bodies = {name: shapes.command_bodies()[name] for name in ("confirm", "job")}
    return [
        f"andon/s/cmd/ann/{name}\n".encode() + json_of(body)
        for name, some in bodies.items()
        for body in some
    ]


TARGETS: Final = (
    reader_target(
        "trail-segments", _begin_segments, lambda: list(_segments().values())[-1:], mutate_lines,
        JournalError,
    ),
    reader_target(
        "retired", _begin_retired, lambda: [chained(_word(), _word(asset="r2", clear=False)), b""],
        mutate_lines,
    ),
    reader_target("retired-alert", _begin_retired_alert, lambda: [_alert()], mutate_json),
    reader_target("kept-readings", _begin_readings, kept_readings, mutate_msgpack, KnowledgeError),
    reader_target(
        "kept-snapshots", _begin_kept_snapshots, lambda: [snapshot_files()[MANIFEST]], mutate_json
    ),
    reader_target(
        "journal-commands", _begin_command_journal, _command_seeds,
        behind_line(mixed(mutate_json, mutate_json, mutate_bytes), heads=COMMAND_HEADS),
    ),
)  # fmt: skip
