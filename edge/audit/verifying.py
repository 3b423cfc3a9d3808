"""`andon verify`: whether something is as it was signed, and whether its signature counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.audit.signatures import MANIFEST, signed_by
from edge.bundles.work_times import read_jobs
from edge.errors import AndonError, ConfigError
from edge.trust import Signs
from kb.records import SignedTable
from kb.snapshots.signed_tables import rows_of
from kb.snapshots.snapshot import DATABASE, Snapshot
from models.bundles.store import load

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edge.trust import TrustedKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was found. signers: (key, why it does not count now; "" it does)."""

    what: Signs
    content: str  # what it is, in a line; its hashes were checked
    signers: tuple[tuple[TrustedKey, str], ...]
    because: str  # why no known key has signed it; "" one has

    @property
    def counts(self) -> bool:
        """Whether a gateway that requires signatures takes it."""
        return any(not lacks for _, lacks in self.signers)


def verified(
    path: Path, keys_for: Callable[[Signs], Sequence[TrustedKey]], *, now_ns: int
) -> Verified:
    """Check every hash of a bundle or snapshot, or read a table or file of jobs; then signatures.

    Raises ConfigError, ModelError or KnowledgeError for what is damaged, or none of these.
    """
    what, content = _read(path)
    signed = signed_by(path, keys_for(what))
    return Verified(
        what=what,
        content=content,
        signers=tuple((key, key.lacks(now_ns)) for key in signed.keys),
        because=signed.because,
    )


def _read(path: Path) -> tuple[Signs, str]:
    if (path / DATABASE).is_file():
        with Snapshot.open(path) as snapshot:
            count = len(snapshot.documents())
            return Signs.SNAPSHOT, f"snapshot {snapshot.sha256[:12]} of {count} documents, whole"
    if (path / MANIFEST).is_file():
        bundle = load(path)
        count = len(bundle.assets)
        return (
            Signs.BUNDLE,
            f"bundle {bundle.sha256[:12]} of {count} assets, whole; self-test passed",
        )
    if not path.is_file():
        raise ConfigError(f"{path} is neither a bundle, a snapshot nor a file")
    table = SignedTable(path=path.name, content=path.read_bytes(), signatures="")
    if rows := rows_of(table):
        return Signs.SCOPE, f"scope table with {len(rows)} approved rows"
    try:
        return Signs.JOBS, f"file of {len(read_jobs(path))} jobs"
    except AndonError as error:
        raise ConfigError(
            f"{path} holds neither approved rows of a scope table nor jobs: {error}"
        ) from error
