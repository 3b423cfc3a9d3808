"""`andon restore`: a backup becomes a gateway in a directory of its own, and another box.

Everything is checked before the directory gets its name: every hash, then that what is there opens
and fits together. The box has a new id and a generation above the one that was copied, so that the
old one is fenced when it comes back.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field
from importlib import metadata
from typing import TYPE_CHECKING, Final

from edge.assembly.assembly import assemble
from edge.audit.chain import audit_directory, audit_files, verify
from edge.boxes.archive import BackupError, Manifest
from edge.boxes.archive_reading import BYTES_MAX, ArchiveReader
from edge.boxes.fence_key import FILE as KEY_FILE
from edge.boxes.identity import AHEAD_MAX, GENERATION_MAX, Box, new_box, write_box
from edge.configuration.config import load
from edge.errors import UNREADABLE, AndonError
from edge.storage.checkpoint import newest
from edge.storage.disk import DIRECTORY_MODE
from edge.storage.journal import Position, read_journal, segments
from edge.storage.outbox_table import guarded
from kb.errors import KnowledgeError
from models.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.configuration.config import GatewayConfig

FREE_BYTES_MIN: Final = 64 << 20  # that stay free on the disk
CLOCK_AHEAD_NS: Final = 3600 * 10**9  # a backup from the future: this clock, or that one, is wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to restore where. generation: of the new box, 0: one more than in the backup.

    expect: the backup's hash, as it was noted; "": not compared. replace: what is at `out` is moved
    aside.
    """

    file: Path
    out: Path
    replace: bool = False
    generation: int = 0
    expect: str = ""
    bytes_max: int = BYTES_MAX


@dataclass(slots=True, kw_only=True)
class Restored:
    """What became of it. findings: (what, fine, detail); aside: where the old directory is now."""

    manifest: Manifest
    sha256: str
    box: Box
    config: Path
    aside: Path | None = None
    findings: list[tuple[str, bool, str]] = field(default_factory=list)

    @property
    def bad(self) -> int:
        """How many findings are not fine."""
        return sum(not fine for _, fine, _ in self.findings)


def examine(
    file: Path, *, bytes_max: int = BYTES_MAX, on_bytes: Callable[[int], object] = int
) -> tuple[Manifest, str]:
    """Check every hash of a backup and write nothing. Raises BackupError."""
    with ArchiveReader(file, bytes_max=bytes_max) as archive:
        for name in archive.manifest.files:
            archive.extract(name, None, on_bytes=on_bytes)
        return archive.manifest, archive.sha256


def restore_box(request: Request, *, on_bytes: Callable[[int], object] = int) -> Restored:
    """Restore a backup. Raises BackupError or ConfigError; then there is no directory of it."""
    out = request.out.absolute()
    if out.exists() and not (out.is_dir() and not any(out.iterdir())) and not request.replace:
        raise BackupError(
            f"{request.out} is not empty; name a new directory, or add --replace to move aside what"
            " is there"
        )
    work = out.with_name(f".{out.name}.restoring.{os.getpid()}")
    shutil.rmtree(work, ignore_errors=True)
    with ArchiveReader(request.file, bytes_max=request.bytes_max) as archive:
        manifest = archive.manifest
        if request.expect and not archive.sha256.startswith(request.expect.lower()):
            raise BackupError(
                f"{request.file} has the hash {archive.sha256}, expected {request.expect}; it is"
                " another backup, or was changed"
            )
        box = _box(manifest, request)
        try:
            work.mkdir(parents=True)
            _need_room(manifest, work)
            for name in manifest.files:
                archive.extract(name, work / name, on_bytes=on_bytes)
            write_box(work / manifest.state, box)
            _close_directories(work / manifest.state)
            _sync_directories(work)
            aside = _put(work, out, replace=request.replace)
        except OSError as error:
            raise BackupError(f"{error.filename or out}: {error.strerror}") from error
        finally:
            shutil.rmtree(work, ignore_errors=True)
        restored = Restored(
            manifest=manifest,
            sha256=archive.sha256,
            box=box,
            config=out / manifest.config,
            aside=aside,
        )
    _look_over(restored)
    return restored


def _box(manifest: Manifest, request: Request) -> Box:
    before = manifest.box
    generation = request.generation or before.generation + 1
    most = min(GENERATION_MAX, before.generation + AHEAD_MAX)  # beyond, the old box hears no claim
    if not before.generation < generation <= most:
        raise BackupError(
            f"generation {generation} is none for a replacement of generation {before.generation};"
            f" expected {before.generation + 1} to {most}"
        )
    return new_box(generation=generation, takes_over=True, outbox_row=manifest.outbox_row)


def _need_room(manifest: Manifest, work: Path) -> None:
    """Raise BackupError where the disk would be full before the end."""
    needed = sum(entry.size_bytes for entry in manifest.files.values()) + FREE_BYTES_MIN
    free = shutil.disk_usage(work).free
    if free < needed:
        raise BackupError(
            f"{work.parent}: {free / 1e6:.0f} MB free, {needed / 1e6:.0f} MB needed; free some, or"
            " restore to another disk"
        )


def _put(work: Path, out: Path, *, replace: bool) -> Path | None:
    """Give the directory its name; returns where what stood there is now."""
    aside = None
    if out.exists():
        if any(out.iterdir()):
            assert replace, "refused before"
            aside = out.with_name(f"{out.name}.before-{time.strftime('%Y%m%dT%H%M%S')}")
            out.rename(aside)
        else:
            out.rmdir()
    work.rename(out)
    _sync(out.parent)
    return aside


def _close_directories(state: Path) -> None:
    """For their owner and group alone, as a gateway makes them: a backup holds files only."""
    for path in (state, *state.rglob("*")):
        if path.is_dir():
            path.chmod(DIRECTORY_MODE)


def _sync_directories(top: Path) -> None:
    for at, _, _ in os.walk(top):
        _sync(top / at)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# --- what is there opens, and fits together ---


def _look_over(restored: Restored) -> None:
    manifest = restored.manifest
    say = restored.findings.append
    files = len(manifest.files)
    say(("files", True, f"{files} files, each as it was written; backup {restored.sha256[:12]}"))
    if manifest.made_at_ns > time.time_ns() + CLOCK_AHEAD_NS:
        say(("clock", False, "the backup is of a time to come: look at the clock of this box"))
    ours = metadata.version("andon")
    if manifest.andon != ours:
        hint = (
            f"made by andon {manifest.andon}, this is {ours}: older formats are migrated at the"
            f" start, newer ones refused; then install {manifest.andon} here"
        )
        say(("version", False, hint))
    try:
        config = load(restored.config, environment={})
    except AndonError as error:
        say(("configuration", False, str(error)))
        return
    say(("configuration", True, str(restored.config)))
    _look_at_key(restored)
    _look_at_state(config, restored)
    _look_at_outbox(config, restored)
    _look_at_audit(config, restored)
    for one in manifest.missed:
        say(("not in the backup", False, f"{one.name}: {one.what}"))


def _look_at_key(restored: Restored) -> None:
    """A backup of a version without the key: the two boxes know no claim of each other."""
    manifest = restored.manifest
    if manifest.box.claimed and f"{manifest.state}/{KEY_FILE}" not in manifest.files:
        hint = (
            f"no {KEY_FILE} in it: the old box, once upgraded, does not give way to this one."
            " Switch it off for good, then make a new backup here"
        )
        restored.findings.append(("fence key", False, hint))


def _look_at_state(config: GatewayConfig, restored: Restored) -> None:
    """Bundle with its self-test, snapshot, and the checkpoint from which it goes on."""
    say = restored.findings.append
    try:
        assembly = assemble(config)
    except (AndonError, ModelError, KnowledgeError) as error:
        if config.model.bundle:
            say(("bundle and knowledge", False, str(error)))
        else:
            say(("bundle", True, "none yet: it goes on learning"))
        return
    bundle = f"bundle {assembly.bundle.sha256[:12]}, self-test passed"
    known = assembly.snapshot_sha256[:12]
    say(("bundle and knowledge", True, f"{bundle}; snapshot {known or 'none'}"))
    state = config.path(config.journal.dir)
    if not segments(state / "journal"):
        say(("journal", True, "none: it begins anew"))
        return
    found, troubles = newest(state / "checkpoints", fingerprint=assembly.fingerprint_of)
    after = found.position if found is not None else None
    try:
        behind = sum(1 for _ in read_journal(state / "journal", after=after))
    except AndonError as error:
        say(("journal", False, str(error)))
        return
    where = f"checkpoint at {_place(after)}" if after else "no checkpoint fits"
    detail = f"{where}, {behind} stimuli behind it" + "".join(f"; {one}" for one in troubles)
    say(("journal", found is not None or not troubles, detail))
    if assembly.snapshot is not None:
        assembly.snapshot.close()


def _place(position: Position) -> str:
    return f"segment {position.segment}, byte {position.offset}"


def _look_at_outbox(config: GatewayConfig, restored: Restored) -> None:
    path = config.path(config.journal.dir) / "outbox.sqlite"
    try:
        if not path.exists():
            restored.findings.append(("outbox", True, "none: nothing was said yet"))
            return
        with closing(guarded(sqlite3.connect(path))) as database:
            ((said,),) = database.execute("PRAGMA quick_check(1)").fetchall()
            ((rows, waiting),) = database.execute(
                "SELECT count(*), coalesce(sum(delivered = 0), 0) FROM outbox"
            )
    except (sqlite3.Error, OSError, *UNREADABLE) as error:  # also of names that are no text
        restored.findings.append(("outbox", False, f"{path}: {error}"))
        return
    detail = f"{rows} messages, {waiting} of them not delivered when it was copied"
    fine = said == "ok"
    restored.findings.append(("outbox", fine, detail if fine else f"{path}: {said}"))


def _look_at_audit(config: GatewayConfig, restored: Restored) -> None:
    directory = audit_directory(config)
    try:
        if not audit_files(directory):
            return
        chain = verify(directory)
    except (AndonError, OSError) as error:
        restored.findings.append(("audit trail", False, str(error)))
        return
    broken = chain.broken
    fault = f"{broken.file}, line {broken.line}: found {broken.found}" if broken else ""
    detail = fault or f"{chain.records} records, the chain is whole"
    restored.findings.append(("audit trail", broken is None, detail))
