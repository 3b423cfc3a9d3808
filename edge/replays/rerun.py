"""A rerun: a journal put through the engine once more, to look at what it did and why.

Without a broker and without publishing anything. The journal and the artifacts that it names by
hash determine every alert; a snapshot that has been replaced since is found beside its successor,
under its hash.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from edge.alerts.explain import clock_text
from edge.assembly.assembly import Assembly
from edge.bundles.store import store_of
from edge.bundles.training import settings_beside
from edge.configuration.config import load as load_config
from edge.configuration.config import need_bundle
from edge.desk import Knowledge
from edge.errors import ConfigError, RecordingError
from edge.handover import handed_over
from edge.knowledge.retrieve import look_up
from edge.recordings.recording import journal_messages
from edge.records import (
    BundleSwapped,
    JournalHole,
    Retrieve,
    SnapshotSwapped,
    Started,
    TickDue,
)
from edge.replays.backtest import with_ticks
from edge.samples.layouts import check_assets
from edge.storage.checkpoint import newest
from edge.storage.journal import read_journal, segments
from edge.storage.kept_settings import kept
from kb.errors import KnowledgeError
from kb.snapshots.history import kept_name
from kb.snapshots.snapshot import Snapshot, read_manifest
from models.bundles.store import load as load_bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge.asset import Asset
    from edge.bundles.store import BundleStore
    from edge.desk import Desk
    from edge.engine import Engine
    from edge.records import Effect, Stimulus
    from edge.settings import GatewaySettings
    from edge.state import EngineState
    from edge.storage.checkpoint import Checkpoint
    from edge.storage.journal import Position

JOURNAL_FOLDER: Final = "journal"  # of a gateway's state
CHECKPOINT_FOLDER: Final = "checkpoints"
SECOND_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Where a run's journal and artifacts are. `checkpoints` None: a recording has none.

    bundles: those that the journal may name; None: all is taken with `bundle`.
    """

    journal: Path
    settings: GatewaySettings
    bundle: Path
    snapshot: Path | None = None
    checkpoints: Path | None = None
    bundles: BundleStore | None = None


def kept_of(
    config: Path | None, *, journal: Path | None, bundle: Path | None, snapshot: Path | None
) -> Kept:
    """Where to look, from a gateway's configuration or from options; an option wins.

    Raises ConfigError or RecordingError naming what is missing.
    """
    loaded = load_config(config) if config is not None else None
    state = loaded.path(loaded.journal.dir) if loaded is not None else None
    folder = journal or state
    if folder is None:
        raise RecordingError("no journal: name a gateway's --config, or --journal DIR")
    if not _holds_journal(folder) and _holds_journal(folder / JOURNAL_FOLDER):
        state, folder = folder, folder / JOURNAL_FOLDER
    if not _holds_journal(folder):
        raise RecordingError(f"{folder} holds no journal; has a gateway run there?")
    bundles = None
    if loaded is not None:
        if bundle is None:
            bundles = store_of(loaded)
            bundle = bundles.current()[1]
        if snapshot is None and loaded.kb.snapshot:
            snapshot = loaded.path(loaded.kb.snapshot)
    if bundle is None:
        raise RecordingError("no detector: name a gateway's --config, or --bundle DIR")
    need_bundle(bundle)
    settings = loaded.settings if loaded is not None else settings_beside(folder, None)
    checkpoints = state / CHECKPOINT_FOLDER if state is not None else None
    if checkpoints is None or state is None or folder != state / JOURNAL_FOLDER:
        checkpoints = None
    return Kept(
        journal=folder,
        settings=settings,
        bundle=bundle,
        snapshot=snapshot,
        checkpoints=checkpoints,
        bundles=bundles,
    )


def _holds_journal(folder: Path) -> bool:
    return folder.is_file() or (folder.is_dir() and bool(segments(folder)))


class Rerun:
    """A run taken again. `notes`: what is not as it was, a line each."""

    def __init__(self, kept: Kept) -> None:
        """Open the artifacts. Raises ModelError or KnowledgeError."""
        self.kept = kept
        self.notes: list[str] = []
        self.holes: list[JournalHole] = []  # in what was taken
        self._snapshots: dict[str, Snapshot] = {}
        current = Snapshot.open(kept.snapshot) if kept.snapshot is not None else None
        if current is not None:
            self._snapshots[current.sha256] = current
        self.assembly = Assembly(
            kept.settings,
            bundle=load_bundle(kept.bundle),
            snapshot=current,
            bundle_path=kept.bundle,
            store=kept.bundles,
        )
        known = self.assembly.known_of(current) if current is not None else None
        self.engine = self._engine(None, known)
        self._snapshot_sha256 = self.assembly.snapshot_sha256

    @cached_property
    def total(self) -> int:
        """How many bytes the journal has, for a progress bar."""
        path = self.kept.journal
        files = [file for _, file in segments(path)] if path.is_dir() else [path]
        return sum(file.stat().st_size for file in files)

    def run(
        self,
        look: Callable[[Engine, tuple[Effect, ...]], bool],
        *,
        begin_ns: int,
        step_ns: int,
        asked_ns: int | None = None,
        progress: Callable[[int], object] = int,
    ) -> None:
        """Take every stimulus in order until `look` says that it has seen enough.

        begin_ns: plant time from which on the engine's own state is needed; a checkpoint from
        before it saves the way there. step_ns: between ticks, where a recording has none of its
        own. asked_ns: another bundle that took over later ends the run, so that what counted then
        is what is looked at. progress: hears bytes read. Raises JournalError.
        """
        after = self._from_checkpoint(begin_ns)
        done_bytes = 0
        for now_ns, stimulus, at in self._stimuli(after, step_ns):
            if at is not None:
                done_bytes = self._bytes_until(at)
                progress(done_bytes)
            swaps = isinstance(stimulus, BundleSwapped)
            if swaps and asked_ns is not None and self.engine.now_ns > asked_ns:
                return
            for each in (*self._beginning(stimulus), stimulus):
                if self._take(each, now_ns, look):
                    return

    def asset(self, name: str) -> tuple[Asset, Desk]:
        """One asset of the engine as it stands now, to be looked at only. Raises RecordingError."""
        self.engine._taking.settle_states()  # noqa: SLF001 - a look from outside
        assets = self.engine._assets  # noqa: SLF001 - likewise
        if name not in assets:
            near = difflib.get_close_matches(name, assets) or sorted(assets)[:10]
            raise RecordingError(f"no asset {name} in the bundle; try {', '.join(near)}")
        return assets[name], self.engine._desk  # noqa: SLF001 - likewise

    def text_of(self, sha256: str) -> Snapshot | None:
        """The snapshot of a hash, current or kept; None: it is not here any more."""
        return self._opened(sha256)

    def close(self) -> None:
        """Close every snapshot that was opened."""
        for snapshot in self._snapshots.values():
            snapshot.close()

    # --- the way there ---

    def _take(
        self,
        stimulus: Stimulus,
        now_ns: int,
        look: Callable[[Engine, tuple[Effect, ...]], bool],
    ) -> bool:
        effects = self.engine.handle(stimulus, now_ns=now_ns)
        if look(self.engine, effects):
            return True
        if self._live:  # its answers stand in the journal
            return False
        for effect in effects:
            if isinstance(effect, Retrieve):
                snapshot = self._opened(self._snapshot_sha256)
                done = look_up(snapshot, effect, now_ns=self.engine.now_ns)
                if self._take(done, now_ns, look):
                    return True
        return False

    @cached_property
    def _live(self) -> bool:
        """Whether this is a gateway's journal, with its own ticks, and no recording."""
        for entry in read_journal(self.kept.journal):
            if isinstance(entry.stimulus, TickDue | Started):
                return True
            if entry.position.offset > 1 << 20:
                return False
        return False

    def _stimuli(
        self, after: Position | None, step_ns: int
    ) -> Iterator[tuple[int, Stimulus, Position | None]]:
        if not self._live:
            messages = journal_messages(self.kept.journal)
            for now_ns, stimulus in with_ticks(messages, step_ns=step_ns):
                yield now_ns, stimulus, None
            return
        for i, entry in enumerate(read_journal(self.kept.journal, after=after)):
            yield entry.now_ns, entry.stimulus, entry.position if i % 256 == 0 else None

    def _bytes_until(self, at: Position) -> int:
        before = sum(f.stat().st_size for n, f in self._files if n < at.segment)
        return before + at.offset

    @cached_property
    def _files(self) -> list[tuple[int, Path]]:
        return segments(self.kept.journal) if self.kept.journal.is_dir() else []

    def _beginning(self, stimulus: Stimulus) -> tuple[Stimulus, ...]:
        """What a process that began then had in its hands, where that was something else."""
        if isinstance(stimulus, JournalHole):
            self.holes.append(stimulus)
            begin, end = clock_text(stimulus.from_ns), clock_text(stimulus.to_ns)
            self._note(
                f"the journal lacks {stimulus.stimuli} stimuli from {begin} to {end} of the wall"
                f" clock ({stimulus.because}): alerts of then, and after it, may differ"
            )
        if isinstance(stimulus, SnapshotSwapped):
            self._snapshot_sha256 = stimulus.snapshot_sha256
            return ()
        if isinstance(stimulus, BundleSwapped) and not self.assembly.knows_bundle(
            stimulus.bundle_sha256
        ):
            self._note(f"bundle {stimulus.bundle_sha256[:12]} is not here: alerts may differ")
        if not isinstance(stimulus, Started):
            return ()
        then = stimulus.bundle_sha256
        known = self.assembly.store is not None and self.assembly.knows_bundle(then)
        same = self.assembly.same_settings(stimulus.settings_sha256) or self._as_then(stimulus)
        said = {
            "bundle": ("" if known else then, self.assembly.bundle.sha256),
            "configuration": ("" if same else stimulus.settings_sha256, "another"),
            "version of Andon": (stimulus.version, self.assembly.version),
        }
        for what, (then, now) in said.items():
            if then not in {"", now}:
                self._note(f"taken with another {what} ({then[:12]}): alerts may differ")
        if stimulus.snapshot_sha256 == self._snapshot_sha256:
            return ()
        self._snapshot_sha256 = stimulus.snapshot_sha256
        return (SnapshotSwapped(snapshot_sha256=stimulus.snapshot_sha256),)

    def _as_then(self, began: Started) -> bool:
        """Go on with the settings that it began with, where they are kept and fit what is here."""
        checkpoints = self.kept.checkpoints
        found = kept(checkpoints.parent, began.settings_sha256) if checkpoints else None
        if found is None:
            return False
        try:
            check_assets(found, self.assembly.bundle)
        except ConfigError:
            return False
        state = handed_over(self.engine.state, self.assembly.settings, found)
        self.assembly.settings = found
        known = self._knowledge(self._snapshot_sha256) if self._snapshot_sha256 else None
        self.engine = self._engine(state, known)
        self._note(f"from {clock_text(self.engine.now_ns)} on with the settings of then, as kept")
        return True

    def _from_checkpoint(self, begin_ns: int) -> Position | None:
        """Begin at the newest checkpoint that lies before, if there is one that fits.

        A gateway keeps the newest few only: what is older is replayed from the journal's begin.
        """
        found = self._checkpoint(begin_ns)
        if found is None:
            self._tell_begin()
            return None
        # what it knew then, which may be another snapshot than the one that is current
        self._snapshot_sha256 = found.state.orders_of
        known = self._knowledge(self._snapshot_sha256) if self._snapshot_sha256 else None
        self.engine = self._engine(found.state, known)
        return found.position

    def _checkpoint(self, begin_ns: int) -> Checkpoint | None:
        place = self.kept.checkpoints
        if place is None or not place.is_dir():
            return None
        found, _ = newest(place, fingerprint=self.assembly.fingerprint_of, before_ns=begin_ns)
        kept = self._files
        if found is None or not kept or kept[0][0] > found.position.segment:
            return None
        return found

    def _tell_begin(self) -> None:
        if self._files and self._files[0][0] > 1:
            self._note(
                f"the journal begins at segment {self._files[0][0]}: what came before was dropped,"
                " and the detector warms up first"
            )

    def _note(self, line: str) -> None:
        if line not in self.notes:
            self.notes.append(line)

    # --- artifacts ---

    def _engine(self, state: EngineState | None, knowledge: Knowledge | None) -> Engine:
        return self.assembly.engine_of(state, knowledge, knowledge_of=self._knowledge)

    def _knowledge(self, sha256: str) -> Knowledge:
        """What a snapshot knew; of one that is not here any more, nothing."""
        snapshot = self._opened(sha256)
        if snapshot is not None:
            return self.assembly.known_of(snapshot)
        if sha256:
            self._note(f"snapshot {sha256[:12]} is not kept any more: alerts may differ")
        return Knowledge(sha256=sha256)

    def _opened(self, sha256: str) -> Snapshot | None:
        if not sha256 or self.kept.snapshot is None:
            return None
        if sha256 not in self._snapshots:
            place = kept_name(self.kept.snapshot, sha256)
            try:
                if read_manifest(place).sha256 != sha256:
                    return None
                self._snapshots[sha256] = Snapshot.open(place)
            except KnowledgeError:
                return None
        return self._snapshots[sha256]
