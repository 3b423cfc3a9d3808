"""What the engine is to know of a snapshot, and whose signatures stand by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.audit.signatures import signed_by, signers
from edge.desk import Knowledge
from edge.trust import Signs, TrustSettings
from kb.snapshots.signed_tables import rows_of

if TYPE_CHECKING:
    from edge.trust import TrustedKey
    from kb.records import ScopeRow
    from kb.snapshots.snapshot import Snapshot


def knowledge_of(snapshot: Snapshot | None, trust: TrustSettings | None = None) -> Knowledge | None:
    """The typed rows of a snapshot; opening it has verified its hashes.

    trust: whose signatures count; without it none does.
    """
    if snapshot is None:
        return None
    trust = trust or TrustSettings()
    keys = trust.may_sign(Signs.SNAPSHOT)
    signed = signed_by(snapshot.path, keys, same=snapshot.manifest.encoded().__eq__)
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
        scope_signers=_scope_signers(snapshot, trust, signed.keys),
    )


def _scope_signers(
    snapshot: Snapshot, trust: TrustSettings, of_snapshot: tuple[TrustedKey, ...]
) -> dict[str, tuple[TrustedKey, ...]]:
    """By scope_id, the keys that stand by a row of the scope tables.

    Whoever signed the snapshot and may sign scope tables stands by all that it holds. Else the
    table's own bytes are read again: a row counts only as they say it, whoever built the snapshot.
    Of another row under the same id nobody could say whose word it is, so then none counts.
    """
    if not trust.require_signed:
        return {}
    whole = tuple(key for key in of_snapshot if Signs.SCOPE in key.signs)
    found = {row.scope_id: whole for row in snapshot.scope_rows()}
    stored: dict[str, list[ScopeRow]] = {}
    for row in snapshot.scope_rows():
        stored.setdefault(row.scope_id, []).append(row)
    for table in snapshot.signed_tables():
        signed = signers(
            table.content, table.signatures.split(), trust.may_sign(Signs.SCOPE), what=table.path
        )
        for row in rows_of(table) if signed.keys else ():
            if stored.get(row.scope_id) == [row]:
                found[row.scope_id] += signed.keys
    return found
