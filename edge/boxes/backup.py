"""`andon backup`: everything that a replacement box needs, in one file, beside a running gateway.

What is copied in which order makes it consistent, without a stop:

    configuration, bundles, snapshots, documents     never change under one name
    checkpoints                                      first, so that none is newer than the journal
    the journal's end is noted; the gateway takes    then all that this journal decides is in
        two more groups                              the outbox, and
    the outbox, by SQLite's own backup               has every key under which something was said
    the journal, up to where it ended                what the box decides again stands there already
    audit trail, books, what else is there           only ever added to: later is never less

An alert that was decided behind the journal's end is in the outbox all the same: a restored box
knows its key, and says its own word as a later revision.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import msgspec

from edge.boxes.archive import FORMAT, ArchiveWriter, BackupError, LeftOut, Manifest
from edge.boxes.fence_key import fence_key_of
from edge.boxes.identity import FILE as BOX_FILE
from edge.boxes.identity import new_box, read_box
from edge.boxes.journal_copy import Cut, copy_checkpoints, copy_journal, settled
from edge.boxes.placing import MADE_LATER, Placed, placed, rewritten
from edge.bundles.store import store_of
from edge.configuration.config import ENVIRONMENT, load
from edge.errors import UNREADABLE, ConfigError
from edge.storage.outbox_table import guarded
from kb.errors import KnowledgeError
from kb.snapshots.history import kept
from kb.snapshots.snapshot import read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from edge.configuration.config import GatewayConfig

CONFIG: Final = "gateway.toml"
README: Final = "README.txt"
SQLITE: Final = ".sqlite"
SQLITE_SIDES: Final = ("-wal", "-shm", "-journal")
LINES_BYTES_MAX: Final = 256 << 20  # of a file of lines, whose last line may be half written
FILES_TRIES: Final = 5  # where a directory is replaced while it is opened
README_TEXT: Final = """\
A backup of an Andon gateway: site {site}, made {made} by andon {andon}.

  andon restore {name} -o DIRECTORY

checks every file against {manifest}, makes the directory another box than the one that this was
copied from, and says what to do next. Unpacked by hand it is that gateway too, but it is not known
as another box: it would be refused, or fight with the old one.
{left_out}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to back up. journal_days: how much of the journal besides what a restart needs.

    secrets: with passwords and keys. also: further files, beside the configuration. replace: an
    existing file may be replaced.
    """

    config: Path
    out: Path
    secrets: bool = False
    journal_days: float | None = None
    also: tuple[Path, ...] = ()
    replace: bool = False


@dataclass(slots=True)
class _Job:
    """One backup while it is made."""

    config: GatewayConfig
    request: Request
    writer: ArchiveWriter
    tell: Callable[[str], object]
    left_out: list[LeftOut] = field(default_factory=list)
    missed: list[LeftOut] = field(default_factory=list)

    def miss(self, name: str, why: str) -> None:
        """Note what could not be read: nothing is left out in silence."""
        self.missed.append(LeftOut(name=name, what=why))


def back_up(
    request: Request,
    *,
    environment: Mapping[str, str] = os.environ,
    tell: Callable[[str], object] = str,
    on_bytes: Callable[[int], object] = int,
) -> tuple[Manifest, str]:
    """Write a backup; returns its manifest and that one's hash.

    tell: what is being copied now; on_bytes: how much was read. Raises BackupError, ConfigError,
    JournalError; then there is no file, or the one that was there before.
    """
    if request.out.exists() and not request.replace:
        raise BackupError(f"{request.out} exists; name another file, or add --replace")
    config = load(request.config, environment=environment)
    places = placed(config)
    text, moved, variables = _portable(request.config, config, places, environment)
    with ArchiveWriter(request.out, on_bytes=on_bytes) as writer:
        job = _Job(config=config, request=request, writer=writer, tell=tell)
        state = next(one for one in places if one.key == "journal.dir")
        box = read_box(state.path) or new_box()
        if state.path.is_dir():
            with suppress(ConfigError):  # a replacement must have it, also of a box of before
                fence_key_of(state.path)
        writer.add_bytes(CONFIG, text.encode())
        _copy_named(job, [one for one in places if one.key not in _OWN_WAY])
        _copy_also(job)
        _copy_bundles(job, places, state)
        _copy_snapshots(job, places)
        cut, outbox_row = _copy_state(job, state)
        for one in places:
            if one.key == "audit.dir":
                _copy_tree(job, one.path, one.name)
        manifest = Manifest(
            format=FORMAT,
            andon=metadata.version("andon"),
            made_at_ns=time.time_ns(),
            site=config.site,
            box=msgspec.structs.replace(box, fenced_by=None),
            config=CONFIG,
            state=state.name,
            files=writer.files,
            outbox_row=outbox_row,
            journal_from=cut.first,
            journal_until=(cut.segment, cut.offset),
            left_out=tuple(job.left_out),
            missed=tuple(job.missed),
            environment=tuple(variables),
            moved=moved,
        )
        writer.add_bytes(README, _readme(manifest, request.out.name).encode())
        return manifest, writer.finish(manifest)


_OWN_WAY: Final = ("journal.dir", "audit.dir", "model.bundle", "kb.snapshot")


def _portable(
    path: Path, config: GatewayConfig, places: list[Placed], environment: Mapping[str, str]
) -> tuple[str, dict[str, str], list[str]]:
    """The configuration as it counts, for any directory; what moved; variables that counted."""
    told = msgspec.to_builtins(config)
    values: dict[str, object] = {}
    variables = sorted(name for name in environment if name.startswith(ENVIRONMENT))
    for name in variables:
        key = name.removeprefix(ENVIRONMENT).lower().replace("__", ".")
        value: object = told
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if isinstance(value, str | int | float | list):
            values[key] = value
    moved = {}
    for one in places:
        if one.path != config.path(one.name):
            moved[str(one.path)] = one.name
            values[one.key] = one.name
    return rewritten(path.read_text(encoding="utf-8-sig"), values, path=path), moved, variables


# --- what does not change under one name ---


def _copy_named(job: _Job, places: list[Placed]) -> None:
    for one in places:
        if one.name in job.writer.files or (one.key in MADE_LATER and not one.path.exists()):
            continue
        if one.secret and not job.request.secrets:
            job.left_out.append(
                LeftOut(name=one.name, what=f"{one.key}: a secret; put it there, mode 600")
            )
        elif one.path.is_dir():
            _copy_tree(job, one.path, one.name)
        else:
            _copy_file(job, one.path, one.name, secret=one.secret)


def _copy_also(job: _Job) -> None:
    """Labels beside the configuration, and what was asked for."""
    base = job.request.config.parent
    for path in (*sorted(base.glob("labels*.jsonl")), *job.request.also):
        inside = path.resolve().is_relative_to(base.resolve())
        name = path.resolve().relative_to(base.resolve()).as_posix() if inside else path.name
        if name in job.writer.files:
            continue
        if path.is_dir():
            _copy_tree(job, path, name)
        else:
            _copy_file(job, path, name)


def _copy_bundles(job: _Job, places: list[Placed], state: Placed) -> None:
    """The configured bundle, the kept ones, and proposed ones that the history names."""
    job.tell("bundles")
    store = store_of(job.config)
    configured = next((one for one in places if one.key == "model.bundle"), None)
    kept_at = f"{state.name}/{store.directory.name}"
    named = {act.bundle_sha256 for act in store.history()}
    pointer = store.pointer()
    named |= {pointer.bundle_sha256} if pointer is not None else set()
    if configured is not None:
        _copy_whole(job, configured.path, configured.name)
    for sha256, path in store.places().items():
        if path.parent == store.directory:
            _copy_whole(job, path, f"{kept_at}/{path.name}")
        elif path != store.configured and sha256 in named and configured is not None:
            beside = configured.name.rpartition("/")[0]
            _copy_whole(job, path, "/".join(filter(None, (beside, path.parent.name, path.name))))


def _copy_snapshots(job: _Job, places: list[Placed]) -> None:
    """The snapshot, those kept beside it, and its documents where no key names them."""
    one = next((one for one in places if one.key == "kb.snapshot"), None)
    if one is None:
        return
    job.tell("knowledge")
    _copy_whole(job, one.path, one.name)
    for path, _ in kept(one.path) if one.path.parent.is_dir() else []:
        beside = one.name.rpartition("/")[0]
        _copy_whole(job, path, "/".join(filter(None, (beside, path.name))))
    if job.config.kb.source:
        return
    with suppress(KnowledgeError):
        source = Path(read_manifest(one.path).source)
        if source.is_dir():
            _copy_tree(job, source, f"elsewhere/documents-of-{Path(one.name).name}")


# --- what a running gateway writes ---


def _copy_state(job: _Job, state: Placed) -> tuple[Cut, int]:
    """See the module. Returns where the journal was cut, and the newest row of the outbox."""
    journal, checkpoints = state.path / "journal", state.path / "checkpoints"
    job.tell("state")
    copy_checkpoints(job.writer, checkpoints, f"{state.name}/checkpoints")
    cut = settled(journal, checkpoints, tell=job.tell)
    newest_row = 0
    for path in sorted(state.path.glob(f"*{SQLITE}")):
        newest_row += _copy_database(job, path, f"{state.name}/{path.name}")
    job.tell("journal")
    cut, gone = copy_journal(
        job.writer,
        journal,
        f"{state.name}/journal",
        cut=cut,
        days=job.request.journal_days,
        checkpoints=checkpoints,
    )
    if gone:
        job.left_out.append(LeftOut(name=f"{state.name}/journal", what=gone))
    job.tell("audit trail and books")
    _copy_tree(job, state.path, state.name, skip=("journal", "checkpoints", BOX_FILE))
    return cut, newest_row


def _copy_database(job: _Job, path: Path, name: str) -> int:
    """A database as it is at one moment; returns the newest row of an outbox, else 0."""
    copy = job.request.out.with_name(f".{job.request.out.name}.{os.getpid()}{SQLITE}")
    try:
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")
            row = 0
            if path.name == f"outbox{SQLITE}":
                query = "SELECT coalesce(max(row), 0) FROM outbox"
                guarded(target)
                with suppress(sqlite3.OperationalError):  # it lacks the table yet
                    ((row,),) = target.execute(query).fetchall()
        _copy_file(job, copy, name)
        return int(row)
    except (sqlite3.Error, *UNREADABLE) as error:  # also of names that are no text
        raise BackupError(f"{path}: cannot be copied: {error}") from error
    finally:
        for side in ("", *SQLITE_SIDES):
            copy.with_name(copy.name + side).unlink(missing_ok=True)


# --- files ---


def _copy_file(job: _Job, path: Path, name: str, *, secret: bool = False) -> None:
    try:
        if not path.is_file():
            job.miss(name, f"{path} is no file" if path.exists() else f"{path} is not there")
            return
        with path.open("rb") as file:
            size = _lines_end(file) if path.suffix == ".jsonl" else None
            job.writer.add(name, file, size_max=size, secret=secret)
    except OSError as error:
        job.miss(name, f"{path}: {error.strerror}")


def _lines_end(file: IO[bytes]) -> int | None:
    """How much of a file of lines is whole; None: all of it, as far as one can tell."""
    size = os.fstat(file.fileno()).st_size
    if size > LINES_BYTES_MAX:
        return None
    content = file.read(size)
    file.seek(0)
    end = content.rfind(b"\n") + 1
    with suppress(*UNREADABLE):
        msgspec.json.decode(content[end:] or b"0")
        return len(content)  # it lacks its end alone
    return end


def _copy_tree(job: _Job, folder: Path, name: str, *, skip: tuple[str, ...] = ()) -> None:
    """All files below a directory that are not there yet; what is no plain file is told."""
    if not folder.is_dir():
        job.miss(name, f"{folder} is no directory" if folder.exists() else f"{folder} is not there")
        return
    for path in _walk(folder, skip):
        inside = path.relative_to(folder).as_posix()
        if f"{name}/{inside}" not in job.writer.files and not _skipped(path):
            _copy_file(job, path, f"{name}/{inside}")


def _walk(folder: Path, skip: tuple[str, ...]) -> Iterator[Path]:
    for at, folders, files in os.walk(folder):
        here = Path(at)
        top = here == folder
        folders[:] = sorted(one for one in folders if not (top and one in skip) and one[0] != ".")
        yield from (here / one for one in folders if (here / one).is_symlink())
        yield from (here / one for one in sorted(files) if not (top and one in skip))


def _skipped(path: Path) -> bool:
    """Files of a moment: locks, halves, and what belongs to a database that is copied itself."""
    name = path.name
    sides = any(name.endswith(SQLITE + side) for side in ("", *SQLITE_SIDES))
    return name.startswith(".") or name.endswith((".tmp", ".lock")) or sides


def _copy_whole(job: _Job, folder: Path, name: str) -> None:
    """An immutable directory, all of one state: another may take its place meanwhile."""
    if not folder.is_dir():
        job.miss(name, f"{folder} is not there")
        return
    for attempt in range(FILES_TRIES):
        with ExitStack() as stack:
            try:
                files = _opened(folder, stack)
            except FileNotFoundError:
                if attempt + 1 == FILES_TRIES:
                    job.miss(name, f"{folder} is being replaced all the time")
                continue
            except OSError as error:
                job.miss(name, f"{folder}: {error.strerror}")
                return
            for inside, file in files.items():
                if f"{name}/{inside}" not in job.writer.files:
                    job.writer.add(f"{name}/{inside}", file)
            return


def _opened(folder: Path, stack: ExitStack) -> dict[str, IO[bytes]]:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    stack.callback(os.close, handle)
    files: dict[str, IO[bytes]] = {}
    for one in sorted(os.listdir(handle)):  # noqa: PTH208 - of what was opened, whatever its name is now
        if one.startswith("."):
            continue
        file = os.fdopen(os.open(one, os.O_RDONLY, dir_fd=handle), "rb")
        files[one] = stack.enter_context(file)
    return files


def _readme(manifest: Manifest, name: str) -> str:
    made = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(manifest.made_at_ns // 10**9))
    lines = [f"  {one.name}: {one.what}" for one in (*manifest.left_out, *manifest.missed)]
    left_out = "\n".join(["", "Not in it:", *lines, ""]) if lines else ""
    return README_TEXT.format(
        site=manifest.site,
        made=made,
        andon=manifest.andon,
        name=name,
        manifest="andon-backup.json",
        left_out=left_out,
    )
