"""The commissioning of a running gateway: what people say of its assets, and the first fit of each.

A person's word is noticed by the book, and told to the engine as a stimulus. An asset of which
enough was seen is fitted in a process of its own; the bundle then takes over as a promoted one
does. That is all that a gateway learns by itself, and it leads into the shadow, never further.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

import edge
from edge.bundles.store import LEARNED, hash_of, loaded, store_of
from edge.commissioning.book import ACCEPTED, book_of, counting
from edge.commissioning.learned import Learned, LearnRequest
from edge.errors import UNREADABLE, ConfigError
from edge.records import CommissionTold
from edge.work.commission import GATEWAY
from models.bundles.bundle import Channel
from models.bundles.store import save

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.assembly.assembly import Assembly
    from edge.bundles.store import BundleStore
    from edge.commissioning.book import Word
    from edge.configuration.config import GatewayConfig
    from edge.gateway.faults import Faults
    from edge.records import Job, ShellFault
    from edge.settings import AssetSettings
    from edge.work.commission import Commission
    from edge.work.jobs import JobRun
    from models.bundles.bundle import AssetFit, Bundle

WAIT_S_MAX: Final = 900.0  # for a fit; a thousand assets take minutes
STOP_S: Final = 1.0  # it is killed; one that hangs in the kernel ends some day
COMPLAINT_BYTES: Final = 500  # of what a fit that broke said last


class CommissionWatch:
    """Watches book and progress of one gateway, for one loop."""

    def __init__(self, config: GatewayConfig, assembly: Assembly, store: BundleStore) -> None:
        self._config, self._assembly, self._store = config, assembly, store
        self._book = book_of(config)
        self._seen = (-1, -1, "")
        self._trouble = ""
        self._fit: Fitting | None = None
        self._pointed: dict[str, str] = {}  # of each asset, the bundle that is to take over
        self._unsigned: set[str] = set()  # assets whose bundle waits for a person

    def look(self) -> list[CommissionTold]:
        """What the engine is to be told now; mostly nothing."""
        if self._config.commissioning is None:
            return []
        return [*self._words(), *self._learn()]

    def judge(self, faults: Faults) -> list[ShellFault]:
        """What has begun or ended to be wrong."""
        return list(faults.judge("commissioning_refused", self._trouble))

    def stop(self) -> None:
        """End a fit that goes on: the next process begins it again."""
        if self._fit is not None:
            self._fit.stop()

    # --- people ---

    def _words(self) -> list[CommissionTold]:
        """Where the book says otherwise than the engine: once either has changed.

        With the first look, everything that it says: the journal may have lost what was told when
        it began, and what is left of it has to lead to the same state. An asset that a bundle
        brings back begins as one that nobody has accepted.
        """
        scores = self._assembly.engine.outline.bundle_sha256
        try:
            stat = self._book.path.stat()
            seen = (stat.st_size, stat.st_mtime_ns, scores)
        except OSError:
            seen = (0, 0, scores)
        if seen == self._seen:
            return []
        first, self._seen = self._seen[0] < 0, seen
        try:
            found = self._book.words()
        except ConfigError as error:
            self._trouble = f"{error}; every asset stays as it is"
            return []
        counts = counting(self._config, found.lines)
        self._trouble = self._lost(found.lines, counts)
        if found.broken:
            self._trouble = (
                f"{found.broken}; the {len(found.lines)} words before it count for assets of which"
                " the gateway knows no other, the rest stays as it is"
            )
        told = []
        for asset, known in self._known().items():
            word = counts.get(asset)
            if word is None or word.sequence < known.word_sequence:
                continue  # it was said before the one that is known: the end of the book is gone
            agrees = known.in_service == (word.what == ACCEPTED)
            other = word.sequence != known.word_sequence or word.sha256 != known.word_sha256
            # of a broken book the newest words are missing: who knows a word has them, perhaps
            if (first or other) if agrees else not (found.broken and known.by):
                told.append(
                    CommissionTold(
                        what=word.what,
                        asset=asset,
                        by=word.by,
                        because=word.because,
                        bundle_sha256=word.bundle_sha256,
                        sequence=word.sequence,
                        sha256=word.sha256,
                    )
                )
        return told

    def _known(self) -> dict[str, Commission]:
        """What the engine remembers of each asset that is commissioned here."""
        states = self._assembly.engine.outline.assets
        return {asset: one.commission for asset, one in states.items() if one.commission}

    def _lost(self, lines: Sequence[Word], counts: Mapping[str, Word]) -> str:
        """Which words the engine knows that the book does not hold any more; "": none.

        Whoever cuts off its end leaves a whole chain. A word that was said since then, of the same
        place or a later one, counts as any does.
        """
        missing = [
            f"word {known.word_sequence} on {asset}"
            for asset, known in self._known().items()
            if known.word_sequence
            and (asset not in counts or counts[asset].sequence < known.word_sequence)
            and known.word_sha256
            not in {one.sha256 for one in lines[known.word_sequence - 1 :][:1]}
        ]
        if not missing:
            return ""
        return (
            f"{self._book.path} lacks {', '.join(missing)}: its end was cut off, or an old copy put"
            " back; each asset stays as it is: bring back the newest copy, or withdraw and accept"
            " anew with `andon accept`"
        )

    # --- the first fit ---

    def _learn(self) -> list[CommissionTold]:
        if self._fit is not None:
            learned = self._fit.answer()
            if learned is None:
                return []
            fit, self._fit = self._fit, None
            return self._taken(fit, learned)
        engine = self._assembly.engine
        ready = {a: t for a, t in engine.commissioning.ready() if a not in self._unsigned}
        if not ready or self._current() != engine.outline.bundle_sha256 or self._on_probation():
            return []
        if refused := [asset for asset in ready if asset in self._pointed]:
            pointed = {asset: self._pointed.pop(asset) for asset in refused}
            return [
                _not_fitted(asset, f"bundle {sha256[:12]} was made and could not take over")
                for asset, sha256 in pointed.items()
            ]
        request = LearnRequest(
            config=self._config,
            bundle_sha256=engine.outline.bundle_sha256,
            since_ns=ready,
            until_ns={
                asset: known.newest_ns
                for asset in ready
                if (known := engine.outline.assets[asset].commission) is not None
            },
            jobs=tuple(
                _as_it_went(run)
                for asset in ready
                for run in engine.outline.assets[asset].runs
                if run.fuse_end_ns  # it was open once
            ),
            births={
                key: birth
                for key, birth in engine.outline.births.items()
                if birth.asset in ready or not birth.asset  # of nodes of their devices
            },
        )
        try:
            self._fit = Fitting(request)
        except OSError as error:  # no memory or no place for another process: scoring goes on
            return [_not_fitted(asset, f"no process could begin: {error}") for asset in ready]
        return []

    def _taken(self, fit: Fitting, learned: Learned) -> list[CommissionTold]:
        """A fit has ended: let its bundle take over, and say what failed."""
        told = [_not_fitted(asset, why) for asset, why in learned.failed.items()]
        sha256 = learned.bundle_sha256
        if not sha256 or self._current() != fit.request.bundle_sha256 or self._on_probation():
            return told  # a bundle was promoted meanwhile: begin again from that
        if why := self._asks_for(sha256, learned):
            self._unsigned.update(learned.rows)
            return [*told, *(_not_fitted(asset, why) for asset in learned.rows)]
        said = ", ".join(f"{asset} from {rows} rows" for asset, rows in learned.rows.items())
        try:
            self._store.point(sha256, by=GATEWAY, because=f"learned {said}", what=LEARNED)
        except ConfigError as error:
            return [*told, *(_not_fitted(asset, str(error)) for asset in learned.rows)]
        self._pointed.update(dict.fromkeys(learned.rows, sha256))
        return told

    def _asks_for(self, sha256: str, learned: Learned) -> str:
        """What a person has to do before a learned bundle may take over; "": nothing."""
        steps = []
        if self._config.trust.require_signed:
            steps.append(
                f"signatures are required: andon sign {self._store.find(sha256)} --key KEY"
            )
        states = self._assembly.engine.outline.assets
        accepted = any(
            asset in states and (one := states[asset].commission) is not None and one.in_service
            for asset in learned.rows
        )
        if self._config.model.approvals and accepted:  # it would ring at once
            steps.append(f"approvals are required: andon model approve {sha256[:12]} --by NAME")
        return ", then ".join([*steps, f"andon model promote {sha256[:12]}"]) if steps else ""

    def _on_probation(self) -> bool:
        """Whether what was promoted is still watched: a bundle after it would end that."""
        try:
            pointer = self._store.pointer()
        except ConfigError:
            return False
        return pointer is not None and pointer.watch_until_ns > time.time_ns()

    def _current(self) -> str:
        """Hash of the bundle that is to count; "" where that cannot be told now."""
        try:
            return self._store.current()[0]
        except ConfigError:
            return ""


class Fitting:
    """One fit in a process of its own."""

    def __init__(self, request: LearnRequest) -> None:
        self.request = request
        self._until_s = time.monotonic() + WAIT_S_MAX
        home = str(Path(edge.__file__).resolve().parent.parent)  # the same code, wherever we stand
        self._answer = tempfile.TemporaryFile()  # noqa: SIM115 - a pipe may fill, and we never wait
        self._complaint = tempfile.TemporaryFile()  # noqa: SIM115 - likewise
        with tempfile.TemporaryFile() as asked:
            asked.write(msgspec.json.encode(request))
            asked.seek(0)
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "edge.commissioning.fit"],
                stdin=asked,
                stdout=self._answer,
                stderr=self._complaint,
                env=os.environ | {"PYTHONPATH": home, "OMP_NUM_THREADS": "1"},
            )

    def answer(self) -> Learned | None:
        """What came of it; None: it goes on."""
        if self._process.poll() is None:
            if time.monotonic() < self._until_s:
                return None
            self.stop()
            return self._failed(f"the fit took longer than {WAIT_S_MAX:.0f} s")
        with self._answer as out, self._complaint as err:
            out.seek(0)
            said = out.read()
            err.seek(max(err.seek(0, os.SEEK_END) - COMPLAINT_BYTES, 0))
            complaint = " ".join(err.read().decode(errors="replace").split())
        try:
            return msgspec.json.decode(said, type=Learned)
        except UNREADABLE:
            ended = f"the fit ended with code {self._process.returncode}"
            return self._failed(f"{ended}: {complaint}" if complaint else ended)

    def stop(self) -> None:
        """End it."""
        if self._process.poll() is None:
            self._process.kill()
            with suppress(subprocess.TimeoutExpired):  # it hangs in the kernel: it ends some day
                self._process.wait(STOP_S)

    def _failed(self, why: str) -> Learned:
        return Learned(failed=dict.fromkeys(self.request.since_ns, why))


def prepare(config: GatewayConfig) -> None:
    """Have a bundle in which every asset that is to learn has its place, before a gateway begins.

    Raises ConfigError or ModelError saying what is missing.
    """
    bundle, store = joined(config), store_of(config)
    if bundle is None:
        return
    place = store.directory / f".begun-{os.getpid()}"
    try:
        save(bundle, place)
        store.keep(place)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    store.point(bundle.sha256, by=GATEWAY, because="assets joined unfitted", what=LEARNED)


def joined(config: GatewayConfig) -> Bundle | None:
    """The bundle with which a gateway begins that is to learn; None: the one that counts will do.

    What a configuration names and no bundle knows joins the one that counts, unfitted; without any
    bundle that makes the first. Nothing is written. Raises ConfigError or ModelError.
    """
    learning, store = config.commissioning, store_of(config)
    there = store.pointer() is not None or hash_of(store.configured) != ""
    if learning is None or (config.model.bundle and not there):
        return None  # a bundle that is named and missing says so itself
    sha256, path = store.current()
    parent = loaded(path, sha256) if there else None
    known = {model.asset for model in parent.assets} if parent is not None else set[str]()
    missing = [a for a in config.asset if a.id not in known and learning.covers(a.id)]
    if not missing and parent is not None:
        return None
    if not missing:
        raise ConfigError(
            "[commissioning] without [model] bundle: name each [[asset]] with its tags, or make a"
            " bundle with `andon fit`"
        )
    if parent is not None and config.trust.require_signed:
        raise ConfigError(
            f"{missing[0].id} is in no bundle, and signatures are required: add it to one with"
            " `andon fit --limits TABLE --into BUNDLE`, and sign that"
        )
    from edge.commissioning.fit import as_before  # noqa: PLC0415 - mostly nothing joins
    from models.bundles.assemble import make_bundle  # noqa: PLC0415 - likewise

    period_ns = parent.assets[0].period_ns if parent else round(learning.period_s * 1e9)
    fits = [bare(asset, period_ns=period_ns) for asset in missing]
    made = make_bundle(fits, parent=parent, positions=config.position or None)
    return made if parent is None else as_before(made, parent, fits)


def bare(asset: AssetSettings, *, period_ns: int) -> AssetFit:
    """An asset of which only tags and waveforms in its settings are known.

    Raises ConfigError without any.
    """
    context = {tag.tag for tag in asset.context}
    named = [tag for tag in dict.fromkeys((*asset.tags, *asset.units)) if tag not in context]
    if not (named or asset.waveform):
        raise ConfigError(
            f"asset {asset.id}: nothing was fitted of it yet, so name its tags, such as"
            ' units = { "Pressure" = "bar" }, or make a bundle with `andon fit --limits`'
        )
    channels = [
        Channel(name=asset.tags.get(tag, tag), unit=asset.units.get(tag, "")) for tag in named
    ]
    there = {channel.name for channel in channels}
    made = {name: unit for form in asset.waveform for name, unit in form.units.items()}
    channels += [Channel(name=name, unit=unit) for name, unit in made.items() if name not in there]
    unknown = np.full(len(channels), np.nan)
    from models.bundles.unfitted import unfitted  # noqa: PLC0415 - likewise

    return unfitted(asset.id, channels, period_ns=period_ns, usual_low=unknown, usual_high=unknown)


def _as_it_went(run: JobRun) -> Job:
    """A job with the time at which it ended, or will at the latest."""
    end_ns = run.close_ns or run.ended_ns or run.fuse_end_ns
    return msgspec.structs.replace(run.job, valid_to_ns=end_ns)


def _not_fitted(asset: str, why: str) -> CommissionTold:
    return CommissionTold(what="not_fitted", asset=asset, by=GATEWAY, because=why)
