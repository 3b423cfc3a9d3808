"""Approvals: a second person's word for a bundle, by hash, before it may count.

Whoever promotes a bundle cannot approve it. Where signatures are required, an approval counts only
with a valid one by the approver's key of [trust.operators]; it is of one site, bundle and name.
What has counted before may count again without another word, for a rollback must not wait; what was
rolled back needs its approvals as at first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.audit.signatures import verify
from edge.bundles.store import LEARNED, PROMOTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.bundles.store import Act
    from edge.configuration.config import GatewayConfig


def approval_content(site: str, sha256: str, by: str) -> bytes:
    """The bytes that an approver signs."""
    return f"approve bundle\n{site}\n{sha256}\n{by}\n".encode()


def approvers(config: GatewayConfig, history: Sequence[Act], sha256: str) -> tuple[str, ...]:
    """Whose word for a bundle counts, in the order in which they gave it."""
    found: dict[str, None] = {}
    for act in history:
        if act.what == "approved" and act.bundle_sha256 == sha256 and _counts(config, act):
            found[act.by] = None
    return tuple(found)


def unapproved_because(
    config: GatewayConfig, history: Sequence[Act], sha256: str, *, by: str = ""
) -> str:
    """Why a bundle may not count yet; "" where it may, or nobody has to approve.

    by: who promotes it; "": who did last, as the history says.
    """
    needed = config.model.approvals
    changes = [act for act in history if act.what in PROMOTIONS]
    past = changes if by else changes[:-1]  # the gateway looks when the act has been written
    if not by and changes and changes[-1].what == LEARNED and changes[-1].bundle_sha256 == sha256:
        # what it adds rings for nobody before it was accepted, and that needs approvals; the
        # assets that it had before ring as they did
        return ""
    counted = {act.before_sha256 for act in past}
    counted -= {act.bundle_sha256 for act in past if act.what == LEARNED}  # only in the shadow
    counted |= {act.bundle_sha256 for act in past if act.what != LEARNED}
    counted -= {act.before_sha256 for act in past if act.what == "rolled_back"}
    if not needed or sha256 in counted:
        return ""
    promoter = by or (changes[-1].by if changes else "")
    others = [name for name in approvers(config, history, sha256) if name != promoter]
    if len(others) >= needed:
        return ""
    return (
        f"bundle {sha256[:12]} has {len(others)} approvals by others than {promoter or 'nobody'},"
        f" and needs {needed}: `andon model approve {sha256[:12]} --by NAME`"
    )


def _counts(config: GatewayConfig, act: Act) -> bool:
    if not config.trust.require_signed:
        return True
    content = approval_content(config.site, act.bundle_sha256, act.by)
    return any(
        verify(key.public_key, content, act.signature)
        for key in config.trust.of_operator(act.by)
        if not key.lacks(act.at_ns)
    )
