"""Snapshots that were replaced: kept under their hash, since stored alerts name them by it."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Final

from kb.errors import KnowledgeError
from kb.snapshots.exchange import alone, replace_directory
from kb.snapshots.snapshot import read_manifest, verified

if TYPE_CHECKING:
    from pathlib import Path

    from kb.manifest import Manifest

KEPT_MAX: Final = 10  # beside the current one; some tens of MB each
HASH_CHARS: Final = 12


def kept_name(out: Path, sha256: str) -> Path:
    """Where the snapshot of a hash is kept once another has taken its place at `out`."""
    return out.with_name(f"{out.name}.{sha256[:HASH_CHARS]}")


def kept(out: Path) -> list[tuple[Path, Manifest]]:
    """Snapshots that were at `out` once and are kept, newest first. Raises OSError."""
    pattern = re.compile(rf"{re.escape(out.name)}\.[0-9a-f]{{{HASH_CHARS}}}")
    found = []
    for path in out.parent.iterdir():
        manifest = _manifest(path) if pattern.fullmatch(path.name) else None
        if manifest is not None and kept_name(out, manifest.sha256) == path:
            found.append((path, manifest))
    return sorted(found, key=lambda pair: (pair[1].created_ns, pair[0].name), reverse=True)


def keep(replaced: Path, out: Path) -> tuple[Path, ...]:
    """Keep what stood at `out` and is at `replaced` now; the oldest beyond KEPT_MAX go.

    Returns those that went: what was decided with them cannot be looked up any more.

    What has no readable manifest, or is what stands at `out` or is kept already, stays where it is
    for the caller to remove. When it cannot be renamed it is put back to `out`, and OSError raised.
    """
    old = _manifest(replaced)
    if old is None:
        return ()
    place = kept_name(out, old.sha256)
    try:
        if old != _manifest(out) and not place.exists():
            replaced.rename(place)
    except OSError:
        replace_directory(replaced, out)
        raise
    return _forget(out)


def roll_back(out: Path, kept_at: Path) -> Manifest:
    """Put a kept snapshot in the place of the one at `out`, which is kept in turn.

    Every hash of it is checked first. Returns its manifest. Raises KnowledgeError or OSError, and
    then nothing has changed.
    """
    manifest = verified(kept_at)
    with alone(out.parent):
        replace_directory(kept_at, out)
        keep(kept_at, out)
    return manifest


def _forget(out: Path) -> tuple[Path, ...]:
    """Remove the oldest of the kept; one that cannot be removed stays."""
    gone = [path for path, _ in kept(out)[KEPT_MAX:]]
    for path in gone:
        shutil.rmtree(path, ignore_errors=True)
    return tuple(path for path in gone if not path.exists())


def _manifest(path: Path) -> Manifest | None:
    """Its manifest; None for what is no snapshot."""
    if path.is_symlink() or not path.is_dir():
        return None
    try:
        return read_manifest(path)
    except KnowledgeError:
        return None
