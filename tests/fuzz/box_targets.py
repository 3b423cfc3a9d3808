"""Boxes that replace each other: claims, last words of the box before, identities, backups.

What a backup holds comes from another box, or from whoever had the file in hand.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import stat
import tempfile
import warnings
import zipfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from edge.boxes.archive import FORMAT, MANIFEST, ArchiveWriter, BackupError, Manifest
from edge.boxes.backup import Request as BackupRequest
from edge.boxes.backup import back_up
from edge.boxes.fencing import Fence
from edge.boxes.identity import FILE as BOX_FILE
from edge.boxes.identity import Fenced, read_box, write_box
from edge.boxes.inherit import learn
from edge.boxes.replacement import Request, examine, restore_box
from edge.brokers.read_back import REVISION_MAX
from edge.errors import ConfigError, JournalError
from edge.storage.disk import Clock
from edge.storage.outbox import Outbox
from edge.wire.fence import FencePayload
from tests.fuzz.files import mutate_sqlite
from tests.fuzz.mutate import mixed, mutate_bytes, mutate_json, mutate_text
from tests.fuzz.outbox_reader import outbox_seed
from tests.fuzz.shapes import START
from tests.fuzz.state_targets import KEY, OURS, TOPICS, claim_of, identities
from tests.fuzz.storage_targets import mutate_lines, trail_seed
from tests.fuzz.target import BYTES, FILE, Target

if TYPE_CHECKING:
    import random

    from tests.fuzz.target import Begin, Mutate, Read

    Members = dict[str, bytes]

ALERT: Final = TOPICS.alert("r1", "process")
CONFIG: Final = b"""\
# a site
site = "s"
[journal]
dir = "state"
[mqtt]
password_file = "../secret.txt"  # of the broker
[include]
tags = "tags.csv"
[commissioning]
[[asset]]
id = "r2"
"""
SPAN: Final = 2_000
UNPACKED_MAX: Final = 1 << 20


# --- claims ------------------------------------------------------------------------------------


class _Sent:
    """A connection that takes everything."""

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> int:
        """As `edge.brokers.link.Link` has it."""
        assert topic == TOPICS.fence
        assert retain
        assert qos
        assert msgspec.json.decode(payload, type=FencePayload).box == OURS.box
        return 1


class _Clock(Clock):
    """One that stands still between two claims."""

    now_s = 0.0

    def monotonic_s(self) -> float:
        """As it was set."""
        return self.now_s


def _begin_fence(scratch: Path) -> Read:
    """A box that hears one claim: it speaks, or gives way and knows to whom after a restart."""
    clock = _Clock()

    def read(data: bytes) -> bool:
        fence = Fence(TOPICS, OURS, scratch, KEY, clock=clock)
        fence.opened()
        assert fence.take(TOPICS.fence, data)
        fence.answered()
        fence.answered()
        clock.now_s += 10.0
        try:
            fence.turn(_Sent())
        except Fenced:
            kept = read_box(scratch)
            assert fence.box.fenced_by is None or (kept is not None and kept == fence.box)
            return True
        assert fence.open
        return not fence.refused_total

    return read


def _claims() -> list[bytes]:
    told = [("cd" * 8, 3, "r"), ("cd" * 8, 1, "r"), (OURS.box, 2, "q")]
    return [
        msgspec.json.encode(claim_of(box, generation=generation, run=run))
        for box, generation, run in told
    ]


def _begin_inherit(scratch: Path) -> Read:
    """What stands on a retained topic of ours, put into the outbox of a restored box."""
    path = scratch / "outbox.sqlite"
    for beside in scratch.glob("outbox.sqlite*"):
        beside.unlink()
    path.write_bytes(outbox_seed())
    outbox = Outbox(path)

    def read(data: bytes) -> bool:
        before = outbox.newest(ALERT)
        found = learn(outbox, {ALERT: data, TOPICS.group("x"): b""}, until_row=6)
        newest = outbox.newest(ALERT)
        assert newest is not None, "what stood there stands"
        assert 0 <= newest[1] <= REVISION_MAX, "there is a number above it"
        assert found.newer + found.other_bytes <= 1
        assert found.newer or newest == before
        return bool(found.newer or found.other_bytes)

    return read


# --- who a box is ------------------------------------------------------------------------------


# --- backups -----------------------------------------------------------------------------------


@cache
def _members() -> Members:
    """What is in a small backup, besides its manifest."""
    return {
        "gateway.toml": CONFIG,
        "tags.csv": b"asset,tag,channel,unit\nr2,T1,temp,degC\n",
        "state/outbox.sqlite": outbox_seed(),
        "state/audit/00000001.jsonl": trail_seed(),
        "state/commissioning.jsonl": b"",
    }


@cache
def _backup() -> bytes:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "b.zip"
        with ArchiveWriter(path) as writer:
            for name, content in _members().items():
                writer.add_bytes(name, content)
            writer.finish(
                Manifest(
                    format=FORMAT, andon="0.1.0", made_at_ns=START, site="s", box=OURS,
                    config="gateway.toml", state="state", files=writer.files, outbox_row=6,
                )
            )  # fmt: skip
        return path.read_bytes()


@cache
def _manifest() -> bytes:
    with zipfile.ZipFile(io.BytesIO(_backup())) as packed:
        return packed.read(MANIFEST)


def _packed(members: Members, manifest: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made:
        for name, content in members.items():
            made.writestr(zipfile.ZipInfo(name), content)
        made.writestr(zipfile.ZipInfo(MANIFEST), manifest)
    return out.getvalue()


def _begin_restore(scratch: Path) -> Read:
    """Restored whole into a directory of its own, or refused with nothing left of it."""
    place, file = scratch / "place", scratch / "b.zip"

    def read(data: bytes) -> bool:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        file.write_bytes(data)
        try:
            restored = restore_box(Request(file=file, out=place / "box"))
        except (BackupError, ConfigError):
            assert not list(place.iterdir()), "nothing is left of what was refused"
            raise
        assert [path.name for path in place.iterdir()] == ["box"]
        there = {path for path in (place / "box").rglob("*") if not path.is_dir()}
        state = place / "box" / restored.manifest.state
        named = {place / "box" / name for name in restored.manifest.files}
        assert there == named | {state / BOX_FILE}, "exactly what it lists, and who it is"
        assert not any(path.is_symlink() for path in there)
        assert read_box(state) == restored.box
        assert restored.box.generation > restored.manifest.box.generation
        assert examine(file)[1] == restored.sha256
        return True

    return read


def _begin_manifest(scratch: Path) -> Read:
    read = _begin_restore(scratch)
    return lambda data: read(_packed(_members(), data))


def _begin_member(name: str) -> Begin:
    """One of its files is another one, and the manifest fits it: it is restored all the same."""

    def begin(scratch: Path) -> Read:
        read = _begin_restore(scratch)

        def changed(data: bytes) -> bool:
            told = msgspec.json.decode(_manifest(), type=Manifest)
            members = {**_members(), name: data}
            digest = hashlib.sha256(data).hexdigest()
            entry = msgspec.structs.replace(told.files[name], sha256=digest, size_bytes=len(data))
            told = msgspec.structs.replace(told, files={**told.files, name: entry})
            return read(_packed(members, msgspec.json.encode(told)))

        return changed

    return begin


def _mutate_archive(chance: random.Random, data: bytes) -> bytes:
    """Its bytes; or its members with other names, kinds, sizes, twice, or others' contents."""
    if chance.random() < 0.4:
        return mutate_bytes(chance, data)
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        members = [(one, packed.read(one)) for one in packed.infolist()]
    at = int(chance.random() * len(members))
    info, content = members[at]
    way = chance.random()
    if way < 0.3:
        names = ("../x", "/x", "a\\b", "x/", "gateway.toml/x", "state", "a" * 300, "\x1b", "", "x")
        info.filename = names[int(chance.random() * len(names))]
    elif way < 0.45:
        kinds = (stat.S_IFLNK, stat.S_IFIFO, stat.S_IFDIR, stat.S_IFCHR, 0)
        info.external_attr = (kinds[int(chance.random() * 5)] | 0o6777) << 16
    elif way < 0.6:
        members.insert(at, (info, mutate_bytes(chance, content)))
    elif way < 0.7:
        del members[at]
    elif way < 0.9:
        members[at] = (info, mutate_bytes(chance, content))
    else:
        members[at] = (info, b"\0" * UNPACKED_MAX)
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", compresslevel=1) as made:
        warnings.simplefilter("ignore")  # of names that come twice: they are meant to
        for one, body in members:
            made.writestr(one, body)
    return out.getvalue()


def _begin_backup(name: str) -> Begin:
    """A box of which one file is damaged is backed up whole, or refused with nothing left."""

    def begin(scratch: Path) -> Read:
        box, out = scratch / "box", scratch / "made" / "b.zip"
        for one, content in {**_members(), "../secret.txt": b"x"}.items():
            (box / one).parent.mkdir(parents=True, exist_ok=True)
            (box / one).write_bytes(content)
        write_box(box / "state", OURS)
        out.parent.mkdir(exist_ok=True)

        def read(data: bytes) -> bool:
            (box / name).write_bytes(data)
            out.unlink(missing_ok=True)
            try:
                manifest, sha256 = back_up(
                    BackupRequest(config=box / "gateway.toml", out=out), environment={}
                )
            except (BackupError, ConfigError, JournalError):
                assert not list(out.parent.iterdir()), "no half of a backup"
                raise
            assert examine(out) == (manifest, sha256), "what is written can be read"
            return True

        return read

    return begin


def _backup_target(name: str, begin: Begin, seeds: list[bytes], mutate: Mutate) -> Target:
    return Target(
        name=name,
        count=FILE,
        begin=begin,
        refusals=(BackupError, ConfigError, JournalError),
        seeds=lambda: seeds,
        mutate=mutate,
    )


_OUTBOX: Final = "state/outbox.sqlite"
_TRAIL: Final = "state/audit/00000001.jsonl"
TARGETS: Final = (
    Target(
        name="fence",
        count=BYTES,
        begin=_begin_fence,
        refusals=(),
        seeds=_claims,
        mutate=mixed(mutate_json, mutate_json, mutate_bytes),
    ),
    Target(
        name="inherit",
        count=BYTES,
        begin=_begin_inherit,
        refusals=(),
        seeds=lambda: [b'{"id":"r1-1","revision":5,"state":"open","score":1.5,"channels":["c0"]}'],
        mutate=mixed(mutate_json, mutate_json, mutate_bytes),
        span=SPAN,
    ),
    _backup_target("restore", _begin_restore, [_backup()], _mutate_archive),
    _backup_target("restore-manifest", _begin_manifest, [_manifest()], mutate_json),
    _backup_target(
        "restore-config", _begin_member("gateway.toml"), [_members()["gateway.toml"]], mutate_text
    ),
    _backup_target("restore-outbox", _begin_member(_OUTBOX), [outbox_seed()], mutate_sqlite),
    _backup_target("restore-trail", _begin_member(_TRAIL), [trail_seed()], mutate_lines),
    _backup_target("backup-config", _begin_backup("gateway.toml"), [CONFIG], mutate_text),
    _backup_target("backup-outbox", _begin_backup(_OUTBOX), [outbox_seed()], mutate_sqlite),
    _backup_target("backup-lines", _begin_backup(_TRAIL), [trail_seed()], mutate_lines),
    _backup_target("backup-identity", _begin_backup("state/box.json"), identities(), mutate_json),
)
