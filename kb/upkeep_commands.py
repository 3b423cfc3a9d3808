"""What `andon kb add`, `update`, `remove`, `watch`, `rollback`, `diff` and `proposals` do."""

from __future__ import annotations

import sys
import time
from contextlib import closing
from textwrap import shorten
from typing import TYPE_CHECKING, Final

import msgspec
from rich.markup import escape
from rich.table import Table

from kb.commands import at_ns, clock_ns, shown_time
from kb.errors import KnowledgeError
from kb.snapshots.difference import difference, found_kept, parent_of
from kb.snapshots.folder import changing
from kb.snapshots.history import kept, roll_back
from kb.snapshots.snapshot import Snapshot, read_manifest
from kb.snapshots.update import Updater
from kb.snapshots.watch import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from rich.console import Console

    from kb.records import Proposal
    from kb.snapshots.difference import Difference
    from kb.snapshots.folder import Change
    from kb.snapshots.update import Update

POLL_S: Final = 0.5
QUOTE_CHARS_MAX: Final = 120  # of a proposal in a list; `andon kb show` has all of it
ITEMS_SHOWN: Final = 40


def put_command(
    files: Sequence[Path],
    *,
    snapshot: Path,
    source: Path | None,
    into: str,
    replace: bool,
    console: Console,
) -> None:
    """Put files into the source folder and publish; taken back when one cannot be read."""

    def put(change: Change) -> tuple[str, ...]:
        return change.put(files, into=into, replace=replace)

    _changed(snapshot, source, put, console)


def remove_command(
    names: Sequence[str], *, snapshot: Path, source: Path | None, console: Console
) -> None:
    """Take documents out of the source folder, by doc_id or path, and publish."""
    with Snapshot.open(snapshot) as opened:
        documents = opened.documents()
    paths: list[str] = []
    for name in names:
        found = [d.path for d in documents if name in (d.doc_id, d.path)]
        paths += found or [name]  # a file that could not be read is in no snapshot

    def remove(change: Change) -> tuple[str, ...]:
        change.remove(list(dict.fromkeys(paths)))
        return ()

    _changed(snapshot, source, remove, console)


def _changed(
    snapshot: Path,
    source: Path | None,
    change_folder: Callable[[Change], tuple[str, ...]],
    console: Console,
) -> None:
    """Change the folder and publish, or neither."""
    begun_s, now_ns = time.monotonic(), clock_ns()
    with closing(Updater(snapshot, source=source)) as updater:
        try:
            with changing(updater.source, now_ns=now_ns) as change:
                update = updater.update(now_ns=now_ns, change=lambda: change_folder(change))
        except OSError as error:
            raise KnowledgeError(f"{error.filename}: {error.strerror}") from error
        if update is not None:
            updater.remember()
    _tell(update, snapshot, time.monotonic() - begun_s, console)


def update_command(*, snapshot: Path, source: Path | None, console: Console) -> None:
    """Publish what the source folder holds now."""
    _changed(snapshot, source, lambda _: (), console)


def watch_command(*, snapshot: Path, source: Path | None, once: bool, console: Console) -> None:
    """Publish what changes in the source folder until interrupted, or once."""
    with closing(Updater(snapshot, source=source)) as updater:
        watcher = Watcher(updater)
        console.print(escape(f"watching {updater.source} for {snapshot}"))
        said = ""
        while True:
            begun_s = time.monotonic()
            try:
                update = watcher.look(now_s=begun_s, now_ns=clock_ns())
            except KnowledgeError as error:
                if once:
                    raise
                if str(error) != said:
                    sys.stderr.write(f"{error}\n")
                said = str(error)
            else:
                said = ""
                if update is not None:
                    _tell(update, snapshot, time.monotonic() - begun_s, console)
                if once and watcher.settled:
                    return
            time.sleep(POLL_S)


def rollback_command(sha256: str, *, snapshot: Path, listed: bool, console: Console) -> None:
    """List what is kept, or go back to one of them, by default the one made before."""
    found = kept(snapshot)
    if listed:
        table = Table()
        for name in ("sha256", "made", "documents", "passages", "proposals", ""):
            table.add_column(name)
        current = [(snapshot, read_manifest(snapshot))]
        for path, manifest in current + found:
            counts = manifest.counts
            numbers = (counts.documents, counts.chunks, counts.proposals)
            mark = "current" if path == snapshot else ""
            made = shown_time(manifest.created_ns)
            table.add_row(manifest.sha256[:12], made, *map(str, numbers), mark)
        console.print(table)
        return
    place = found_kept(snapshot, sha256) if sha256 else parent_of(snapshot)
    if place == snapshot:
        raise KnowledgeError(f"{snapshot} is at {sha256} already")
    before = read_manifest(snapshot).sha256
    try:
        manifest = roll_back(snapshot, place)
    except OSError as error:
        raise KnowledgeError(f"{error.filename}: {error.strerror}") from error
    console.print(
        f"{escape(str(snapshot))} is {manifest.sha256[:12]} again, made"
        f" {shown_time(manifest.created_ns)}; {before[:12]} is kept. The folder of documents is as"
        " it was: the next update publishes what it holds."
    )
    _print_difference(difference(found_kept(snapshot, before), snapshot), console)


def diff_command(before: str, now: str, *, snapshot: Path, as_json: bool, console: Console) -> None:
    """Say what differs between two snapshots, by default the current one and its parent."""
    new = found_kept(snapshot, now) if now else snapshot
    found = difference(found_kept(snapshot, before) if before else parent_of(snapshot), new)
    if as_json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    else:
        _print_difference(found, console)


def proposals_command(
    *, snapshot: Path, asset: str, at: str, as_json: bool, console: Console
) -> None:
    """List the newest word on every proposal that was known at a time."""
    now_ns = at_ns(at)
    with Snapshot.open(snapshot) as opened:
        newest: dict[str, Proposal] = {}
        for proposal in opened.proposals():
            if proposal.recorded_at_ns <= now_ns:
                newest[proposal.proposal_id] = proposal
    found = [p for p in newest.values() if not asset or p.asset == asset]
    found.sort(key=lambda p: (p.valid_from_ns or p.valid_to_ns or p.recorded_at_ns, p.proposal_id))
    if as_json:
        sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
        return
    table = Table(title=f"{len(found)} proposals")
    for name in ("id", "asset", "work", "from", "to", "state", "quote"):
        table.add_column(name, overflow="fold")
    for p in found:
        state = "cancelled" if p.cancelled else "approved" if p.approved else "proposed"
        times = "" if p.real_times or p.source == "log" else ", times not believed"
        cells = (p.proposal_id, p.asset, f"{p.kind} {p.instrument}".strip())
        when = (shown_time(p.valid_from_ns), shown_time(p.valid_to_ns))
        quote = shorten(p.citation.quote, QUOTE_CHARS_MAX, placeholder=" …")
        table.add_row(*map(escape, (*cells, *when, state + times, quote)))
    console.print(table)


def _tell(update: Update | None, snapshot: Path, seconds: float, console: Console) -> None:
    """One line for each thing that changed."""
    if update is None:
        console.print(f"{escape(str(snapshot))} says all of it already: nothing to publish")
        return
    counts = update.after.counts
    console.print(
        f"{escape(str(snapshot))}: {counts.documents} documents, {counts.chunks} passages"
        f" ({counts.embedded} embedded anew), {counts.proposals} proposals, {counts.scope_rows}"
        f" scope rows, in {seconds:.1f} s; sha256 {update.after.sha256[:12]}",
        soft_wrap=True,
    )
    known = set(update.before.quarantined)
    for item in update.after.quarantined:
        if item not in known:
            line = f", line {item.line}" if item.line else ""
            console.print(escape(f"  not read: {item.path}{line}: {item.cause}"), soft_wrap=True)
    for path in update.forgotten:
        told = f"  {path.name}, the oldest kept snapshot, is gone: alerts that name it keep their "
        console.print(escape(f"{told}text, but cannot be looked up or replayed"), soft_wrap=True)
    try:
        _print_difference(difference(parent_of(snapshot), snapshot), console)
    except KnowledgeError as error:  # it was replaced already
        console.print(escape(f"  {error}"), soft_wrap=True)


def _print_difference(found: Difference, console: Console) -> None:
    if not found.items:
        console.print("  no document, proposal or approved row differs")
    for item in found.items[:ITEMS_SHOWN]:
        quotes = " -> ".join(quote for quote in (item.before, item.now) if quote)
        told = f"  {item.kind} {item.change}: {item.name}" + (f": {quotes}" if quotes else "")
        console.print(escape(told), soft_wrap=True)
    if len(found.items) > ITEMS_SHOWN:
        console.print(f"  and {len(found.items) - ITEMS_SHOWN} more: see `andon kb diff --json`")
