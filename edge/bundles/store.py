"""The bundles of one gateway: kept by hash, one of them current, and a history of who wanted what.

    bundles/                  below [journal] dir: what a journal names is found beside it
        0123456789abcdef/     a bundle as it was written, with its signature; by its first 16 digits
        current               which one counts, for as long as [model] bundle stays what it was
        history.jsonl         one line an act, each bound to the one before by its hash
        shadow-0123....json   what a candidate did beside the current one

`current` is replaced in one step. Without it, or once another bundle stands at the path that the
configuration names, the configured bundle counts. Every act is written by people or by the gateway
itself, never by both at once: a lock is held over each change.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from edge.audit.chain import iso
from edge.errors import UNREADABLE, ConfigError
from edge.storage.sealed_chain import Sealed, SealedChain
from models.bundles.store import file_names, verify
from models.bundles.store import load as load_bundle
from models.errors import ModelError

if TYPE_CHECKING:
    from edge.configuration.config import GatewayConfig
    from models.bundles.bundle import Bundle

FOLDER: Final = "bundles"
CURRENT: Final = "current"
HISTORY: Final = "history.jsonl"
LOCK: Final = ".lock"
NONE: Final = "none"  # where no bundle is configured: there never is one
MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.sig"
PROPOSED: Final = "proposed"  # beside the configured bundle, where `propose-bundle` writes
NAME_CHARS: Final = 16  # of a hash, in a directory's name
HASH_CHARS_MIN: Final = 4  # of a hash that a person types
KEPT_MAX: Final = 20  # retired bundles; the oldest go first
LEARNED: Final = (
    "learned"  # by the gateway itself, of assets that ring for nobody yet; no others change
)
KEPT: Final = "kept"  # rang more than it may, and stayed all the same
ROLLED_BACK: Final = "rolled_back"
PROMOTIONS: Final = ("promoted", ROLLED_BACK, LEARNED)  # acts that change what counts


class Act(Sealed, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the history.

    what: promoted, rolled_back, learned, kept, refused, approved, shadowed, unshadowed.
    before_sha256: what counted until then, of the first three. signature: of an approval, by the
    key of `by`.
    """

    what: str
    bundle_sha256: str
    by: str
    at_ns: int
    before_sha256: str = ""
    because: str = ""
    signature: str = ""
    sha256: str = ""


class Pointer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `current` holds. configured_sha256: what stood at [model] bundle when it was written.

    watch_until_ns: wall clock until which the gateway watches it; 0: not at all.
    """

    bundle_sha256: str
    configured_sha256: str
    before_sha256: str
    watch_until_ns: int = 0


class BundleStore:
    """The bundles of one gateway. Safe beside the gateway, which looks at `current` only."""

    def __init__(self, directory: Path, configured: Path) -> None:
        self.directory = directory
        self.configured = configured
        self._chain = SealedChain(directory / HISTORY, Act, lock=directory / LOCK)

    # --- what there is ---

    def places(self) -> dict[str, Path]:
        """Where each bundle is, by hash: configured, kept, and proposed; nothing is verified."""
        found: dict[str, Path] = {}
        for path in (self.configured, *self._kept(), *self._proposed()):
            if sha256 := hash_of(path):
                found.setdefault(sha256, path)
        return found

    def find(self, sha256: str) -> Path | None:
        """Where the bundle of a hash is; None where nobody kept it."""
        near = self.directory / sha256[:NAME_CHARS]
        if sha256 and hash_of(near) == sha256:
            return near
        return self.places().get(sha256)

    def keeps(self, sha256: str) -> bool:
        """Whether it has a copy of its own; nothing is verified."""
        return hash_of(self.directory / sha256[:NAME_CHARS]) == sha256

    def resolve(self, named: str) -> tuple[str, Path]:
        """The bundle that a person means: a hash, the begin of one, or a directory.

        Raises ConfigError for none, and for several.
        """
        path = Path(named)
        if path.is_dir() and (sha256 := hash_of(path)):
            return sha256, path
        places = self.places()
        word = named.lower()
        meant = [one for one in places if one.startswith(word)] if word else []
        short = len(word) < HASH_CHARS_MIN
        if len(meant) == 1 and not short:
            return meant[0], places[meant[0]]
        known = ", ".join(one[:12] for one in sorted(places)) or "none"
        which = f"{len(meant)} bundles begin with {named!r}" if meant else f"no bundle {named!r}"
        if meant and short:
            which = f"{named!r} is too short"
        raise ConfigError(
            f"{which}; expected a directory or at least {HASH_CHARS_MIN} digits of one of {known}"
        )

    def pointer(self) -> Pointer | None:
        """What was promoted last, as far as it still counts. Raises ConfigError for a damaged one.

        It does not count any more where another bundle stands at the configured path.
        """
        path = self.directory / CURRENT
        try:
            pointer = msgspec.json.decode(path.read_bytes(), type=Pointer)
        except FileNotFoundError:
            return None
        except (OSError, *UNREADABLE) as error:
            raise ConfigError(
                f"{path}: {error}; remove it to run with the configured bundle"
            ) from error
        return pointer if pointer.configured_sha256 == hash_of(self.configured) else None

    def current(self) -> tuple[str, Path]:
        """Hash and place of the bundle that counts. Raises ConfigError where it is gone."""
        pointer = self.pointer()
        if pointer is None:
            return hash_of(self.configured), self.configured
        path = self.find(pointer.bundle_sha256)
        if path is None:
            raise ConfigError(
                f"{self.directory / CURRENT} names bundle {pointer.bundle_sha256[:12]}, which is"
                " not there any more; copy it back, or promote another one"
            )
        return pointer.bundle_sha256, path

    def set_aside(self) -> str:
        """That the configured bundle is there and another one counts, for people; "" it counts.

        Raises ConfigError where what counts is gone.
        """
        counts, configured = self.current()[0], hash_of(self.configured)
        if not configured or configured == counts:
            return ""
        return (
            f"[model] bundle names {configured[:12]} ({self.configured}); {counts[:12]} was"
            " promoted or learned since, and counts"
        )

    def history(self) -> list[Act]:
        """Every act, oldest first. Raises ConfigError at the first line that does not fit."""
        return self._chain.whole()

    def one_before(self) -> str:
        """Hash of the bundle that a rollback without a name goes back to.

        Raises ConfigError where none counted before, and after a rollback: the one before is what
        was just taken back, and comes back only by its name.
        """
        pointer = self.pointer()
        before = pointer.before_sha256 if pointer is not None else ""
        if not before:
            raise ConfigError("nothing was promoted here, so there is nothing to go back to")
        newest = next((a for a in reversed(self.history()) if a.what in PROMOTIONS), None)
        if newest is not None and newest.what == ROLLED_BACK:
            raise ConfigError(
                f"the last act was a rollback already: another one would bring back"
                f" {before[:12]}, which {newest.by or 'somebody'} took back at"
                f" {iso(newest.at_ns)}; if you mean that: andon model rollback {before[:12]}"
            )
        return before

    # --- what changes it ---

    def keep(self, path: Path, *, loaded: str = "") -> Path:
        """A copy of a verified bundle below the store; returns where it is.

        loaded: hash of the bundle that was just loaded from there; "" it is loaded now. Its
        signature comes along, also where that was made later. Raises ModelError for one that is
        damaged or fails its self-test, ConfigError where it cannot be written.
        """
        sha256 = loaded or load_bundle(path).sha256
        place = self.directory / sha256[:NAME_CHARS]
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            if hash_of(place) != sha256:
                _copy(path, place, sha256)
            signature = path / SIGNATURE
            if path != place and signature.is_file():
                shutil.copyfile(signature, place / SIGNATURE)
        except OSError as error:
            raise ConfigError(f"{place}: {error.strerror}; the bundle was not kept") from error
        return place

    def point(
        self, sha256: str, *, by: str, because: str, what: str = "promoted", watch_s: float = 0
    ) -> Act:
        """Let another bundle count from now on; it has to be kept. Raises ConfigError."""
        assert self.keeps(sha256), "keep it first"
        with self._chain.alone():
            before = self._counts_now()
            until_ns = time.time_ns() + int(watch_s * 1e9) if watch_s else 0
            pointer = Pointer(
                bundle_sha256=sha256,
                configured_sha256=hash_of(self.configured),
                before_sha256=before,
                watch_until_ns=until_ns,
            )
            act = self._append(what, sha256, by=by, because=because, before_sha256=before)
            self._write(CURRENT, msgspec.json.format(msgspec.json.encode(pointer), indent=1))
        self._forget()
        return act

    def note(
        self, what: str, sha256: str, *, by: str, because: str = "", signature: str = ""
    ) -> Act:
        """Write an act into the history that changes nothing else. Raises ConfigError."""
        with self._chain.alone():
            return self._append(what, sha256, by=by, because=because, signature=signature)

    def write_report(self, sha256: str, content: bytes) -> Path:
        """Keep what a candidate did in the shadow; returns where it is. Raises ConfigError."""
        return self._write(f"shadow-{sha256[:NAME_CHARS]}.json", content)

    def report(self, sha256: str) -> bytes | None:
        """The newest report of a candidate's shadow run; None without one."""
        try:
            return (self.directory / f"shadow-{sha256[:NAME_CHARS]}.json").read_bytes()
        except OSError:
            return None

    # --- inside ---

    def _kept(self) -> list[Path]:
        if not self.directory.is_dir():
            return []
        return sorted(path for path in self.directory.iterdir() if path.is_dir())

    def _proposed(self) -> list[Path]:
        place = self.configured.parent / PROPOSED
        return sorted(place.iterdir()) if place.is_dir() else []

    def _counts_now(self) -> str:
        with suppress(ConfigError):
            return self.current()[0]
        return ""

    def _append(
        self,
        what: str,
        sha256: str,
        *,
        by: str,
        because: str = "",
        before_sha256: str = "",
        signature: str = "",
    ) -> Act:
        act = Act(
            what=what,
            bundle_sha256=sha256,
            by=by,
            because=because,
            at_ns=time.time_ns(),
            before_sha256=before_sha256,
            signature=signature,
        )
        return self._chain.add([act])[0]

    def _write(self, name: str, content: bytes) -> Path:
        path = self.directory / name
        work = path.with_name(f".{name}.{os.getpid()}")
        try:
            with work.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            work.replace(path)
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}; nothing has changed") from error
        finally:
            with suppress(OSError):
                work.unlink(missing_ok=True)
        return path

    def _forget(self) -> None:
        """Of retired bundles only the newest few stay; what counts, or counted before, does."""
        acts = self.history()
        last = {act.bundle_sha256: act.sequence for act in acts}
        pointer = self.pointer()
        held = {pointer.bundle_sha256, pointer.before_sha256} if pointer is not None else set()
        kept = {hash_of(path): path for path in self._kept()}
        oldest = sorted(set(kept) - held, key=lambda one: last.get(one, 0))
        for sha256 in oldest[: max(len(kept) - KEPT_MAX, 0)]:
            shutil.rmtree(kept[sha256], ignore_errors=True)


def store_of(config: GatewayConfig) -> BundleStore:
    """The bundles of the gateway that a configuration describes."""
    kept, named = config.path(config.journal.dir) / FOLDER, config.model.bundle
    return BundleStore(kept, config.path(named) if named else kept / NONE)


def hash_of(path: Path) -> str:
    """The hash that names the bundle at a path; "" where there is none. Nothing is verified."""
    try:
        return hashlib.sha256((path / MANIFEST).read_bytes()).hexdigest()
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return ""


def loaded(path: Path, sha256: str) -> Bundle:
    """The verified bundle of a hash at a path. Raises ModelError, also for another bundle."""
    bundle = load_bundle(path)
    if bundle.sha256 != sha256:
        raise ModelError(f"{path} holds bundle {bundle.sha256[:12]}, expected {sha256[:12]}")
    return bundle


def _copy(path: Path, place: Path, sha256: str) -> None:
    """All files of the bundle of a hash at another place, all or nothing.

    Raises OSError, or ModelError where another stands at `path` by now.
    """
    work = place.with_name(f".{place.name}.{os.getpid()}")
    shutil.rmtree(work, ignore_errors=True)
    try:
        work.mkdir()
        for name in file_names(path):
            with (path / name).open("rb") as source, (work / name).open("wb") as out:
                shutil.copyfileobj(source, out)
                out.flush()
                os.fsync(out.fileno())
        verify(work, sha256)
        shutil.rmtree(place, ignore_errors=True)  # what is there is not that bundle
        work.rename(place)
    finally:
        shutil.rmtree(work, ignore_errors=True)
