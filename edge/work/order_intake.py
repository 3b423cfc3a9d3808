"""Orders as they become known: those with real times are scheduled, later words cancel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.work import witness
from edge.work.jobs import job_from_order

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.asset import Asset
    from edge.desk import Desk
    from edge.state import EngineState


def orders_due(desk: Desk, state: EngineState, *, now_ns: int) -> bool:
    """Whether an order was recorded by now that is not taken yet."""
    waiting, taken = desk.proposed.ordered, state.orders_taken
    return taken < len(waiting) and waiting[taken].recorded_at_ns <= now_ns


def take_orders(
    assets: Mapping[str, Asset], *, desk: Desk, state: EngineState, now_ns: int
) -> None:
    """Take the orders of the snapshot that were recorded by now and not taken yet."""
    changed: dict[str, Asset] = {}
    for order in desk.proposed.ordered[state.orders_taken :]:
        if order.recorded_at_ns > now_ns:
            break
        state.orders_taken += 1
        asset = assets.get(order.asset)
        if asset is None:
            continue
        scope = desk.scope_of(order.kind, order.asset, order.instrument, now_ns=now_ns)
        job = job_from_order(order, scope, desk.settings.engine)
        if not witness.order_told(asset, order, job, desk=desk):
            state.counts["orders_refused"] = state.counts.get("orders_refused", 0) + 1
        changed[order.asset] = asset
    for asset in changed.values():
        asset.proposals_changed(now_ns)
