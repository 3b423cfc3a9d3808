"""What texts suggest: the newest version of every proposal, as it was known at a time.

An order is told more than once, and a plant has thousands of them; what was asked for a moment ago
is not worked out again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kb.records import Proposal

DAY_NS: Final = 86_400 * 1_000_000_000
LISTED_MAX: Final = 100  # of an asset; more than an operator can read


class Proposed:
    """Proposals of one snapshot. Times are plant time, ns; asked about in any order."""

    def __init__(self, proposals: Sequence[Proposal]) -> None:
        self.ordered = tuple(sorted(proposals, key=lambda p: p.recorded_at_ns))
        self._forget()

    def _forget(self) -> None:
        self._taken = 0
        self._newest: dict[str, Proposal] = {}
        self._by_asset: dict[str, dict[str, Proposal]] = {}

    def of_asset(self, asset: str, *, now_ns: int) -> tuple[Proposal, ...]:
        """All that was known by now for exactly this asset, without the cancelled ones."""
        self._look(now_ns)
        mine = self._by_asset.get(asset, {})
        return tuple(proposal for proposal in mine.values() if not proposal.cancelled)

    def listed(self, asset: str, *, now_ns: int) -> tuple[Proposal, ...]:
        """Those of which the time is not a day past, nearest first, at most LISTED_MAX."""
        live = [p for p in self.of_asset(asset, now_ns=now_ns) if _end_ns(p) >= now_ns - DAY_NS]
        return tuple(sorted(live, key=lambda p: abs(_begin_ns(p) - now_ns))[:LISTED_MAX])

    def get(self, proposal_id: str, *, now_ns: int) -> Proposal | None:
        """One proposal by its id, if it was known by now and not cancelled."""
        self._look(now_ns)
        found = self._newest.get(proposal_id)
        return None if found is None or found.cancelled else found

    def _look(self, now_ns: int) -> None:
        if self._taken and self.ordered[self._taken - 1].recorded_at_ns > now_ns:
            self._forget()
        while self._taken < len(self.ordered):
            proposal = self.ordered[self._taken]
            if proposal.recorded_at_ns > now_ns:
                return
            self._taken += 1
            before = self._newest.get(proposal.proposal_id)
            if before is not None:
                self._by_asset[before.asset].pop(before.proposal_id)
            self._newest[proposal.proposal_id] = proposal
            self._by_asset.setdefault(proposal.asset, {})[proposal.proposal_id] = proposal


def _begin_ns(proposal: Proposal) -> int:
    return proposal.valid_from_ns or proposal.recorded_at_ns


def _end_ns(proposal: Proposal) -> int:
    return proposal.valid_to_ns or _begin_ns(proposal)
