"""Snapshots that were replaced: kept under their hash, since stored alerts name them by it."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Final

from kb.errors import KnowledgeError
from kb.exchange import replace_directory
from kb.snapshot import read_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from kb.manifest import Manifest

KEPT_MAX: Final = 10  # beside the current one; some tens of MB each
HASH_CHARS: Final = 12


def kept_name(out: Path, sha256: str) -> Path:
    """Where the snapshot of a hash is kept once another has taken its place at `out`."""
    return out.with_name(f"{out.name}.{sha256[:HASH_CHARS]}")


def keep(replaced: Path, out: Path) -> None:
    """Keep what stood at `out` and is at `replaced` now; the oldest beyond KEPT_MAX go.

    What has no readable manifest, or is what stands at `out` or is kept already, stays where it is
    for the caller to remove. When it cannot be renamed it is put back to `out`, and OSError raised.
    """
    old = _manifest(replaced)
    if old is None:
        return
    place = kept_name(out, old.sha256)
    try:
        if old != _manifest(out) and not place.exists():
            replaced.rename(place)
    except OSError:
        replace_directory(replaced, out)
        raise
    _forget(out)


def _forget(out: Path) -> None:
    """Remove the oldest of the kept; one that cannot be removed stays."""
    pattern = re.compile(rf"{re.escape(out.name)}\.[0-9a-f]{{{HASH_CHARS}}}")
    kept = []
    for path in out.parent.iterdir():
        manifest = _manifest(path) if pattern.fullmatch(path.name) else None
        if manifest is not None and kept_name(out, manifest.sha256) == path:
            kept.append((manifest.created_ns, path.name, path))
    for _, _, path in sorted(kept)[:-KEPT_MAX]:
        shutil.rmtree(path, ignore_errors=True)


def _manifest(path: Path) -> Manifest | None:
    """Its manifest; None for what is no snapshot."""
    if path.is_symlink() or not path.is_dir():
        return None
    try:
        return read_manifest(path)
    except KnowledgeError:
        return None
