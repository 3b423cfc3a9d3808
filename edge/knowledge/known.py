"""What the engine is to know of a snapshot, and whose signatures stand by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.audit.signatures import signed_by, signers
from edge.desk import Knowledge
from edge.knowledge.scope_book import ScopeBook, table_sha256
from edge.trust import Signs, TrustSettings
from kb.snapshots.signed_tables import rows_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.knowledge.scope_book import Tables
    from edge.trust import TrustedKey
    from kb.records import ScopeRow, SignedTable
    from kb.snapshots.snapshot import Snapshot


def knowledge_of(
    snapshot: Snapshot | None,
    trust: TrustSettings | None = None,
    *,
    scopes: ScopeBook | None = None,
    anew: bool = False,
) -> Knowledge | None:
    """The typed rows of a snapshot; opening it has verified its hashes.

    trust: whose signatures count; without it none does. scopes: which signed scope tables were in
    use before; anew: whether they are judged by that as it is now, though they were before.
    """
    if snapshot is None:
        return None
    trust = trust or TrustSettings()
    keys = trust.may_sign(Signs.SNAPSHOT)
    signed = signed_by(snapshot.path, keys, same=snapshot.manifest.encoded().__eq__)
    told = _signed_tables(snapshot, trust)
    older = (scopes or ScopeBook()).refused(snapshot.sha256, _rows(told), anew=anew)
    return Knowledge(
        sha256=snapshot.sha256,
        proposals=snapshot.proposals(),
        scope_rows=snapshot.scope_rows(),
        failure_modes=snapshot.failure_modes(),
        limits=snapshot.limits(),
        sensors=snapshot.sensors(),
        verified=True,
        unsigned=signed.because,
        signers=(signed.keys,),
        scope_signers=_scope_signers(snapshot, trust, signed.keys, told, older),
        scope_older=older,
    )


def scope_tables(snapshot: Snapshot, trust: TrustSettings) -> Tables:
    """The rows of a snapshot's scope tables that a key which may do so has signed, by table."""
    return _rows(_signed_tables(snapshot, trust))


_Told = list[tuple["SignedTable", tuple["ScopeRow", ...], tuple["TrustedKey", ...]]]


def _signed_tables(snapshot: Snapshot, trust: TrustSettings) -> _Told:
    if not trust.require_signed:
        return []
    keys = trust.may_sign(Signs.SCOPE)
    found: _Told = []
    for table in snapshot.signed_tables():
        signed = signers(table.content, table.signatures.split(), keys, what=table.path)
        if signed.keys:
            found.append((table, rows_of(table), signed.keys))
    return found


def _rows(told: _Told) -> Tables:
    return {table_sha256(table.content): rows for table, rows, _ in told}


def _scope_signers(
    snapshot: Snapshot,
    trust: TrustSettings,
    of_snapshot: tuple[TrustedKey, ...],
    told: _Told,
    older: Mapping[str, str],
) -> dict[str, tuple[TrustedKey, ...]]:
    """By scope_id, the keys that stand by a row of the scope tables.

    Whoever signed the snapshot and may sign scope tables stands by all that it holds. Else the
    table's own bytes are read again: a row counts only as they say it, whoever built the snapshot,
    and not where it is `older` than what was in use. Of another row under the same id nobody could
    say whose word it is, so then none counts.
    """
    if not trust.require_signed:
        return {}
    whole = tuple(key for key in of_snapshot if Signs.SCOPE in key.signs)
    found = {row.scope_id: whole for row in snapshot.scope_rows()}
    stored: dict[str, list[ScopeRow]] = {}
    for row in snapshot.scope_rows():
        stored.setdefault(row.scope_id, []).append(row)
    for _, rows, keys in told:
        for row in rows:
            if stored.get(row.scope_id) == [row] and row.scope_id not in older:
                found[row.scope_id] += keys
    return found
